"""Accounts and sessions in a browser: begun, renewed, ended, deleted."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import httpx
import pytest
from litestar.testing import AsyncTestClient

from api.web.visitors import local_address
from tests.unit.web.browsing import BOOK, HERE, hidden, sent, shown
from tests.unit.web.fake_api import (
    ACCESS,
    BOOKING,
    REFRESH,
    FakeApi,
    problem,
)


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


async def test_a_password_is_taken_as_it_is(anonymous: httpx.AsyncClient, api: FakeApi) -> None:
    await sent(anonymous, "/login", {"email": " ada@example.com ", "password": " with blanks "})
    [(_, told, _)] = [each for each in api.told if each[0] == "auth/login"]
    assert told == {"email": "ada@example.com", "password": " with blanks "}


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


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "", None]
)
def test_nobody_is_sent_elsewhere(elsewhere: str | None) -> None:
    assert local_address(elsewhere) == "/"


def test_pages_of_this_site_may_come_next() -> None:
    assert local_address(BOOK) == BOOK
