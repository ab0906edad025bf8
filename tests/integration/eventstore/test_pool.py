"""Whoever uses the pool learns that PostgreSQL is away by one error, whichever way the driver has noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from commands.ports import Temporary
from infra.eventstore.errors import PostgresAway
from infra.eventstore.pool import create_pool
from tests.contract.gate import Gate


@pytest.fixture
async def gate(postgres_url: str) -> AsyncIterator[Gate]:
    gate = Gate(postgres_url)
    await gate.open()
    yield gate
    await gate.shut()


async def test_a_server_that_is_away_is_temporary_for_everybody_and_comes_back(gate: Gate) -> None:
    pool = await create_pool(gate.url, max_size=2)
    async with pool.acquire() as connection:
        waiting = asyncio.create_task(connection.fetchval("SELECT pg_sleep(60)"))
        await asyncio.sleep(0)
        await gate.shut()
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await waiting
    for use in (pool.execute, pool.fetch, pool.fetchrow, pool.fetchval):
        with pytest.raises(PostgresAway, match="PostgreSQL"):
            await use("SELECT 1")
    with pytest.raises(Temporary):
        async with pool.acquire() as connection:
            await connection.execute("SELECT 1")
    await gate.open()
    assert await pool.fetchval("SELECT 1") == 1
    pool.terminate()


async def test_what_the_server_refuses_is_nothing_temporary(gate: Gate) -> None:
    async with await create_pool(gate.url) as pool:
        with pytest.raises(asyncpg.UndefinedTableError):
            await pool.fetch("SELECT * FROM nowhere")
        with pytest.raises(asyncpg.InterfaceError, match="expects 0 arguments"):
            await pool.fetch("SELECT 1", "a mistake of ours")
        assert await pool.fetchval("SELECT 1") == 1


async def test_a_connection_that_the_driver_has_lost_track_of_is_not_used_again(gate: Gate) -> None:
    async with await create_pool(gate.url, max_size=1) as pool:
        before = await pool.fetchval("SELECT pg_backend_pid()")
        with pytest.raises(PostgresAway, match="in progress"):
            async with pool.acquire():
                raise asyncpg.InternalClientError("another operation is in progress")
        assert await pool.fetchval("SELECT pg_backend_pid()") != before
