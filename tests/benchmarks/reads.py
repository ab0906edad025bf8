"""What guests notice of a replay: latencies of a steady load of reads over HTTP, without one and during one.

The platform is the embedded default: everything in one process of ``nightledger serve``, the replay included. Requests
are sent when they are due, whether earlier ones were answered or not, and are timed from then.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from tests.benchmarks import books
from tests.benchmarks.busy_platform import PATIENCE_SECONDS, nothing_under_way, platform_with_busy_years
from tests.benchmarks.reporting import Result, latencies
from tests.e2e.running import ok
from tests.e2e.stories import until

HOTELS = 500
BOOKINGS = 10_000
SECONDS = 30.0
PER_SECOND = 60
_SEED = 11
_NIGHTS = {"from": "2026-06-01", "to": "2026-06-08"}


async def results(folder: Path) -> list[Result]:
    """Reads without a replay, then during replays of all read models."""
    async with platform_with_busy_years(folder, HOTELS, BOOKINGS) as operator:
        quiet = await _load(operator)
        before = await _builds(operator)
        async with asyncio.TaskGroup() as group:
            replaying = group.create_task(_replay_again_and_again(operator))
            busy = await _load(operator)
            replaying.cancel()
        replayed = await _builds(operator) - before
    how = f"{PER_SECOND} requests a second, {SECONDS:.0f} s, one process"
    baseline: Result = {"name": "baseline: reads, no replay", "how": how, **latencies(quiet)}
    during: Result = {"name": "reads while all is replayed", "how": how, **latencies(busy)}
    during["note"] = f"p99 {during['p99_ms'] / baseline['p99_ms']:.2f} times; {replayed} builds swapped in meanwhile"
    return [baseline, during]


async def _load(operator: httpx.AsyncClient) -> list[float]:
    """Send reads when they are due; seconds from then to each answer. Fails if one is not what it must be.

    The client shares the processors with what it measures, so it is one that takes little of them.
    """
    headers = {"Authorization": operator.headers["Authorization"]}
    async with aiohttp.ClientSession(str(operator.base_url), headers=headers) as client:
        return await _sent(client)


async def _sent(client: aiohttp.ClientSession) -> list[float]:
    chance = random.Random(_SEED)
    hotels, bookings = books.hotel_ids(HOTELS), books.booking_ids(BOOKINGS)
    seconds: list[float] = []

    async def read(due: float) -> None:
        hotel_id, booking_id = str(chance.choice(hotels)), str(chance.choice(bookings))
        path, parameters, field, expected = chance.choice(
            (
                (f"/v1/hotels/{hotel_id}", {}, "hotel_id", hotel_id),
                ("/v1/hotels", {"q": "quiet lisbn"}, "total", None),
                (f"/v1/hotels/{hotel_id}/availability", _NIGHTS, "items", None),
                (f"/v1/bookings/{booking_id}", {}, "booking_id", booking_id),
            )
        )
        async with client.get(path, params=parameters, raise_for_status=True) as answer:
            found: Any = (await answer.json())[field]
        assert found if expected is None else found == expected, (path, found)
        seconds.append(time.perf_counter() - due)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(SECONDS * PER_SECOND)):
            due = began + number / PER_SECOND
            await asyncio.sleep(due - time.perf_counter())
            group.create_task(read(due))
    return seconds


async def _builds(operator: httpx.AsyncClient) -> int:
    """How many builds there have been; they are numbered."""
    found = ok(await operator.get("/v1/ops/projections"))["items"]
    return sum(int(each["build"].rpartition("_")[2]) for each in found)


async def _replay_again_and_again(operator: httpx.AsyncClient) -> None:
    while True:
        ok(await operator.post("/v1/ops/replays", json={}), 202)
        await until(lambda: nothing_under_way(operator), seconds=PATIENCE_SECONDS)
