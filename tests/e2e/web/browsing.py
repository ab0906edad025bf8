"""A guest in front of a real Chromium. Whatever the browser complains about fails the test."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.e2e.running import RunningPlatform
from tests.e2e.stories import FIRST_NIGHT, PASSWORD, stay

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 20_000


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        expect.set_options(timeout=PATIENCE_MS)
        yield browser
        await browser.close()


@asynccontextmanager
async def guest_page(browser: Browser, platform: RunningPlatform, *, javascript: bool = True) -> AsyncIterator[Page]:
    """A page of a browser of its own; ends with what went wrong in it unseen."""
    context = await browser.new_context(
        base_url=platform.url, java_script_enabled=javascript, viewport={"width": 1280, "height": 900}
    )
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "status of 4" not in message.text:
            complaints.append(message.text)

    page.on("console", complain)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    await context.close()
    assert not complaints


async def register(page: Page) -> None:
    """Make an account, from the start page."""
    await page.goto("/")
    await page.get_by_role("link", name="Register").click()
    await page.get_by_label("Name").fill("Ada Guest")
    await page.get_by_label("E-mail").fill(f"guest-{uuid.uuid4().hex[:12]}@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Register").click()
    await expect(page.get_by_role("link", name="My bookings").first).to_be_visible()


async def log_in(page: Page, account: Mapping[str, str]) -> None:
    """Log in from the start page, with an account's {email, password}."""
    await page.goto("/")
    await page.get_by_role("link", name="Log in").first.click()
    await page.get_by_label("E-mail").fill(account["email"])
    await page.get_by_label("Password").fill(account["password"])
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("link", name="My bookings").first).to_be_visible()


async def choose_offer(page: Page, hotel: dict[str, str], start: dt.date = FIRST_NIGHT) -> None:
    """Open the hotel for a stay of two nights and choose its first offer."""
    query = urlencode({name: str(value) for name, value in stay(start=start).items()})
    await page.goto(f"/hotels/{hotel['hotel_id']}?{query}")
    await page.get_by_role("link", name="Book Double").first.click()
    await expect(page.get_by_role("heading", name="Your booking")).to_be_visible()


async def pay(page: Page, card: str) -> None:
    """Choose how the payment goes, and book."""
    await page.get_by_text(card, exact=True).click()
    await page.get_by_role("button", name="Book and pay").click()
    await page.wait_for_url("**/bookings/*")
