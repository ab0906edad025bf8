"""``make bench``: ratios against a named baseline, measured in one run on one machine. Gates nothing.

Writes ``build/benchmarks.json`` and prints the same as a table. PostgreSQL is the embedded one, with fsync on.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import uvloop
from rich.console import Console
from rich.table import Table

from commands.ports import START, Commit, Metadata, StreamAppend
from domain.inventory.events import RoomTypeOpened
from infra.clock import SystemClock
from infra.embedded.postgres import EmbeddedPostgres
from infra.eventstore.pool import create_pool
from infra.eventstore.schema import migrate
from infra.eventstore.store import PostgresEventStore

EVENTS = 20_000
CLIENTS = 64
READ_BATCH = 5_000
_SEED = UUID("00000000-0000-0000-0000-00000000000a")


async def main() -> None:
    """Run all, report all."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder, "postgres")) as server:
        async with await create_pool(server.url, max_size=CLIENTS + 8) as pool:
            await migrate(pool, "bench")
            async with PostgresEventStore(pool, "bench") as store:
                results = [await _plain_inserts(pool), await _appends(store)]
                results += [await _plain_reads(pool), await _log_reads(store)]
    _report(results)


async def _appends(store: PostgresEventStore) -> dict[str, Any]:
    at = SystemClock().now()

    async def append(number: int) -> None:
        room_type_id = uuid5(_SEED, str(number))
        event = RoomTypeOpened(hotel_id=_SEED, room_type_id=room_type_id, default_allotment=number, owner_id=_SEED)
        metadata = Metadata(correlation_id=room_type_id, actor="bench", at=at)
        await store.commit(Commit(metadata, (StreamAppend(room_type_id, 0, (event,)),)))

    return await _timed("append: one event a commit", f"{CLIENTS} clients", append)


async def _plain_inserts(pool: asyncpg.Pool) -> dict[str, Any]:
    await pool.execute("CREATE TABLE bench.plain (id bigint PRIMARY KEY, state bytea, metadata jsonb)")
    state, metadata = os.urandom(150), json.dumps({"correlation_id": str(_SEED), "actor": "bench", "at": "2026-01-01"})

    async def insert(number: int) -> None:
        await pool.execute("INSERT INTO bench.plain VALUES ($1, $2, $3)", number, state, metadata)

    return await _timed("baseline: one row an INSERT", f"{CLIENTS} clients, asyncpg", insert)


async def _timed(name: str, how: str, work: Callable[[int], Awaitable[None]]) -> dict[str, Any]:
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
    cuts = statistics.quantiles(seconds, n=100)
    latencies = {f"p{cut}_ms": round(cuts[cut - 1] * 1_000, 2) for cut in (50, 95, 99)}
    return {"name": name, "how": how, "per_second": round(EVENTS / whole), **latencies}


async def _log_reads(store: PostgresEventStore) -> dict[str, Any]:
    began, position, count = time.perf_counter(), START, 0
    while (run := await store.read_log(position, READ_BATCH)).events:
        position, count = run.position, count + len(run.events)
    rate = round(count / (time.perf_counter() - began))
    return {"name": "read the log, decoded", "how": f"batches of {READ_BATCH}", "per_second": rate}


async def _plain_reads(pool: asyncpg.Pool) -> dict[str, Any]:
    began, last, count = time.perf_counter(), -1, 0
    statement = "SELECT id, state, metadata FROM bench.plain WHERE id > $1 ORDER BY id LIMIT $2"
    while rows := await pool.fetch(statement, last, READ_BATCH):
        last, count = rows[-1][0], count + len(rows)
    rate = round(count / (time.perf_counter() - began))
    return {"name": "baseline: read plain rows", "how": f"batches of {READ_BATCH}, asyncpg", "per_second": rate}


def _report(results: list[dict[str, Any]]) -> None:
    for baseline, ours in zip(results[::2], results[1::2], strict=True):
        ours["of_baseline"] = round(ours["per_second"] / baseline["per_second"], 2)
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "fsync": True,
    }
    file = Path("build", "benchmarks.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": machine, "events": EVENTS, "results": results}, indent=2))
    columns = ("name", "how", "per_second", "of_baseline", "p50_ms", "p95_ms", "p99_ms")
    table = Table(*columns, title=f"{EVENTS} events, {machine['cpus']} CPUs, fsync on", box=None)
    for result in results:
        table.add_row(*(str(result.get(column, "")) for column in columns))
    Console(width=140).print(table)


if __name__ == "__main__":
    uvloop.run(main())
