"""Read models are rebuilt under readers' eyes: nothing is missing for a moment, and nothing leaves the platform."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import uuid
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import FIRST_NIGHT, book, offer, open_hotel, registered, until

READ_MODELS = {
    "hotel_pages",
    "hotel_search",
    "calendars",
    "booking_pages",
    "payment_pages",
    "review_pages",
    "notices",
    "saga_pages",
    "booking_facts",
}


@pytest.fixture
async def operator(platform: RunningPlatform) -> httpx.AsyncClient:
    return await platform.login("operator")


async def test_everything_is_rebuilt_while_guests_read_and_book(
    platform: RunningPlatform, operator: httpx.AsyncClient
) -> None:
    async with operator, await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier, rooms=50)
        token = (await offer(guest, hotel["hotel_id"]))["offer_token"]
        booking = ok(await book(guest, token), 201)
        before = await told(operator, booking["booking_id"])
        reading = asyncio.create_task(read(guest, hotel, booking["booking_id"]))
        rebuilt = await rebuild(platform, "--all", "--keep", "--why", "a rehearsal")
        assert {replay["projection"] for replay in rebuilt} == READ_MODELS
        assert {replay["state"] for replay in rebuilt} == {"live"}
        assert await told(operator, booking["booking_id"]) == before, "a replay has sent or charged something"

        booking_on = asyncio.gather(*(book(guest, token) for _ in range(5)))
        await rebuild(platform, "hotel_pages", "booking_pages", "--keep")
        await rebuild(platform, "hotel_pages")
        assert [ok(answer, 201)["status"] for answer in await booking_on] == ["confirmed"] * 5
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading

        kept = {item["name"]: item["kept"] for item in ok(await operator.get("/v1/ops/projections"))["items"]}
        assert {name for name, build in kept.items() if build is not None} == READ_MODELS - {"hotel_pages"}
        back = await rebuild(platform, "booking_pages", command="back")
        assert [(replay["build"], replay["state"]) for replay in back] == [(kept["booking_pages"], "live")]
        await until(lambda: lists(guest, hotel["hotel_id"], 6), seconds=60)
        for name in READ_MODELS - {"hotel_pages"}:
            await asyncio.to_thread(platform.run, "projections", "discard", name)
        done = await asyncio.to_thread(platform.run, "audit", "--full")
        assert "no violations" in done.stdout


async def rebuild(platform: RunningPlatform, *arguments: str, command: str = "replay") -> list[dict[str, Any]]:
    """What the command prints of each replay."""
    done = await asyncio.to_thread(platform.run, "projections", command, *arguments, "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


async def told(operator: httpx.AsyncClient, booking_id: str) -> list[str]:
    """Everything that has followed from the booking, over all services, once its saga has ended."""
    saga_id = uuid.uuid5(uuid.UUID(booking_id), "booking")

    async def finished() -> bool:
        return bool(ok(await operator.get(f"/v1/ops/sagas/{saga_id}"))["status"] == "finished")

    await until(finished, seconds=60)
    first, *_ = ok(await operator.get(f"/v1/ops/streams/{booking_id}"))["items"]
    flow = ok(await operator.get(f"/v1/ops/traces/{first['correlation_id']}"))["items"]
    return [event["event_id"] for event in flow]


async def read(guest: httpx.AsyncClient, hotel: dict[str, str], booking_id: str) -> None:
    """Read from each store, again and again: what was there is there."""
    hotel_id = hotel["hotel_id"]
    await until(lambda: finds(guest, hotel), seconds=60)
    await until(lambda: lists(guest, hotel_id, 1), seconds=60)
    while True:
        assert ok(await guest.get(f"/v1/hotels/{hotel_id}"))["hotel_id"] == hotel_id
        assert ok(await guest.get(f"/v1/bookings/{booking_id}"))["status"] == "confirmed"
        assert await lists(guest, hotel_id, 1)
        assert await finds(guest, hotel)
        nights = {"from": FIRST_NIGHT.isoformat(), "to": (FIRST_NIGHT + dt.timedelta(days=2)).isoformat()}
        assert ok(await guest.get(f"/v1/hotels/{hotel_id}/availability", params=nights))["items"]


async def finds(guest: httpx.AsyncClient, hotel: dict[str, str]) -> bool:
    """Whether the hotel is found by its name."""
    items = ok(await guest.get("/v1/hotels", params={"q": hotel["name"]}))["items"]
    return hotel["hotel_id"] in {item["hotel_id"] for item in items}


async def lists(guest: httpx.AsyncClient, hotel_id: str, at_least: int) -> bool:
    """Whether the guest's list has that many bookings."""
    items = ok(await guest.get("/v1/bookings", params={"hotel_id": hotel_id}))["items"]
    return len(items) >= at_least
