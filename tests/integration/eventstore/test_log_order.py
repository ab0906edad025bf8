"""Nothing is skipped and nothing comes twice, whatever transactions do; and a naive reader fails at that."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import pytest

from commands.ports import START
from infra.eventstore.sql import in_schema
from infra.eventstore.store import PostgresEventStore
from tests.integration.eventstore.counting import Increased, append

APPENDS = 10_000
WRITERS = 8
INSERT = (
    "INSERT INTO @stored_events (originator_id, originator_version, topic, state)"
    " VALUES ($1, 1, 'counting.v1.Increased', '{}')"
)
NAIVE = (
    "SELECT notification_id, originator_id, originator_version FROM @stored_events"
    " WHERE notification_id > $1 ORDER BY notification_id LIMIT 500"
)

Place = tuple[UUID, int]
Reader = Callable[[PostgresEventStore, asyncpg.Pool, asyncio.Event], Coroutine[None, None, list[Place]]]


async def our_reader(store: PostgresEventStore, _pool: asyncpg.Pool, written: asyncio.Event) -> list[Place]:
    """Reads as feeds do: runs that chain, and a wait at the end of the log."""
    seen: list[Place] = []
    position = START
    while True:
        finished = written.is_set()
        run = await store.read_log(position, 500)
        seen += [(one.stream_id, one.version) for one in run.events]
        position = run.position
        if run.position == run.prev:
            if finished:
                return seen
            await store.wait_beyond(position, 0.05)


async def naive_reader(store: PostgresEventStore, pool: asyncpg.Pool, written: asyncio.Event) -> list[Place]:
    """Reads what is there, with the last notification id as its checkpoint."""
    seen: list[Place] = []
    checkpoint = 0
    while True:
        finished = written.is_set()
        rows = await pool.fetch(in_schema(NAIVE, store.context), checkpoint)
        seen += [(row["originator_id"], row["originator_version"]) for row in rows]
        checkpoint = rows[-1]["notification_id"] if rows else checkpoint
        if not rows and finished:
            return seen


@asynccontextmanager
async def low_position_held_open(pool: asyncpg.Pool, context: str) -> AsyncIterator[UUID]:
    """A transaction that has appended to a stream, at the lowest position, and is committed at the end."""
    stream = uuid4()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await connection.execute(in_schema(INSERT, context), stream)
        yield stream


async def append_from_many_writers(pool: asyncpg.Pool, context: str) -> None:
    async def write(store: PostgresEventStore) -> None:
        streams = [uuid4() for _ in range(10)]
        for count in range(APPENDS // WRITERS // 10):
            await asyncio.gather(*(store.commit(append(stream, count, Increased())) for stream in streams))

    async with AsyncExitStack() as stack:  # each a process of its own, as far as PostgreSQL can tell
        stores = [await stack.enter_async_context(PostgresEventStore(pool, context)) for _ in range(WRITERS)]
        await asyncio.gather(*(write(store) for store in stores))


async def read_while_written(store: PostgresEventStore, pool: asyncpg.Pool, readers: list[Reader]) -> list[list[Place]]:
    """Everything that each of ``readers`` has read when all is written."""
    written = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(reader(store, pool, written)) for reader in readers]
        async with low_position_held_open(pool, store.context):
            await append_from_many_writers(pool, store.context)
        written.set()
    return [task.result() for task in reading]


def faults_of(seen: list[Place]) -> list[str]:
    """What is wrong with what a reader has read of APPENDS events and the one that was held open."""
    faults = []
    if len(set(seen)) != APPENDS + 1:
        faults.append("missing")
    if len(set(seen)) != len(seen):
        faults.append("twice")
    of_stream = defaultdict(list)
    for stream, version in seen:
        of_stream[stream].append(version)
    if any(versions != sorted(versions) for versions in of_stream.values()):
        faults.append("disorder")
    return faults


async def test_every_reader_gets_every_event_once_and_in_order(store: PostgresEventStore, pool: asyncpg.Pool) -> None:
    first, second, naive = await read_while_written(store, pool, [our_reader, our_reader, naive_reader])

    assert faults_of(first) == []
    assert faults_of(second) == []
    assert "missing" in faults_of(naive), "the test would not notice a reader that skips"


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_a_run_may_end_between_transactions_that_took_their_ids_crosswise(
    store: PostgresEventStore, pool: asyncpg.Pool, limit: int
) -> None:
    early, late = uuid4(), uuid4()
    async with pool.acquire() as one, pool.acquire() as other:
        first, second = one.transaction(), other.transaction()
        await first.start()
        await one.execute("SELECT pg_current_xact_id()")
        await second.start()
        await other.execute(in_schema(INSERT, store.context), late)  # the later transaction has the lower position
        await one.execute(in_schema(INSERT, store.context), early)
        await second.commit()
        assert (await store.read_log(START, limit)).events == ()  # the earlier one is still open
        await first.commit()

    seen, position = [], START
    while (run := await store.read_log(position, limit)).position != position:
        seen += [recorded.stream_id for recorded in run.events]
        position = run.position

    assert seen == [early, late]
