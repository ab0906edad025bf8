"""What is told of a stay: who has come and gone, and how it was."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.unit.web.browsing import HERE, hidden, shown
from tests.unit.web.fake_api import (
    BOOKING,
    HOTEL,
    FakeApi,
    problem,
)


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
