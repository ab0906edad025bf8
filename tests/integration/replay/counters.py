"""Read models of counters, in a store that tests can hold up, break or empty; and the processes that keep them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import asyncpg

from commands.ports import Commit, LogRun, Position, RecordedEvent, StreamAppend
from infra.eventstore.builds import PostgresBuilds
from infra.eventstore.dead_letters import PostgresDeadLetters
from infra.eventstore.leadership import leader_lock
from infra.eventstore.schema import migrate
from infra.eventstore.store import PostgresEventStore
from infra.messaging.feeds import Feeds
from infra.messaging.log_tail import LogSources
from infra.messaging.stats import Stats
from infra.stores.pg_documents import PostgresDocuments
from projections.builds import Build
from projections.filling import fillers_here
from projections.ports import Document, FoldedDocument, StoreUnavailable
from projections.projection import DocumentProjection
from projections.read_models import ReadModels
from projections.replay_orders import ReplayOrders
from projections.writers import FoldWriter
from tests.e2e.stories import until
from tests.fakes import FakeClock
from tests.integration.eventstore.counting import Increased, Praised, metadata

CONTEXT = "counting"
_MANY = 10_000


class Totals(DocumentProjection):
    """One document per counter: how far it has come."""

    name, version, service, takes = "totals", 1, CONTEXT, (Increased,)

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """The counter."""
        return (str(recorded.stream_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """Add. An event whose note says so cannot be applied."""
        assert isinstance(recorded.event, Increased)
        if recorded.event.note == "poison":
            raise ValueError("this note cannot be read")
        return {"total": (document or {"total": 0})["total"] + recorded.event.by, "by": f"version {self.version}"}


class TotalsTwo(Totals):
    """The next version of it."""

    version = 2


class Praises(DocumentProjection):
    """One document per counter: how often it was praised."""

    name, version, service, takes = "praises", 1, CONTEXT, (Praised, Increased)

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """The counter."""
        return (str(recorded.stream_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """Count."""
        return {"praises": (document or {"praises": 0})["praises"] + isinstance(recorded.event, Praised)}


class HeldUp(PostgresDocuments):
    """A document store that tests can make slow or have away, and whose writes they can count."""

    def __init__(self, pool: asyncpg.Pool, schema: str) -> None:
        super().__init__(pool, schema)
        self._permits = asyncio.Semaphore(_MANY)
        self.away = False
        self.full = False
        """Whether no build can be begun, though everything else works."""
        self.saved: Counter[str] = Counter()
        """How many documents were written to each build."""

    def hold(self, *, after: int) -> None:
        """Let so many runs be written, and no more."""
        self._permits = asyncio.Semaphore(after)

    def let_go(self) -> None:
        """Hold up nobody any more."""
        for _ in range(_MANY):
            self._permits.release()

    async def prepare(self, build: str) -> None:
        """See FoldStore."""
        if self.full:
            raise StoreUnavailable("it is full")
        await super().prepare(build)

    async def save(self, build: str, documents: Sequence[FoldedDocument], *, filling: bool = False) -> frozenset[str]:
        """See FoldStore."""
        await self._permits.acquire()
        if self.away:
            raise StoreUnavailable("it is away")
        refused = await super().save(build, documents, filling=filling)
        self.saved[build] += len(documents)
        return refused


class CountingLog(PostgresEventStore):
    """A log that counts what was read of it from the very beginning on."""

    reads: int = 0

    async def read_log(
        self, after: Position, limit: int, *, topics: frozenset[str] | None = None, up_to: Position | None = None
    ) -> LogRun:
        """See EventStore."""
        run = await super().read_log(after, limit, topics=topics, up_to=up_to)
        self.reads += len(run.events)
        return run


@dataclass
class Place:
    """The servers: what outlives processes. ``stores`` by read model."""

    pool: asyncpg.Pool
    log: CountingLog
    builds: PostgresBuilds
    stores: Mapping[str, HeldUp]
    events: dict[UUID, int] = field(default_factory=dict)

    async def append(self, *, counters: int, increases: int, note: str = "") -> None:
        """Let ``counters`` new counters begin, each increased so often and praised once."""
        for _ in range(counters):
            stream = uuid4()
            steps = [Increased(note=note if step == increases - 1 else "") for step in range(increases)]
            await self.log.commit(Commit(metadata(), (StreamAppend(stream, 0, (*steps, Praised())),)))
            self.events[stream] = increases

    async def go_on(self) -> None:
        """Increase every counter once."""
        for stream, increases in self.events.items():
            await self.log.commit(Commit(metadata(), (StreamAppend(stream, increases + 1, (Increased(),)),)))

    async def total(self, stream: UUID) -> Document | None:
        """What readers see."""
        return await self.stores["totals"].get("totals", str(stream))

    async def states(self, projection: str) -> dict[str, str]:
        """The state of each build that was not dropped."""
        return {build.name: build.state for build in await self.builds.builds(projection)}

    def orders(self, *projections: DocumentProjection) -> ReplayOrders:
        """What operators order."""
        return ReplayOrders(projections, {CONTEXT: self.builds}, uuid4)


class Leadership:
    """Whose feed it is, by session locks."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def lead(self, role: str) -> AsyncIterator[asyncio.Event]:
        """See Leadership."""
        async with leader_lock(self._pool, role):
            yield asyncio.Event()


@asynccontextmanager
async def place(pool: asyncpg.Pool) -> AsyncIterator[Place]:
    """A log and stores in a database that nobody else uses."""
    await migrate(pool, CONTEXT)
    stores = {name: HeldUp(pool, f"documents_{name}") for name in ("totals", "praises")}
    for store in stores.values():
        await store.open()
    async with CountingLog(pool, CONTEXT) as log:
        yield Place(pool, log, PostgresBuilds(pool, CONTEXT), stores)


@asynccontextmanager
async def process(at: Place, *projections: DocumentProjection) -> AsyncIterator[ReadModels]:
    """A process whose code has ``projections``; its end is that of a process that is stopped."""
    clock, logs = FakeClock(), {CONTEXT: at.log}
    letters = PostgresDeadLetters(at.pool, CONTEXT)
    leadership = Leadership(at.pool)
    feeds = Feeds(logs, {CONTEXT: letters}, {CONTEXT: leadership}, LogSources(logs), clock, uuid4, Stats())
    writers = [FoldWriter(projection, at.stores[projection.name]) for projection in projections]
    registries = {CONTEXT: at.builds}
    fillers = fillers_here(writers, registries=registries, logs=logs, clock=clock, wait=_sooner)
    read_models = ReadModels(
        writers,
        registries=registries,
        logs=logs,
        feeds=feeds,
        fillers=fillers,
        clock=clock,
        new_id=uuid4,
        wait=_sooner,
    )
    await read_models.open()
    watching = asyncio.create_task(read_models.watch())
    try:
        yield read_models
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await read_models.close()
        await feeds.close()
        if not watching.cancelled():
            watching.result()  # it has ended by itself: this says why


async def _sooner(seconds: float) -> None:
    await asyncio.sleep(seconds / 5)


async def ended(at: Place, build: Build) -> Build:
    """``build`` once it is no longer on its way."""

    async def is_over() -> bool:
        return build.name not in {each.name for each in await at.orders(Totals(), Praises()).under_way()}

    await until(is_over)
    found = await at.builds.of_replay(build.replay_id)
    assert found is not None
    return found
