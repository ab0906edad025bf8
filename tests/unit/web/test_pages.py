"""What the pages show and send, on an API of one hotel."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import urlencode

import httpx
import pytest
from litestar.testing import AsyncTestClient

from api.web.visitors import local_address
from tests.unit.web.fake_api import (
    ACCESS,
    BOOKING,
    HOTEL,
    PAYMENT,
    PLAN,
    REFRESH,
    TRIP,
    FakeApi,
    problem,
)

BOOK = f"/book?{urlencode({'hotel': HOTEL, 'plan': PLAN, **TRIP})}"
HERE = f"/bookings/{BOOKING}"
DOMAIN = "testserver.local"


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def anonymous(api: FakeApi) -> AsyncIterator[httpx.AsyncClient]:
    async with AsyncTestClient(api.app()) as client:
        client.follow_redirects = False
        yield client


@pytest.fixture
async def guest(anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    """A browser with a session."""
    anonymous.cookies.set("nightledger_access", ACCESS, DOMAIN)
    anonymous.cookies.set("nightledger_refresh", REFRESH, DOMAIN)
    return anonymous


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


async def test_registering_begins_a_session(anonymous: httpx.AsyncClient, api: FakeApi) -> None:
    fields = {"name": "Ada", "email": "ada@example.com", "password": "correct horse", "next": BOOK}
    answer = await sent(anonymous, "/register", fields)
    assert (answer.status_code, answer.headers["location"]) == (303, BOOK)
    assert [path for path, *_ in api.told] == ["auth/register", "auth/login"]
    assert anonymous.cookies["nightledger_access"] == ACCESS


async def test_a_session_is_secure_over_https(api: FakeApi) -> None:
    async with AsyncTestClient(api.app(), base_url="https://hotels.example") as client:
        answer = await sent(client, "/login", {"email": "ada@example.com", "password": "x"}, follow=False)
    cookies = [value.lower() for name, value in answer.headers.multi_items() if name == "set-cookie"]
    assert len(cookies) == 2
    assert all("secure" in cookie and "httponly" in cookie for cookie in cookies)


async def test_a_refused_registration_marks_the_fields(anonymous: httpx.AsyncClient, api: FakeApi) -> None:
    api.refusals["POST /v1/auth/register"] = problem(400, "invalid-request", "", email="is no address")
    answer = await sent(anonymous, "/register", {"name": "Ada", "email": "ada", "password": "secret words"})
    assert answer.status_code == 400
    assert "Is no address." in answer.text
    assert 'value="Ada"' in answer.text
    assert "secret words" not in answer.text


async def test_a_wrong_password_is_told(anonymous: httpx.AsyncClient, api: FakeApi) -> None:
    api.refusals["POST /v1/auth/login"] = problem(401, "unauthenticated")
    answer = await sent(anonymous, "/login", {"email": "ada@example.com", "password": "wrong"})
    assert answer.status_code == 401
    assert "is not right" in answer.text


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


async def test_pages_of_guests_ask_for_a_login(anonymous: httpx.AsyncClient) -> None:
    for path in (BOOK, "/bookings", HERE, f"{HERE}/cancellation"):
        answer = await anonymous.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?{urlencode({'next': path})}")


async def test_a_session_that_was_ended_elsewhere_is_forgotten(anonymous: httpx.AsyncClient) -> None:
    for stale in ("stale", "\u00e9"):
        cookies = {b"Cookie": f"nightledger_access={stale}".encode("latin-1")}
        answer = await anonymous.get("/bookings", headers=cookies)
        assert answer.headers["location"] == "/login?next=%2Fbookings"
        assert any(
            "nightledger_access=" in each and "Max-Age=0" in each for each in answer.headers.get_list("set-cookie")
        )


async def test_tabs_that_open_together_use_a_refresh_token_once(anonymous: httpx.AsyncClient, api: FakeApi) -> None:
    cookies = {"Cookie": f"nightledger_refresh={REFRESH}"}
    answers = await asyncio.gather(*(anonymous.get("/bookings", headers=cookies) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert api.refreshed == 1
    assert all("the-next" in " ".join(answer.headers.get_list("set-cookie")) for answer in answers)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_session_outlives_a_moment_in_which_it_cannot_be_renewed(
    anonymous: httpx.AsyncClient, api: FakeApi, status: int
) -> None:
    cookies = {"Cookie": f"nightledger_refresh={REFRESH}"}
    api.refusals["POST /v1/auth/token"] = problem(status, "later")
    answer = await anonymous.get("/bookings", headers=cookies)
    assert answer.status_code == status
    assert not any("nightledger_refresh=" in each for each in answer.headers.get_list("set-cookie"))
    del api.refusals["POST /v1/auth/token"]
    assert (await anonymous.get("/bookings", headers=cookies)).status_code == 200


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


async def test_a_password_is_taken_as_it_is(anonymous: httpx.AsyncClient, api: FakeApi) -> None:
    await sent(anonymous, "/login", {"email": " ada@example.com ", "password": " with blanks "})
    [(_, told, _)] = [each for each in api.told if each[0] == "auth/login"]
    assert told == {"email": "ada@example.com", "password": " with blanks "}


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


@pytest.mark.parametrize(
    ("status", "steps"),
    [
        ("confirmed", ["check-in", "no-show"]),
        ("no_show", ["check-in"]),
        ("checked_in", ["check-out"]),
        ("checked_out", []),
        ("pending", []),
        ("cancelled", []),
    ],
)
async def test_the_hotels_people_record_the_stay(
    guest: httpx.AsyncClient, api: FakeApi, status: str, steps: list[str]
) -> None:
    api.status, api.user_id, api.roles = status, "2", ["guest", "hotelier"]
    text = await shown(guest, HERE)
    assert re.findall(r'name="step" value="([a-z-]+)"', text) == steps
    for step in steps:
        answer = await guest.post(f"{HERE}/arrival", data=hidden(text) | {"step": step})
        assert (answer.status_code, answer.headers["location"]) == (303, HERE)
        assert api.told[-1][0] == f"bookings/{BOOKING}/{step}"
        assert api.told[-1][2]["if-match"] == '"2"'


async def test_nobody_records_their_own_stay(guest: httpx.AsyncClient, api: FakeApi) -> None:
    assert "At the hotel</h2>" not in await shown(guest, HERE)
    api.roles = ["guest", "hotelier"]
    assert "At the hotel</h2>" not in await shown(guest, HERE)


async def test_a_stay_that_cannot_be_recorded_so_says_why(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.user_id, api.roles = "2", ["operator"]
    text = await shown(guest, HERE)
    path = f"POST /v1{HERE}/check-in"
    api.refusals[path] = problem(409, "illegal-transition", "at the hotel it is only Monday")
    answer = await guest.post(f"{HERE}/arrival", data=hidden(text) | {"step": "check-in"})
    assert answer.status_code == 409
    assert "At the hotel it is only Monday" in answer.text
    told = len(api.told)
    assert (await guest.post(f"{HERE}/arrival", data=hidden(text) | {"step": "../x"})).status_code == 303
    assert len(api.told) == told


async def test_a_guest_reviews_a_stay_that_is_over(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.status = "checked_out"
    fields = hidden(await shown(guest, HERE)) | {"rating": "9", "text": "Quiet\r\nrooms"}
    answer = await guest.post(f"{HERE}/review", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, HERE)
    told = {"booking_id": BOOKING, "rating": 9, "text": "Quiet\nrooms"}
    assert api.told[-1][:2] == (f"hotels/{HOTEL}/reviews", told)
    api.is_reviewed = True
    text = await shown(guest, HERE)
    assert "Quiet &lt;b&gt;rooms&lt;/b&gt;" in text
    assert "Thank you!" in text
    assert "How was it?" not in text


async def test_a_review_that_is_refused_is_not_lost(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.status = "checked_out"
    fields = hidden(await shown(guest, HERE)) | {"rating": "x", "text": "My <long> text"}
    api.refusals[f"POST /v1/hotels/{HOTEL}/reviews"] = problem(
        400, "invalid-request", "rating must be between 1 and 10"
    )
    answer = await guest.post(f"{HERE}/review", data=fields)
    assert answer.status_code == 400
    assert "Rating must be between 1 and 10" in answer.text
    assert "My &lt;long&gt; text</textarea>" in answer.text
    assert api.told[-1][1]["rating"] == 0


async def test_a_rating_without_end_is_no_rating(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.status = "checked_out"
    fields = hidden(await shown(guest, HERE)) | {"rating": "9" * 5_000, "text": "x"}
    assert (await guest.post(f"{HERE}/review", data=fields)).status_code == 303
    assert api.told[-1][1]["rating"] == 0


@pytest.mark.parametrize(("status", "user_id"), [("confirmed", "1"), ("checked_in", "1"), ("checked_out", "2")])
async def test_only_a_guest_who_has_left_is_asked(
    guest: httpx.AsyncClient, api: FakeApi, status: str, user_id: str
) -> None:
    api.status, api.user_id = status, user_id
    assert "How was it?" not in await shown(guest, HERE)


async def test_a_hotel_shows_what_guests_say(anonymous: httpx.AsyncClient) -> None:
    text = await shown(anonymous, f"/hotels/{HOTEL}")
    assert "Quiet &lt;b&gt;rooms&lt;/b&gt;" in text
    assert "Thank you!" in text


async def test_a_refund_that_has_changed_is_told_again(guest: httpx.AsyncClient, api: FakeApi) -> None:
    fields = hidden(await shown(guest, f"{HERE}/cancellation"))
    api.refund = "10.00"
    answer = await guest.post(f"{HERE}/cancellation", data=fields)
    assert answer.status_code == 409
    assert "€10.00" in answer.text
    assert not api.told


async def test_logging_out_ends_the_session(guest: httpx.AsyncClient, api: FakeApi) -> None:
    answer = await sent(guest, "/logout", {}, form="/logout")
    assert answer.headers["location"] == "/"
    assert api.told[-1][0] == "auth/logout"
    assert "nightledger_access" not in guest.cookies


async def test_deleting_the_account_takes_a_page_that_says_what_it_means_and_the_password(
    guest: httpx.AsyncClient, api: FakeApi
) -> None:
    assert 'href="/account/deletion"' in await shown(guest, "/account")
    text = await shown(guest, "/account/deletion")
    assert "You have 1 stay to come" in text
    assert BOOKING in text
    assert not api.told, "looking deletes nothing"
    answer = await guest.post("/account/deletion", data=hidden(text) | {"password": "secret"})
    assert answer.headers["location"] == "/account/deleted"
    assert api.told[-1][:2] == ("me", {"password": "secret"})
    assert "nightledger_access" not in guest.cookies
    assert "nightledger_refresh" not in guest.cookies
    assert "Your account is deleted" in await shown(guest, "/account/deleted")


async def test_nobody_is_kept_from_deleting_the_account_because_a_store_is_away(
    guest: httpx.AsyncClient, api: FakeApi
) -> None:
    api.refusals["GET /v1/bookings"] = problem(503, "temporarily-unavailable", "the store is away")
    text = await shown(guest, "/account/deletion")
    assert "We cannot look up right now" in text
    assert (await guest.post("/account/deletion", data=hidden(text) | {"password": "secret"})).status_code == 303


async def test_an_account_is_not_deleted_from_elsewhere(guest: httpx.AsyncClient, api: FakeApi) -> None:
    answer = await guest.post("/account/deletion", data={"password": "secret", "form_token": "x" * 43})
    assert answer.status_code == 403
    assert not api.told


@pytest.mark.parametrize(
    ("status", "name", "words"),
    [(403, "password-wrong", "The password is wrong."), (409, "last-of-staff", "Somebody has to stay.")],
)
async def test_a_refused_deletion_says_why(
    guest: httpx.AsyncClient, api: FakeApi, status: int, name: str, words: str
) -> None:
    fields = hidden(await shown(guest, "/account/deletion")) | {"password": "wrong"}
    api.refusals["DELETE /v1/me"] = problem(status, name, words.lower().rstrip("."))
    answer = await guest.post("/account/deletion", data=fields)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert "nightledger_access" in guest.cookies


async def test_a_forgotten_guest_is_shown_as_one(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.guest = {"name": "forgotten guest", "email": None, "phone": None, "forgotten": True}
    text = await shown(guest, HERE)
    assert "forgotten guest" in text
    assert "None" not in text


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "", None]
)
def test_nobody_is_sent_elsewhere(elsewhere: str | None) -> None:
    assert local_address(elsewhere) == "/"


def test_pages_of_this_site_may_come_next() -> None:
    assert local_address(BOOK) == BOOK


async def shown(client: httpx.AsyncClient, path: str, **query: str) -> str:
    answer = await client.get(path, params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.text


async def sent(
    client: httpx.AsyncClient, path: str, fields: dict[str, str], *, form: str = "/login", follow: bool = False
) -> httpx.Response:
    """Send a form after having looked at a page that has one."""
    token = hidden((await client.get(form)).text)["form_token"]
    return await client.post(path, data=fields | {"form_token": token}, follow_redirects=follow)


def hidden(text: str) -> dict[str, str]:
    """The hidden fields of all forms of a page."""
    found: dict[str, str] = {}

    class Fields(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            if tag == "input" and given.get("type") == "hidden":
                found[given["name"] or ""] = given["value"] or ""

    Fields().feed(text)
    return found
