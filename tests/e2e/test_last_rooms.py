"""No room-night is sold twice, and none is lost: under a rush, and when everything is killed in the middle of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections import Counter
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import (
    FIRST_NIGHT,
    all_bookings,
    book,
    modify,
    offer,
    open_hotel,
    quoted,
    registered,
    stay,
    until,
)

RUSH = 200
ROOMS = 10
CHANGES = 20
FINAL = {"confirmed", "rejected"}


async def test_two_hundred_want_the_last_ten_rooms(platform: RunningPlatform) -> None:
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier, rooms=ROOMS)
        token = (await offer(guest, hotel["hotel_id"]))["offer_token"]
        answers = await asyncio.gather(*(book(guest, token, wait=30) for _ in range(RUSH)))
        assert {answer.status_code for answer in answers} == {httpx.codes.CREATED}
        outcomes = Counter((answer.json()["status"], answer.json()["reason"]) for answer in answers)
        assert outcomes == {("confirmed", None): ROOMS, ("rejected", "sold_out"): RUSH - ROOMS}
        await until(lambda: _sold_out(guest, hotel), seconds=1)


@pytest.mark.xdist_group("e2e-embedded")
async def test_killed_in_the_middle_of_a_rush(tmp_path: Path) -> None:
    platform = RunningPlatform(tmp_path / "data")
    platform.arguments = ("--demo",)
    with platform:
        async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
            hotel = await open_hotel(hotelier, rooms=ROOMS)
            token = (await offer(guest, hotel["hotel_id"]))["offer_token"]
            keys = [uuid.uuid4().hex for _ in range(RUSH)]
            accepted = await _rush_until_killed(platform, guest, token, keys)
            assert accepted, "nothing was accepted before the kill"
            platform.start()
            await until(lambda: _all_final(guest, RUSH, token, keys), seconds=60)
            bookings = [ok(await guest.get(f"/v1/bookings/{booking_id}")) for booking_id in accepted]
            assert {booking["status"] for booking in bookings} <= FINAL
            await _everything_agrees(platform, guest, hotel)


@pytest.mark.xdist_group("e2e-embedded")
async def test_killed_in_the_middle_of_changes(tmp_path: Path) -> None:
    """Every room is sold; half of the guests want a night more, half a night less. None of them is left in between."""
    platform = RunningPlatform(tmp_path / "data")
    platform.arguments = ("--demo",)
    with platform:
        async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
            hotel = await open_hotel(hotelier, rooms=CHANGES)
            token = (await offer(guest, hotel["hotel_id"]))["offer_token"]
            booked = [ok(answer, 201) for answer in await asyncio.gather(*(book(guest, token) for _ in range(CHANGES)))]
            wanted = {each["booking_id"]: 1 + 2 * (number % 2) for number, each in enumerate(booked)}
            quotes = {
                booking_id: await quoted(guest, booking_id, nights=nights) for booking_id, nights in wanted.items()
            }
            accepted = 0

            async def change(booking_id: str) -> None:
                nonlocal accepted
                try:
                    ok(await modify(guest, booking_id, quotes[booking_id], wait=None, key=booking_id), 202)
                except httpx.TransportError:
                    return  # whether it was taken down is found out with the same key
                accepted += 1
                if accepted == CHANGES // 4:
                    platform.kill()

            await asyncio.gather(*(change(booking_id) for booking_id in wanted))
            assert accepted, "nothing was accepted before the kill"
            platform.start()
            for booking_id in wanted:
                ok(await modify(guest, booking_id, quotes[booking_id], wait=None, key=booking_id), 202)
            await until(lambda: _all_changed(guest, wanted), seconds=60)
            await until(partial(_free, guest, hotel, [0, CHANGES // 2, CHANGES // 2]), seconds=10)
            audit = await asyncio.to_thread(platform.run, "audit", "--full", check=False)
            assert audit.returncode == 0, audit.stdout


async def _all_changed(guest: httpx.AsyncClient, wanted: dict[str, int]) -> bool:
    bookings = [ok(await guest.get(f"/v1/bookings/{booking_id}")) for booking_id in wanted]
    assert "rejected" not in {booking["modification"]["status"] for booking in bookings}
    return {booking["booking_id"]: booking["stay"]["nights"] for booking in bookings} == wanted


async def _free(guest: httpx.AsyncClient, hotel: dict[str, str], rooms: list[int]) -> bool:
    """Whether so many rooms are left on each night from the first on."""
    days = {"from": FIRST_NIGHT.isoformat(), "to": (FIRST_NIGHT + dt.timedelta(days=len(rooms))).isoformat()}
    [item] = ok(await guest.get(f"/v1/hotels/{hotel['hotel_id']}/availability", params=days))["items"]
    return [night["rooms_left"] for night in item["nights"]] == rooms


async def _rush_until_killed(
    platform: RunningPlatform, guest: httpx.AsyncClient, token: str, keys: list[str]
) -> list[str]:
    """Send all; kill as soon as a quarter was accepted; return the ids of what was accepted."""
    accepted: list[str] = []

    async def send(key: str) -> None:
        try:
            answer = await book(guest, token, wait=None, key=key)
        except httpx.TransportError:
            return  # the process died while we waited: whether it was booked is found out with the same key
        accepted.append(ok(answer)["booking_id"])
        if len(accepted) == RUSH // 4:
            platform.kill()

    await asyncio.gather(*(send(key) for key in keys))
    return accepted


async def _all_final(guest: httpx.AsyncClient, count: int, token: str, keys: list[str]) -> bool:
    """Send again with the same keys, as a client does whose connection broke, until every booking has its outcome."""
    answers = await asyncio.gather(*(book(guest, token, wait=20, key=key) for key in keys))
    in_flight = [answer for answer in answers if answer.status_code == httpx.codes.CONFLICT]
    statuses = Counter(answer.json()["status"] for answer in answers if answer not in in_flight)
    return not in_flight and sum(statuses[status] for status in FINAL) == count


async def _everything_agrees(platform: RunningPlatform, guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    """Exactly the rooms there are were sold, and the aggregates and all four read models say the same."""
    listed = await all_bookings(guest, hotel["hotel_id"])
    assert Counter(item["status"] for item in listed) == {"confirmed": ROOMS, "rejected": RUSH - ROOMS}
    aggregates = [ok(await guest.get(f"/v1/bookings/{item['booking_id']}")) for item in listed]
    assert [item["status"] for item in aggregates] == [item["status"] for item in listed]
    await until(lambda: _sold_out(guest, hotel))
    async with await platform.login("operator") as operator:
        period = {"from": FIRST_NIGHT.replace(day=1).isoformat(), "to": "2099-01-01", "hotel_id": hotel["hotel_id"]}

        async def counted() -> bool:
            rows = ok(await operator.get("/v1/analytics/monthly", params=period))["items"]
            return [(row["bookings"], row["cancellations"]) for row in rows] == [(ROOMS, 0)]

        await until(counted)


async def _sold_out(guest: httpx.AsyncClient, hotel: dict[str, str]) -> bool:
    """The calendar says 0 left, and the search does not offer the hotel for these nights."""
    period = {"from": stay()["check_in"], "to": stay()["check_out"]}
    calendar = ok(await guest.get(f"/v1/hotels/{hotel['hotel_id']}/availability", params=period))["items"]
    found = ok(await guest.get("/v1/hotels", params={"city": hotel["city"], **stay()}))["items"]
    return not found and all(night["rooms_left"] == 0 for item in calendar for night in item["nights"])
