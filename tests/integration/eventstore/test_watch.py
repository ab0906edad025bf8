"""Who waits is woken at once: over processes, past transactions that hold readers back, and after a lost connection.

Polling is out of the way here: it happens once a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from commands.ports import START
from infra.eventstore import watch
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.watch import LogWatch
from tests.integration.eventstore.counting import Increased, append

LISTENING = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' || $1 || '%' AND pid <> pg_backend_pid()"


@pytest.fixture(autouse=True)
def _polling_out_of_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_FALLBACK_SECONDS", 60.0)


@pytest.fixture
async def elsewhere(pool: asyncpg.Pool, context: str, store: PostgresEventStore) -> AsyncIterator[PostgresEventStore]:
    """The same store in another process."""
    del store  # it was opened first
    async with PostgresEventStore(pool, context) as other:
        yield other


async def test_a_commit_elsewhere_wakes(store: PostgresEventStore, elsewhere: PostgresEventStore) -> None:
    position = START
    for _ in range(5):
        waiting = asyncio.create_task(store.wait_beyond(position, 10))
        position = await elsewhere.commit(append(uuid4(), 0, Increased()))
        assert await waiting
        assert await store.head() == position


async def test_what_was_committed_while_nobody_waited_is_noticed(
    store: PostgresEventStore, elsewhere: PostgresEventStore
) -> None:
    position = await elsewhere.commit(append(uuid4(), 0, Increased()))
    assert await store.wait_beyond(START, 10)
    assert not await store.wait_beyond(position, 0.05)
    await elsewhere.commit(append(uuid4(), 0, Increased()))
    assert await elsewhere.wait_beyond(position, 10)
    assert await store.wait_beyond(position, 10)


async def test_the_end_of_a_transaction_that_held_readers_back_wakes(
    store: PostgresEventStore, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as connection:
        holding = connection.transaction()
        await holding.start()
        await connection.execute("SELECT pg_current_xact_id()")
        position = await store.commit(append(uuid4(), 0, Increased()))
        assert not await store.wait_beyond(START, 0.2)
        waiting = asyncio.create_task(store.wait_beyond(START, 10))
        assert not await store.wait_beyond(START, 0.2)
        await holding.rollback()

    assert await waiting
    assert await store.head() == position


async def test_many_who_wait_cost_one_question(store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    heads = LogWatch.heads

    async def counted(self: LogWatch) -> object:
        nonlocal asked
        asked += 1
        return await heads(self)

    monkeypatch.setattr(LogWatch, "heads", counted)
    waiting = [asyncio.create_task(store.wait_beyond(START, 10)) for _ in range(50)]
    await store.commit(append(uuid4(), 0, Increased()))

    assert await asyncio.gather(*waiting) == [True] * 50
    assert asked < 10


async def test_a_lost_connection_is_replaced(
    store: PostgresEventStore, elsewhere: PostgresEventStore, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_RECONNECT_SECONDS", 0.01)
    pids = {row["pid"] for row in await pool.fetch(LISTENING, store.context)}
    assert len(pids) == 2
    for pid in pids:
        await pool.execute("SELECT pg_terminate_backend($1)", pid)
    while len({row["pid"] for row in await pool.fetch(LISTENING, store.context)} - pids) < 2:
        pass

    waiting = asyncio.create_task(store.wait_beyond(START, 10))
    await elsewhere.commit(append(uuid4(), 0, Increased()))
    assert await waiting


async def test_what_passes_by_itself_ends_no_watch(
    pool: asyncpg.Pool, context: str, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a standby says that is just being promoted."""
    del store  # it was opened first
    monkeypatch.setattr(watch, "_RECONNECT_SECONDS", 0.05)
    failures, listening = 3, asyncio.Event()
    listen = asyncpg.Connection.add_listener

    async def refused(connection: asyncpg.Connection, *what: Any) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise asyncpg.ReadOnlySQLTransactionError("cannot execute LISTEN during recovery")
        await listen(connection, *what)
        listening.set()

    monkeypatch.setattr(asyncpg.Connection, "add_listener", refused)
    async with PostgresEventStore(pool, context) as other:
        waiting = asyncio.create_task(other.wait_beyond(START, 10))
        await asyncio.wait_for(listening.wait(), 10)
        await other.commit(append(uuid4(), 0, Increased()))
        assert await waiting
