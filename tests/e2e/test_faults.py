"""The broker goes away and loses what it had while bookings are under way: nothing is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import FIRST_NIGHT, all_bookings, book, offer, open_hotel, registered, until
from tests.servers.rabbitmq import RabbitMQ

BOOKINGS = 100
ROOMS = 70
RETRIED = {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.CONFLICT}

pytestmark = pytest.mark.xdist_group("e2e-real")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RabbitMQ]:
    """A broker that nobody else uses."""
    server = RabbitMQ(tmp_path / "rabbitmq")
    server.start()
    yield server
    server.stop()


async def test_the_broker_is_restarted_and_emptied_during_a_rush(
    tmp_path: Path, new_real_settings: Callable[[], dict[str, str]], broker: RabbitMQ
) -> None:
    own = {"NIGHTLEDGER_RABBITMQ_URL": broker.url}
    groups = (
        ("gateway", "users", "hotels", "inventory"),
        ("bookings", "payments", "analytics", "reviews", "notifications"),
    )
    platform = RunningPlatform(tmp_path / "data", new_real_settings() | own, groups)
    platform.arguments = ("--demo",)
    with platform:
        async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
            hotel = await open_hotel(hotelier, rooms=ROOMS)
            token = (await offer(guest, hotel["hotel_id"]))["offer_token"]
            half = asyncio.Event()
            accepted: set[str] = set()
            rush = asyncio.gather(*(_book(guest, token, accepted, half) for _ in range(BOOKINGS)))
            await half.wait()
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(broker.purge, "feed.", "commands.")
            await rush
            assert len(accepted) == BOOKINGS
            await until(lambda: _all_final(guest, accepted), seconds=120, every=2)
            bookings = [ok(await guest.get(f"/v1/bookings/{booking_id}")) for booking_id in accepted]
            outcomes = Counter((booking["status"], booking["reason"]) for booking in bookings)
            assert outcomes == {("confirmed", None): ROOMS, ("rejected", "sold_out"): BOOKINGS - ROOMS}
            # Documents are the slowest here: the server that stands in for MongoDB takes some 10 ms for each update.
            await until(lambda: _listed(guest, hotel["hotel_id"], accepted), seconds=200, every=4)
            await _facts_agree(platform, hotel["hotel_id"])


async def _book(guest: httpx.AsyncClient, token: str, accepted: set[str], half: asyncio.Event) -> None:
    """Book as a careful client does: with the same key again while the platform cannot say what became of it."""
    key = uuid.uuid4().hex
    while True:
        answer = await book(guest, token, wait=None, key=key)
        if answer.status_code not in RETRIED:
            accepted.add(ok(answer, 202, 201)["booking_id"])
            if len(accepted) >= BOOKINGS // 2:
                half.set()
            return
        await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))


async def _all_final(guest: httpx.AsyncClient, accepted: set[str]) -> bool:
    answers = await asyncio.gather(*(guest.get(f"/v1/bookings/{booking_id}") for booking_id in accepted))
    return all(ok(answer)["status"] in {"confirmed", "rejected"} for answer in answers)


async def _listed(guest: httpx.AsyncClient, hotel_id: str, accepted: set[str]) -> bool:
    listed = await all_bookings(guest, hotel_id)
    settled = {item["booking_id"] for item in listed if item["status"] in {"confirmed", "rejected"}}
    return settled == accepted


async def _facts_agree(platform: RunningPlatform, hotel_id: str) -> None:
    period = {"from": FIRST_NIGHT.replace(day=1).isoformat(), "to": "2099-01-01", "hotel_id": hotel_id}
    async with await platform.login("analyst") as analyst:

        async def counted() -> bool:
            rows = ok(await analyst.get("/v1/analytics/monthly", params=period))["items"]
            return [row["bookings"] for row in rows] == [ROOMS]

        await until(counted, seconds=60)
