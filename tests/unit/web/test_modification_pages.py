"""Another stay for a booking: what the guest wishes, what it would cost, and the change."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.web.browsing import HERE, hidden, shown
from tests.unit.web.fake_api import BOOKING, PLAN, REVIEW, ROOM, TRIP, FakeApi, modification, problem

CHANGE = f"{HERE}/modification"
QUOTES = f"POST /v1{HERE}/modification-quotes"


async def test_the_form_has_the_stay_as_it_is(guest: httpx.AsyncClient, api: FakeApi) -> None:
    assert f'href="{CHANGE}"' in await shown(guest, HERE)
    text = await shown(guest, CHANGE)
    assert f'value="{TRIP["check_in"]}"' in text
    assert f'value="{TRIP["check_out"]}"' in text
    assert f'<option value="{PLAN}" selected>Double, Flexible, Breakfast included</option>' in text
    assert "How do you pay" not in text
    assert not api.told, "nothing was asked yet"


async def test_what_it_costs_is_said_before_it_is_done(guest: httpx.AsyncClient, api: FakeApi) -> None:
    text = await shown(guest, CHANGE, check_in=TRIP["check_in"], adults="2", rooms="1", plan=PLAN)
    asked = {"check_in": TRIP["check_in"], "adults": 2, "rooms": 1, "rate_plan_id": PLAN, "room_type_id": ROOM}
    assert api.told[-1][:2] == (f"bookings/{BOOKING}/modification-quotes", asked)
    assert "Change and pay €30.00" in text
    assert "3 nights" in text
    assert "Free cancellation until" in text
    api.charge = "0.00"
    text = await shown(guest, CHANGE, rooms="1")
    assert 'id="difference">€50.00' in text
    assert "How do you pay" not in text


async def test_the_change_is_sent_with_its_quote(guest: httpx.AsyncClient, api: FakeApi) -> None:
    text = await shown(guest, CHANGE, adults="1")
    answer = await guest.post(CHANGE, data=hidden(text) | {"payment": "tok_ok"})
    assert (answer.status_code, answer.headers["location"]) == (303, HERE)
    path, content, headers = api.told[-1]
    assert path == f"bookings/{BOOKING}/modifications"
    assert content == {"quote_token": "sealed-quote", "payment": {"provider": "sandbox", "token": "tok_ok"}}
    assert headers["idempotency-key"] == hidden(text)["key"]


@pytest.mark.parametrize(
    ("status", "name", "detail"),
    [
        (409, "not-available", "there are not enough rooms on 2026-07-01"),
        (409, "gives-up-too-late", "to cancel costs 100 % by now"),
        (400, "invalid-request", "adults: must be a number"),
    ],
)
async def test_what_cannot_be_had_is_said_on_the_page(
    guest: httpx.AsyncClient, api: FakeApi, status: int, name: str, detail: str
) -> None:
    api.refusals[QUOTES] = problem(status, name, detail)
    answer = await guest.get(CHANGE, params={"adults": "two", "rooms": "2"})
    assert answer.status_code == status
    assert detail[1:] in answer.text
    assert api.told[-1][1] == {"adults": "two", "rooms": 2}


async def test_a_change_that_is_refused_says_why(guest: httpx.AsyncClient, api: FakeApi) -> None:
    text = await shown(guest, CHANGE, adults="1")
    api.refusals[f"POST /v1{HERE}/modifications"] = problem(409, "illegal-transition", "the booking has changed")
    answer = await guest.post(f"{CHANGE}?adults=1", data=hidden(text))
    assert answer.status_code == 409
    assert "The booking has changed" in answer.text


@pytest.mark.parametrize("status", ["pending", "awaiting_payment", "rejected", "cancelled", "checked_in", "no_show"])
async def test_only_a_confirmed_booking_can_be_changed(guest: httpx.AsyncClient, api: FakeApi, status: str) -> None:
    api.status = status
    assert CHANGE not in await shown(guest, HERE)
    answer = await guest.get(CHANGE, params={"adults": "1"})
    assert (answer.status_code, answer.headers["location"]) == (303, HERE)
    assert not api.told


@pytest.mark.parametrize(("roles", "may"), [(["guest", "hotelier"], False), (["operator"], True)])
async def test_of_others_only_operators_change_and_cancel_a_booking(
    guest: httpx.AsyncClient, api: FakeApi, roles: list[str], may: bool
) -> None:
    api.user_id, api.roles = "2", roles
    text = await shown(guest, HERE)
    assert (CHANGE in text) == (f"{HERE}/cancellation" in text) == may


async def test_while_it_is_changed_the_page_follows_it(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.modification = modification("pending")
    text = await shown(guest, HERE)
    assert ">Being changed</h1>" in text
    assert f'data-follow="{HERE}/events"' in text
    assert CHANGE not in text


async def test_the_bank_asks_for_the_payment_of_the_difference(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.modification, api.action_url = modification("awaiting_payment"), f"/v1/payments/{REVIEW}/action"
    text = await shown(guest, HERE)
    assert ">Waiting for your approval</h1>" in text
    assert "Your bank asks" in text
    answer = await guest.post(f"{HERE}/payment", data=hidden(text) | {"answer": "approve"})
    assert answer.status_code == 303
    assert api.told[-1][:2] == (f"payments/{REVIEW}/action", {"approve": True})


async def test_what_came_of_it_is_told(guest: httpx.AsyncClient, api: FakeApi) -> None:
    api.modification = modification("rejected", "sold_out")
    text = await shown(guest, HERE)
    assert "could not be changed" in text
    assert "not enough rooms" in text
    assert CHANGE in text
    api.modification = modification("modified")
    text = await shown(guest, HERE)
    assert "could not be changed" not in text
    assert "<dt>Paid</dt><dd>€70.35</dd>" in text
