"""The guests' pages in a real Chromium, on the whole platform."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import FIRST_NIGHT, PASSWORD, TODAY, book, offer, open_hotel, registered, stay, until
from tests.e2e.web.browsing import choose_offer, chromium, guest_page, log_in, pay, register

pytestmark = pytest.mark.xdist_group("e2e-embedded")
PHONE = {"width": 390, "height": 844}
UNNAMED = """
[...document.querySelectorAll("a, button, summary, input:not([type=hidden]), select, textarea")]
    .filter(control => !(control.labels?.length || control.textContent.trim() || control.ariaLabel))
    .map(control => control.outerHTML)
"""
"""Controls without a name that a screen reader could say."""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


@pytest.fixture
async def page(browser: Browser, embedded_platform: RunningPlatform) -> AsyncIterator[Page]:
    async with guest_page(browser, embedded_platform) as opened:
        yield opened


async def hotel_of(platform: RunningPlatform, *, rooms: int = 10) -> dict[str, str]:
    async with await platform.login("hotelier") as hotelier:
        return await open_hotel(hotelier, rooms=rooms)


async def test_a_guest_searches_books_and_cancels(page: Page, embedded_platform: RunningPlatform) -> None:
    hotel = await hotel_of(embedded_platform)
    await register(page)
    await find(page, hotel)
    await page.get_by_role("link", name=hotel["name"]).click()
    await expect(page.get_by_text("€200.00", exact=True)).to_be_visible()
    await expect(page.get_by_text("Free cancellation until")).to_be_visible()
    await page.get_by_role("link", name="Book Double").click()
    await pay(page, "Card that works")

    await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
    await expect(page.get_by_text("Payment received")).to_be_visible()
    await page.get_by_role("link", name="Cancel booking").click()
    await expect(page.locator("#refund")).to_have_text("€200.00")
    await page.get_by_label("Why?").fill("plans changed")
    await page.get_by_role("button", name="Cancel the booking").click()

    await expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    await expect(page.get_by_text("€200.00 go back to you.")).to_be_visible()
    await page.get_by_role("link", name="← My bookings").click()
    await expect(page.locator(".booking-card", has_text=hotel["name"])).to_contain_text("€200.00")


async def test_a_guest_changes_the_stay(page: Page, embedded_platform: RunningPlatform) -> None:
    """A night more, paid with 3-D Secure; then two less, which go back."""
    hotel = await hotel_of(embedded_platform)
    await register(page)
    await choose_offer(page, hotel)
    await pay(page, "Card that works")
    await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
    await wish(page, nights=3)
    await expect(page.locator("#difference")).to_have_text("€100.00")
    await page.get_by_text("Card with 3-D Secure").click()
    await page.get_by_role("button", name="Change and pay €100.00").click()
    await expect(page.get_by_role("heading", name="Your bank asks")).to_be_visible()
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
    await expect(page.get_by_text("(3 nights)")).to_be_visible()
    await expect(page.locator(".sum", has_text="Paid")).to_contain_text("€300.00")
    await wish(page, nights=1)
    await expect(page.locator("#difference")).to_have_text("€200.00")
    await page.get_by_role("button", name="Change the stay").click()
    await expect(page.get_by_text("(1 night)")).to_be_visible()
    await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()


async def wish(page: Page, *, nights: int) -> None:
    await page.get_by_role("link", name="Change the stay").click()
    check_in = dt.date.fromisoformat(await page.get_by_label("Check-in").input_value())
    await page.get_by_label("Check-out").fill((check_in + dt.timedelta(days=nights)).isoformat())
    await page.get_by_role("button", name="See what it costs").click()


async def test_a_guest_deletes_the_account(page: Page, embedded_platform: RunningPlatform) -> None:
    hotel = await hotel_of(embedded_platform)
    await register(page)
    await choose_offer(page, hotel)
    await pay(page, "Card that works")
    await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
    await page.get_by_role("link", name="My account").click()
    await page.get_by_role("link", name="Delete my account").click()
    await expect(page.get_by_role("heading", name="You have 1 stay to come")).to_be_visible()
    await page.get_by_label("Your password").fill("not the password")
    await page.get_by_role("button", name="Delete my account for good").click()
    await expect(page.get_by_text("The password is wrong.")).to_be_visible()
    await page.get_by_label("Your password").fill(PASSWORD)
    await page.get_by_role("button", name="Delete my account for good").click()
    await expect(page.get_by_role("heading", name="Your account is deleted")).to_be_visible()
    await expect(page.get_by_role("link", name="Log in")).to_be_visible()


async def test_three_d_secure_is_approved(page: Page, embedded_platform: RunningPlatform) -> None:
    hotel = await hotel_of(embedded_platform)
    await register(page)
    await choose_offer(page, hotel)
    await pay(page, "Card with 3-D Secure")
    await expect(page.get_by_role("heading", name="Your bank asks")).to_be_visible()
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()


async def test_a_booking_is_followed_live(page: Page, embedded_platform: RunningPlatform) -> None:
    """What is done in another tab shows by itself in a page that is never loaded again."""
    hotel = await hotel_of(embedded_platform)
    await register(page)
    await choose_offer(page, hotel)
    await pay(page, "Card with 3-D Secure")
    await expect(page.get_by_role("heading", name="Your bank asks")).to_be_visible()
    await page.evaluate("window.stillTheSame = true")
    other = await page.context.new_page()
    await other.goto(page.url)
    await other.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("Confirmed")
    assert await page.evaluate("window.stillTheSame")


async def test_a_hotelier_checks_a_guest_in_and_out(page: Page, embedded_platform: RunningPlatform) -> None:
    platform = embedded_platform
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier)
        token = (await offer(guest, hotel["hotel_id"], start=TODAY))["offer_token"]
        booking = ok(await book(guest, token), 201)
    await log_in(page, platform.demo_account("hotelier"))
    await page.goto(f"/bookings/{booking['booking_id']}")
    await page.get_by_role("button", name="Check in").click()
    await expect(page.get_by_role("heading", name="Checked in")).to_be_visible()
    await expect(page.get_by_role("button", name="Guest has not come")).to_have_count(0)
    await page.get_by_role("button", name="Check out").click()
    await expect(page.get_by_role("heading", name="Stay completed")).to_be_visible()
    await expect(page.get_by_role("heading", name="At the hotel")).to_have_count(0)
    await expect(page.get_by_text("by staff")).to_have_count(2)


async def test_a_guest_reviews_the_stay(page: Page, embedded_platform: RunningPlatform) -> None:
    async with await embedded_platform.login("hotelier") as hotelier:
        hotel = await open_hotel(hotelier)
        await register(page)
        await choose_offer(page, hotel, TODAY)
        await pay(page, "Card that works")
        await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
        booking = page.url.rpartition("/")[2]
        for step in ("check-in", "check-out"):
            ok(await hotelier.post(f"/v1/bookings/{booking}/{step}"))
    await page.reload()
    await page.get_by_label("Rating").select_option("9")
    await page.get_by_label("What should others know?").fill("Quiet rooms.")
    await page.get_by_role("button", name="Publish").click()
    await expect(page.get_by_role("heading", name="What the guest says")).to_be_visible()
    await expect(page.get_by_text("Quiet rooms.")).to_be_visible()

    async def is_shown() -> bool:
        await page.goto(f"/hotels/{hotel['hotel_id']}")
        return await page.get_by_text("Quiet rooms.").count() == 1

    await until(is_shown)


async def test_three_d_secure_is_declined(page: Page, embedded_platform: RunningPlatform) -> None:
    hotel = await hotel_of(embedded_platform)
    await register(page)
    await choose_offer(page, hotel)
    await pay(page, "Card with 3-D Secure")
    await page.get_by_role("button", name="Decline").click()
    await expect(page.get_by_role("heading", name="Not booked")).to_be_visible()
    await expect(page.get_by_text("The payment was declined.")).to_be_visible()


async def test_the_last_room_goes_to_somebody_else(page: Page, embedded_platform: RunningPlatform) -> None:
    hotel = await hotel_of(embedded_platform, rooms=1)
    await register(page)
    await choose_offer(page, hotel)
    async with await registered(embedded_platform) as faster:
        booked = await book(faster, (await offer(faster, hotel["hotel_id"]))["offer_token"])
        assert booked.json()["status"] == "confirmed"

        async def nothing_left() -> bool:
            answer = await faster.get(f"/v1/hotels/{hotel['hotel_id']}/offers", params=stay())
            return bool(answer.json()["offers"] == [])

        await until(nothing_left)
    await pay(page, "Card that works")
    await expect(page.get_by_role("heading", name="Not booked")).to_be_visible()
    await expect(page.get_by_text("booked by somebody else")).to_be_visible()
    await page.get_by_role("link", name="See what is free").click()
    await expect(page.get_by_text("Sold out for these dates.")).to_be_visible()


async def test_a_form_that_is_sent_twice_books_once(page: Page, embedded_platform: RunningPlatform) -> None:
    hotel = await hotel_of(embedded_platform)
    await register(page)
    await choose_offer(page, hotel)
    form = await page.locator("form[action^='/book']").evaluate(
        "form => ({address: form.action, body: new URLSearchParams(new FormData(form)).toString()})"
    )
    answers = [
        await page.request.post(
            form["address"], data=form["body"], headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        for _ in range(2)
    ]
    assert answers[0].url == answers[1].url
    assert re.search(r"/bookings/[0-9a-f-]{36}$", answers[0].url)


async def test_everything_works_without_scripts(browser: Browser, embedded_platform: RunningPlatform) -> None:
    hotel = await hotel_of(embedded_platform)
    async with guest_page(browser, embedded_platform, javascript=False) as page:
        await register(page)
        await choose_offer(page, hotel)
        await pay(page, "Card that works")
        await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("link", name="Log in")).to_be_visible()


async def test_every_page_fits_a_phone_and_a_screen_reader(page: Page, embedded_platform: RunningPlatform) -> None:
    hotel = await hotel_of(embedded_platform)
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    await register(page)
    await choose_offer(page, hotel)
    booking_form = page.url
    await pay(page, "Card that works")
    await expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
    query = urlencode({name: str(value) for name, value in stay().items()})
    hotel_page = f"/hotels/{hotel['hotel_id']}?{query}"
    mine = ("/bookings", "/account", "/account/deletion")
    for address in (page.url, "/", f"/?q={hotel['city']}", hotel_page, booking_form, *mine, "/nowhere"):
        await page.goto(address)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], address
        assert await page.evaluate(UNNAMED) == [], address
        assert await page.locator("h1").count() == 1, address
        assert await page.locator("main").count() == 1, address


async def find(page: Page, hotel: dict[str, str]) -> None:
    """Search for the hotel's city by the form, until the search knows the hotel."""
    await page.goto("/")
    await page.get_by_label("Where to?").fill(hotel["city"])
    await page.get_by_label("Check-in").fill(FIRST_NIGHT.isoformat())
    await page.get_by_label("Check-out").fill(str(stay()["check_out"]))
    await page.get_by_role("button", name="Search").click()

    async def found() -> bool:
        await page.reload()
        return await page.get_by_role("link", name=hotel["name"]).count() == 1

    await until(found)
