"""The event store against plain asyncpg in the same PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid5

import asyncpg

from commands.ports import START, Commit, Metadata, StreamAppend
from domain.inventory.events import RoomTypeOpened
from infra.clock import SystemClock
from infra.eventstore.schema import migrate
from infra.eventstore.store import PostgresEventStore
from tests.benchmarks.reporting import Result, against, latencies

EVENTS = 20_000
CLIENTS = 64
READ_BATCH = 5_000
_SEED = UUID("00000000-0000-0000-0000-00000000000a")


async def results(pool: asyncpg.Pool) -> list[Result]:
    """Appends by many clients, then one reader of the log."""
    await migrate(pool, "bench")
    async with PostgresEventStore(pool, "bench") as store:
        appends = against(await _plain_inserts(pool), await _appends(store))
        return appends + against(await _plain_reads(pool), await _log_reads(store))


async def _appends(store: PostgresEventStore) -> Result:
    at = SystemClock().now()

    async def append(number: int) -> None:
        room_type_id = uuid5(_SEED, str(number))
        event = RoomTypeOpened(hotel_id=_SEED, room_type_id=room_type_id, default_allotment=number, owner_id=_SEED)
        metadata = Metadata(correlation_id=room_type_id, actor="bench", at=at)
        await store.commit(Commit(metadata, (StreamAppend(room_type_id, 0, (event,)),)))

    return await _timed("append: one event a commit", f"{CLIENTS} clients", append)


async def _plain_inserts(pool: asyncpg.Pool) -> Result:
    await pool.execute("CREATE TABLE bench.plain (id bigint PRIMARY KEY, state bytea, metadata jsonb)")
    state, metadata = os.urandom(150), json.dumps({"correlation_id": str(_SEED), "actor": "bench", "at": "2026-01-01"})

    async def insert(number: int) -> None:
        await pool.execute("INSERT INTO bench.plain VALUES ($1, $2, $3)", number, state, metadata)

    return await _timed("baseline: one row an INSERT", f"{CLIENTS} clients, asyncpg", insert)


async def _timed(name: str, how: str, work: Callable[[int], Awaitable[None]]) -> Result:
    numbers = iter(range(EVENTS))
    seconds: list[float] = []

    async def client() -> None:
        for number in numbers:
            began = time.perf_counter()
            await work(number)
            seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    whole = time.perf_counter() - began
    return {"name": name, "how": f"{EVENTS}, {how}", "per_second": round(EVENTS / whole), **latencies(seconds)}


async def _log_reads(store: PostgresEventStore) -> Result:
    began, position, count = time.perf_counter(), START, 0
    while (run := await store.read_log(position, READ_BATCH)).events:
        position, count = run.position, count + len(run.events)
    rate = round(count / (time.perf_counter() - began))
    return {"name": "read the log, decoded", "how": f"batches of {READ_BATCH}", "per_second": rate}


async def _plain_reads(pool: asyncpg.Pool) -> Result:
    began, last, count = time.perf_counter(), -1, 0
    statement = "SELECT id, state, metadata FROM bench.plain WHERE id > $1 ORDER BY id LIMIT $2"
    while rows := await pool.fetch(statement, last, READ_BATCH):
        last, count = rows[-1][0], count + len(rows)
    rate = round(count / (time.perf_counter() - began))
    return {"name": "baseline: read plain rows", "how": f"batches of {READ_BATCH}, asyncpg", "per_second": rate}
