"""A platform in one process whose log tells of busy years, with every read model built from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx

from commands.ports import Checkpoint, Commit, Metadata
from infra.clock import SystemClock
from infra.embedded.postgres import EmbeddedPostgres
from infra.eventstore.pool import create_pool
from infra.eventstore.store import PostgresEventStore
from infra.messaging.parking import consumer_of
from sagas.runtime import SagaRuntime
from tests.benchmarks import books
from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import until

PATIENCE_SECONDS = 300.0


@asynccontextmanager
async def platform_with_busy_years(folder: Path, hotels: int, bookings: int) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's client of the embedded default: everything in one process of ``nightledger serve``."""
    data = folder / "data"
    data.mkdir(parents=True)
    with EmbeddedPostgres(data / "postgres") as server:
        async with await create_pool(server.url) as pool:
            await books.store(pool, books.busy_years(hotels, bookings))
            await _settle(pool)
    platform = RunningPlatform(data)
    for name in ("NIGHTLEDGER_REPLAY_PROCESS_FROM", "NIGHTLEDGER_REPLAY_PRIORITY"):
        del platform.environment[name]  # as users have it
    platform.arguments = ("--demo",)
    with platform:
        async with await platform.login("operator") as operator:
            await _first_builds(operator)
            yield operator


async def _settle(pool: asyncpg.Pool) -> None:
    """Let the sagas and the services that they command have seen what the log says: it is all over."""
    heads = {context: await PostgresEventStore(pool, context).head() for context in books.CONTEXTS}
    metadata = Metadata(correlation_id=UUID(int=1), actor="bench", at=SystemClock().now())
    feeds = {"bookings": [SagaRuntime.name, consumer_of("bookings")]}
    for home in ("inventory", "bookings", "payments"):
        names = feeds.get(home, [consumer_of(home)])
        checkpoints = tuple(Checkpoint(name, context, head) for name in names for context, head in heads.items())
        async with PostgresEventStore(pool, home) as store:
            await store.commit(Commit(metadata, checkpoints=checkpoints))


async def _first_builds(operator: httpx.AsyncClient) -> None:
    """Return when every read model has been built from the log."""

    async def live() -> bool:
        found = ok(await operator.get("/v1/ops/projections"))["items"]
        return all(each["state"] == "live" for each in found) and await nothing_under_way(operator)

    await until(live, seconds=PATIENCE_SECONDS)


async def nothing_under_way(operator: httpx.AsyncClient) -> bool:
    return not ok(await operator.get("/v1/ops/replays"))["items"]
