"""Whoever uses the pool learns that PostgreSQL is away by one error, whichever way the driver has noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

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


async def test_a_server_that_goes_away_within_a_transaction_is_temporary_too(gate: Gate) -> None:
    pool = await create_pool(gate.url, max_size=1)

    async def use() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT 1")
            await gate.shut()
            await connection.execute("SELECT 1")

    with pytest.raises(PostgresAway):
        await use()
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


async def test_the_server_is_asked_once_what_its_own_types_are(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []
    ask: Any = vars(asyncpg.Connection)["_introspect_types"]

    async def counted(connection: Any, typeoids: Iterable[int], seconds: float) -> Any:
        asked.append(tuple(typeoids))
        return await ask(connection, typeoids, seconds)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", counted)
    monkeypatch.setattr("infra.eventstore.pool._Connection._known", {})
    async with await create_pool(gate.url) as pool, pool.acquire() as one, pool.acquire() as other:
        for connection in (one, other):
            assert await connection.fetchval("SELECT $1::float8[]", [0.5]) == [0.5]
        assert len(asked) == 1
        assert await other.fetchval("SELECT $1::int2[]", [1, 2]) == [1, 2]
        assert await one.fetchval("SELECT $1::float8[] || $2::float8[]", [0.5], [0.25]) == [0.5, 0.25]
        assert len(asked) == 2
        # What a database has of its own may be something else in another.
        await one.execute("CREATE TYPE mood AS ENUM ('calm', 'gay')")
        try:
            for connection in (one, other):
                assert await connection.fetchval("SELECT 'calm'::mood") == "calm"
        finally:
            await one.execute("DROP TYPE mood")
        assert len(asked) == 4
