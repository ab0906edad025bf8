"""The schema comes to be once, whoever asks how often; sessions are set up; who holds readers back is named."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from uuid import uuid4

import asyncpg
import pytest

from commands.ports import START
from infra.eventstore.errors import LogOfAnotherServer
from infra.eventstore.lag import Holder, holders_of_readers
from infra.eventstore.pool import IDLE_IN_TRANSACTION_SECONDS, create_pool
from infra.eventstore.schema import migrate
from infra.eventstore.sql import in_schema
from infra.eventstore.store import PostgresEventStore
from tests.integration.eventstore.counting import Increased, append


async def test_many_processes_may_migrate_at_once(
    pool: asyncpg.Pool, postgres_url: str, fresh_name: Callable[..., str]
) -> None:
    name = fresh_name("events")
    async with await create_pool(postgres_url) as other:
        await asyncio.gather(*(migrate(one, name) for _ in range(4) for one in (pool, other)))
    async with PostgresEventStore(pool, name) as store:
        await store.commit(append(uuid4(), 0, Increased()))
        await migrate(pool, name)
        assert await store.count(START) == 1
    await pool.execute(f'DROP SCHEMA "{name}" CASCADE')


async def test_migrating_does_not_wait_for_open_transactions(pool: asyncpg.Pool, context: str) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            in_schema(
                "INSERT INTO @stored_events (originator_id, originator_version) VALUES (gen_random_uuid(), 1)", context
            )
        )
        async with asyncio.timeout(5):
            await migrate(pool, context)


async def test_a_log_with_transactions_of_another_server_is_refused(pool: asyncpg.Pool, context: str) -> None:
    await pool.execute(
        in_schema(
            "INSERT INTO @stored_events (originator_id, originator_version, transaction_id)"
            " VALUES (gen_random_uuid(), 1, '4000000000')",
            context,
        )
    )
    with pytest.raises(LogOfAnotherServer, match="pg_resetwal --next-transaction-id=4000000001"):
        await migrate(pool, context)


@pytest.mark.parametrize("name", ["", "Inventory", "a-b", 'x"; DROP', "1a", "a" * 52])
async def test_a_name_that_is_none_is_refused(pool: asyncpg.Pool, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a schema"):
        await migrate(pool, name)


async def test_a_transaction_left_open_is_ended_by_the_server(pool: asyncpg.Pool) -> None:
    shown = await pool.fetchval("SHOW idle_in_transaction_session_timeout")
    assert shown == f"{IDLE_IN_TRANSACTION_SECONDS}s"


async def test_who_holds_readers_back_is_named(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        await connection.execute("SELECT pg_current_xact_id() /* the culprit */")

        holders: list[Holder] = []
        async with asyncio.timeout(10):  # other tests' transactions may be older for a moment
            while pid not in [one.pid for one in holders]:
                holders = list(await holders_of_readers(pool, dt.timedelta(0)))

    (holder,) = [one for one in holders if one.pid == pid]
    assert "the culprit" in holder.query
    assert holder.application == "nightledger"
    assert dt.datetime.now(dt.UTC) - holder.since < dt.timedelta(minutes=1)
    assert str(pid) in str(holder)
    assert pid not in [one.pid for one in await holders_of_readers(pool, dt.timedelta(0))]
