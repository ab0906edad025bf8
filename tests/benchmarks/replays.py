"""What a replay costs: each read model from nothing to caught up, and the same documents loaded in bulk."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from commands.ports import START, EventStore, LogRun
from infra.embedded.redis import EmbeddedRedis
from infra.eventstore.store import PostgresEventStore
from projections.log_pass import LogPass, Wanted
from tests.benchmarks import books, loads
from tests.benchmarks.reporting import Result, against
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.mongo import MongoWire

HOTELS = 2_000
BOOKINGS = 20_000
_ROUNDS = 2
"""The best of so many counts, on both sides."""


async def results(pool: asyncpg.Pool, folder: Path) -> list[Result]:
    """One pair for each store."""
    counts = await books.store(pool, books.busy_years(HOTELS, BOOKINGS))
    found: list[Result] = []
    async with AsyncExitStack() as stack:
        logs: dict[str, EventStore] = {
            context: await stack.enter_async_context(PostgresEventStore(pool, context)) for context in counts
        }
        for subject in await stack.enter_async_context(_subjects(pool, folder)):
            found += await _measured(subject, logs)
    return found


@asynccontextmanager
async def _subjects(pool: asyncpg.Pool, folder: Path) -> AsyncIterator[Sequence[loads.Subject]]:
    bookings, hotels = books.booking_ids(BOOKINGS), books.hotel_ids(HOTELS)
    places = {name: folder / name for name in ("redis", "mongo", "elasticsearch", "tantivy", "facts")}
    mongo, elasticsearch = MongoWire(places["mongo"]), Elasticsearch(places["elasticsearch"])
    with EmbeddedRedis(places["redis"]) as redis, mongo, elasticsearch:
        documents = [
            loads.postgresql(pool, bookings),
            loads.mongodb(mongo.url),
            loads.elasticsearch(elasticsearch.url, hotels),
            loads.tantivy_files(places["tantivy"], hotels),
        ]
        cells, rows = loads.redis(redis.url), loads.clickhouse(places["facts"])
        async with AsyncExitStack() as stack:
            for subject in documents:
                await subject.open()
                stack.push_async_callback(subject.close)
            stack.push_async_callback(cells.redis.aclose)
            stack.push_async_callback(rows.facts.close)
            yield [*documents, cells, rows]


async def _measured(subject: loads.Subject, logs: Mapping[str, EventStore]) -> list[Result]:
    """The best of some replays, and of as many bulk loads of what the first has written."""
    projection, store = subject.writer.projection, subject.writer.store
    replays, bulks = [], []
    written = events = 0
    for number in range(_ROUNDS):
        build = f"{projection.name}_{2 * number + 1}"
        began = time.perf_counter()
        events = await _replay(subject, build, logs)
        replays.append(time.perf_counter() - began)
        written = written or await subject.fetch(build)
        again = f"{projection.name}_{2 * number + 2}"
        await subject.writer.filling(again).begin(afresh=True)
        began = time.perf_counter()
        await subject.load(again)
        await subject.writer.filled(again)
        bulks.append(time.perf_counter() - began)
        for each in (build, again):
            await store.drop(each)
    what = {"how": f"{written} {subject.kind}, {subject.store}"}
    note = f"{events} events, {round(events / min(replays))} a second"
    baseline = {"name": "baseline: bulk load", **what, "per_second": round(written / min(bulks))}
    replay = {"name": f"replay {projection.name}", **what, "per_second": round(written / min(replays)), "note": note}
    return against(baseline, replay)


async def _replay(subject: loads.Subject, build: str, logs: Mapping[str, EventStore]) -> int:
    """Fill ``build`` from the logs, as a replay does; returns how many events that took."""
    projection = subject.writer.projection
    events = 0
    fill = subject.writer.filling(build)

    async def handle(run: LogRun) -> None:
        nonlocal events
        await fill.write(run)
        events += len(run.events)

    await fill.begin(afresh=True)
    wanted = Wanted(projection.topics, dict.fromkeys(projection.contexts, START))
    await LogPass(logs, [build]).read(build, wanted, handle)
    await fill.flush()
    await subject.writer.filled(build)
    return events
