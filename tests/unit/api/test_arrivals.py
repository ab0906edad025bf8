"""What hotels record of a stay: the guest has come, has left, or has not come."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.unit.api.conftest import CHECK_IN, World, book, offer_token, ok, open_hotel, refused

OWNER, GUEST = uuid4(), uuid4()


@pytest.fixture
async def booking(world: World) -> dict[str, Any]:
    """A confirmed booking of GUEST at OWNER's hotel."""
    hotel = await open_hotel(await world.as_("hotelier", account_id=OWNER))
    guest = await world.as_("guest", account_id=GUEST)
    made: dict[str, Any] = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    return made


async def at_the_hotel(world: World, day: int, hour: int) -> httpx.AsyncClient:
    """OWNER, when it is that hour in Lisbon (UTC+1 in summer), so many days after the check-in date."""
    local = dt.datetime.combine(CHECK_IN + dt.timedelta(days=day), dt.time(hour), dt.timezone(dt.timedelta(hours=1)))
    world.memory.clock.advance(seconds=(local - world.memory.clock.now()).total_seconds())
    return await world.as_("hotelier", account_id=OWNER)


async def test_a_stay_from_check_in_to_check_out(world: World, booking: dict[str, Any]) -> None:
    path = booking["links"]["self"]
    hotelier = await at_the_hotel(world, 0, 0)
    guest = await world.as_("guest", account_id=GUEST)
    arrived = await hotelier.post(f"{path}/check-in")
    assert ok(arrived)["status"] == "checked_in"
    assert arrived.headers["etag"] == f'"{ok(arrived)["version"]}"'
    assert arrived.headers["x-position"].startswith("bookings:")
    left = ok(await hotelier.post(f"{path}/check-out"))
    assert ok(await guest.get(path)) == left
    assert left["status"] == "checked_out"
    history = ok(await guest.get(booking["links"]["history"]))["items"]
    assert [item["what"].rpartition(".")[2] for item in history][-2:] == ["GuestCheckedIn", "GuestCheckedOut"]
    assert history[-1]["who"] != history[0]["who"]
    listed = ok(await hotelier.get("/v1/bookings", params={"status": "checked_out"}))["items"]
    assert [item["booking_id"] for item in listed] == [booking["booking_id"]]


async def test_the_day_is_that_of_the_hotel(world: World, booking: dict[str, Any]) -> None:
    hotelier = await at_the_hotel(world, -1, 23)
    problem = refused(await hotelier.post(f"{booking['links']['self']}/check-in"), 409, "illegal-transition")
    assert str(CHECK_IN) in problem["detail"]
    hotelier = await at_the_hotel(world, 0, 0)  # still the day before in UTC
    assert ok(await hotelier.post(f"{booking['links']['self']}/check-in"))["status"] == "checked_in"


async def test_a_guest_who_does_not_come_and_then_does(world: World, booking: dict[str, Any]) -> None:
    path = booking["links"]["self"]
    hotelier = await at_the_hotel(world, 0, 14)
    refused(await hotelier.post(f"{path}/no-show"), 409, "illegal-transition")
    hotelier = await at_the_hotel(world, 0, 15)
    assert ok(await hotelier.post(f"{path}/no-show"))["status"] == "no_show"
    guest = await world.as_("guest", account_id=GUEST)
    refused(await guest.post(f"{path}/cancellation"), 409, "illegal-transition")
    hotelier = await at_the_hotel(world, 1, 9)
    assert ok(await hotelier.post(f"{path}/check-in"))["status"] == "checked_in"


async def test_repeating_a_request_with_its_key_changes_nothing(world: World, booking: dict[str, Any]) -> None:
    path, key = f"{booking['links']['self']}/check-in", {"Idempotency-Key": uuid4().hex}
    hotelier = await at_the_hotel(world, 0, 16)
    first = ok(await hotelier.post(path, headers=key))
    assert ok(await hotelier.post(path, headers=key)) == first
    refused(await hotelier.post(path), 409, "illegal-transition")


async def test_only_the_version_that_was_seen(world: World, booking: dict[str, Any]) -> None:
    hotelier = await at_the_hotel(world, 0, 16)
    path, version = booking["links"]["self"], booking["version"]
    for step in ("check-in", "no-show"):
        stale = {"If-Match": f'"{version - 1}"'}
        refused(await hotelier.post(f"{path}/{step}", headers=stale), 412, "version-mismatch")
    arrived = ok(await hotelier.post(f"{path}/check-in", headers={"If-Match": f'"{version}"'}))
    refused(await hotelier.post(f"{path}/check-out", headers={"If-Match": f'"{version}"'}), 412, "version-mismatch")
    ok(await hotelier.post(f"{path}/check-out", headers={"If-Match": f'"{arrived["version"]}"'}))


@pytest.mark.parametrize(
    ("step", "after"), [("check-in", "checked_in"), ("check-out", "checked_out"), ("no-show", "no_show")]
)
async def test_it_is_for_the_hotel_and_for_operators(
    world: World, booking: dict[str, Any], step: str, after: str
) -> None:
    await at_the_hotel(world, 0, 16)
    path = f"{booking['links']['self']}/{step}"
    refused(await world.anonymous.post(path), 401, "unauthenticated")
    refused(await (await world.as_("guest", account_id=GUEST)).post(path), 403, "forbidden")
    refused(await (await world.as_("hotelier")).post(path), 404, "not-found")
    operator = await world.as_("operator")
    if step == "check-out":
        ok(await operator.post(f"{booking['links']['self']}/check-in"))
    assert ok(await operator.post(path))["status"] == after


async def test_a_hotelier_is_a_guest_at_other_hotels(world: World) -> None:
    """Who may see a booking because it is theirs does not thereby keep the hotel's book."""
    other = await open_hotel(await world.as_("hotelier"))
    visitor = await world.as_("hotelier", account_id=OWNER)
    booking = ok(await book(visitor, await offer_token(visitor, other["hotel_id"])), 201)
    visitor = await at_the_hotel(world, 0, 16)
    refused(await visitor.post(f"{booking['links']['self']}/check-in"), 403, "forbidden")
