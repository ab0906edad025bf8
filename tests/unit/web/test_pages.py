"""What the pages of hotels and bookings show and send, on an API of one hotel."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import httpx
import pytest

from tests.unit.web.browsing import BOOK, HERE, hidden, shown
from tests.unit.web.fake_api import (
    BOOKING,
    HOTEL,
    PAYMENT,
    TRIP,
    FakeApi,
    problem,
)


async def test_the_start_page_invites(anonymous: httpx.AsyncClient) -> None:
    text = await shown(anonymous, "/")
    assert "Where people go" in text
    assert 'href="/login"' in text


async def test_a_search_shows_prices_and_escapes_names(anonymous: httpx.AsyncClient, api: FakeApi) -> None:
    text = await shown(anonymous, f"/?{urlencode({'q': 'lisbon', 'stars': '4', 'adults': '2', **TRIP})}")
    assert "Harbour &lt;House&gt;" in text
    assert "€234.50" in text
    assert f"/hotels/{HOTEL}?check_in={TRIP['check_in']}" in text
    assert "cursor=next-page" in text
    asked = [query for path, query, _ in api.told if path == "search" and "check_in" in query]
    assert {"city": ["Lisbon"], "stars": ["4"]}.items() <= asked[0].items(), "a known city is asked for as one"
    assert "stars" not in asked[1], "counts of the other stars"


@pytest.mark.parametrize("query", ["stars=5&stars=4", "amenities=pool", "sort=price", "price_max=100", "q=+", "x=1"])
async def test_every_filter_works_alone(anonymous: httpx.AsyncClient, query: str) -> None:
    assert "All hotels" in await shown(anonymous, f"/?{query}")


async def test_a_refused_search_says_why(anonymous: httpx.AsyncClient, api: FakeApi) -> None:
    api.refusals["GET /v1/hotels"] = problem(400, "invalid-request", "check_in is in the past")
    await anonymous.get("/")
    answer = await anonymous.get("/", params={"check_in": "2001-01-01", "check_out": "2001-01-02"})
    assert answer.status_code == 400
    assert "in the past" in answer.text


async def test_a_hotel_shows_offers_with_terms_in_words(anonymous: httpx.AsyncClient) -> None:
    text = await shown(anonymous, f"/hotels/{HOTEL}", **TRIP)
    for words in ("€234.50", "Breakfast included", "Free cancellation until", "Last room", "Airport shuttle", "8.4"):
        assert words in text
    assert "javascript:" not in text, "only pictures from https are shown"


async def test_a_hotel_without_offers_is_sold_out(anonymous: httpx.AsyncClient, api: FakeApi) -> None:
    api.offers = []
    assert "Sold out for these dates" in await shown(anonymous, f"/hotels/{HOTEL}", **TRIP)


@pytest.mark.parametrize("path", ["/hotels/00000000-0000-0000-0000-0000000000ff", "/hotels/nonsense", "/nowhere"])
async def test_what_is_not_there_is_a_friendly_page(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "Find a hotel" in answer.text


async def test_machines_get_no_page_for_what_is_not_there(anonymous: httpx.AsyncClient) -> None:
    for answer in (await anonymous.get("/nowhere"), await anonymous.get("/v1/x", headers={"Accept": "text/html"})):
        assert answer.status_code == 404
        assert "json" in answer.headers["content-type"]


async def test_every_page_is_locked_down(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/login")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=", answer.text), "nothing inline"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


async def test_static_files_may_be_kept(anonymous: httpx.AsyncClient) -> None:
    text = await shown(anonymous, "/login")
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', text):
        answer = await anonymous.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("token", ["", "made-up", "\u00e9"])
async def test_a_form_from_elsewhere_is_refused(guest: httpx.AsyncClient, api: FakeApi, token: str) -> None:
    await guest.get("/login")
    for path in (
        BOOK,
        f"{HERE}/cancellation",
        f"{HERE}/payment",
        f"{HERE}/arrival",
        f"{HERE}/review",
        "/logout",
        "/login",
        "/register",
    ):
        answer = await guest.post(path, data={"form_token": token, "key": "1"})
        assert answer.status_code == 403, path
    assert not api.told


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--\r\n',
        ),
        ("application/x-www-form-urlencoded", b"form_token=\xff"),
        ("application/json", b"{}"),
    ],
)
async def test_what_no_browser_sends_is_refused(anonymous: httpx.AsyncClient, kind: str, body: bytes) -> None:
    await anonymous.get("/login")
    assert (await anonymous.post("/login", content=body, headers={"Content-Type": kind})).status_code == 403


async def test_booking_sends_the_offer_with_its_key(guest: httpx.AsyncClient, api: FakeApi) -> None:
    text = await shown(guest, BOOK)
    assert "Book and pay €70.35" in text, "the deposit, by the rule of the domain"
    fields = hidden(text) | {"name": "Ada", "email": "ada@example.com", "phone": "", "payment": "tok_ok"}
    answer = await guest.post(BOOK, data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, HERE)
    path, content, headers = api.told[-1]
    assert (path, content["offer_token"], content["payment"]["token"]) == ("bookings", "sealed-offer", "tok_ok")
    assert content["guest"] == {"name": "Ada", "email": "ada@example.com"}
    assert headers["idempotency-key"] == fields["key"]


async def test_a_wrong_field_comes_back_marked(guest: httpx.AsyncClient, api: FakeApi) -> None:
    fields = hidden(await shown(guest, BOOK)) | {"name": "Ada", "email": "ada", "payment": "tok_declined"}
    api.refusals["POST /v1/bookings"] = problem(400, "invalid-request", "", guest__email="is no address")
    answer = await guest.post(BOOK, data=fields)
    assert answer.status_code == 400
    assert "Is no address." in answer.text
    assert 'value="tok_declined" required checked' in answer.text


async def test_an_offer_that_is_over_says_so(guest: httpx.AsyncClient, api: FakeApi) -> None:
    fields = hidden(await shown(guest, BOOK)) | {"name": "Ada", "email": "a@example.com", "payment": "tok_ok"}
    api.refusals["POST /v1/bookings"] = problem(422, "offer-expired")
    answer = await guest.post(BOOK, data=fields)
    assert answer.status_code == 409
    assert "This offer is over" in answer.text


async def test_a_form_that_is_sent_twice_at_once_books_once(guest: httpx.AsyncClient, api: FakeApi) -> None:
    fields = hidden(await shown(guest, BOOK)) | {"name": "Ada", "email": "a@example.com", "payment": "tok_ok"}
    api.refusals["POST /v1/bookings"] = problem(409, "request-in-flight")
    assert (await guest.post(BOOK, data=fields)).headers["location"] == "/bookings"
    api.refusals["POST /v1/bookings"] = problem(422, "idempotency-mismatch")
    answer = await guest.post(BOOK, data=fields)
    assert "has been sent before" in answer.text
    assert hidden(answer.text)["key"] != fields["key"]


@pytest.mark.parametrize("key", ["\u00e9", "\U0001f4a5", "a\r\nX-Evil: 1", "\0"])
async def test_odd_keys_are_the_apis_to_refuse(guest: httpx.AsyncClient, api: FakeApi, key: str) -> None:
    fields = hidden(await shown(guest, BOOK)) | {"key": key, "name": "Ada", "email": "a@b.example", "payment": "tok_ok"}
    api.refusals["POST /v1/bookings"] = problem(400, "invalid-request", "the key is odd")
    answer = await guest.post(BOOK, data=fields)
    assert answer.status_code == 400
    assert "The key is odd." in answer.text


@pytest.mark.parametrize("name", ["nothing.css", "%00", "..%2fpages.py", "x" * 5_000])
async def test_only_what_is_there_is_served(anonymous: httpx.AsyncClient, name: str) -> None:
    assert (await anonymous.get(f"/static/{name}")).status_code == 404


async def test_a_room_that_is_gone_cannot_be_booked(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.offers = []
    answer = await guest.get(BOOK)
    assert answer.status_code == 409
    assert "Just sold out" in answer.text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("pending", "Being booked"),
        ("confirmed", "expects you on"),
        ("rejected", "booked by somebody else"),
        ("cancelled", "€70.35 go back to you"),
        ("checked_in", "Until"),
        ("checked_out", "Stay completed"),
        ("no_show", "what was paid is not refunded"),
    ],
)
async def test_a_booking_says_where_it_stands(guest: httpx.AsyncClient, api: FakeApi, status: str, words: str) -> None:
    api.status = status
    text = await shown(guest, HERE)
    assert words in text
    assert ("data-follow" in text) == (status == "pending"), "only what still moves is followed"
    assert ("Cancel booking" in text) == (status == "confirmed")
    assert "Booking requested" in text
    assert "The whole record: 2 entries" in text


async def test_the_event_stream_is_the_apis(guest: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    answer = await guest.get(f"{HERE}/events", headers={"Last-Event-ID": "7"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "after 7" in answer.text
    guest.cookies.clear()
    assert (await anonymous.get(f"{HERE}/events")).status_code == 303


async def test_the_bank_is_answered(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.status, api.action_url = "awaiting_payment", f"/v1/payments/{PAYMENT}/action"
    text = await shown(guest, HERE)
    assert "Your bank asks" in text
    answer = await guest.post(f"{HERE}/payment", data=hidden(text) | {"answer": "approve"})
    assert answer.headers["location"] == HERE
    assert api.told[-1][:2] == (f"payments/{PAYMENT}/action", {"approve": True})


async def test_cancelling_tells_the_refund_first(guest: httpx.AsyncClient, api: FakeApi) -> None:
    text = await shown(guest, f"{HERE}/cancellation")
    assert "€70.35" in text
    fields = hidden(text) | {"reason": "plans changed"}
    answer = await guest.post(f"{HERE}/cancellation", data=fields)
    assert answer.headers["location"] == HERE
    assert api.told[-1][:2] == (f"bookings/{BOOKING}/cancellation", {"reason": "plans changed"})


async def test_a_refund_that_has_changed_is_told_again(guest: httpx.AsyncClient, api: FakeApi) -> None:
    fields = hidden(await shown(guest, f"{HERE}/cancellation"))
    api.refund = "10.00"
    answer = await guest.post(f"{HERE}/cancellation", data=fields)
    assert answer.status_code == 409
    assert "€10.00" in answer.text
    assert not api.told


async def test_a_forgotten_guest_is_shown_as_one(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.guest = {"name": "forgotten guest", "email": None, "phone": None, "forgotten": True}
    text = await shown(guest, HERE)
    assert "forgotten guest" in text
    assert "None" not in text
