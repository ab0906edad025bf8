"""A schema of its own for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from infra.eventstore.pool import create_pool
from infra.eventstore.schema import migrate
from infra.eventstore.store import PostgresEventStore


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to the real server."""
    async with await create_pool(postgres_url) as pool:
        yield pool


@pytest.fixture
async def context(pool: asyncpg.Pool, fresh_name: Callable[..., str]) -> AsyncIterator[str]:
    """The name of a context whose schema is there."""
    name = fresh_name("events")
    await migrate(pool, name)
    yield name
    await pool.execute(f'DROP SCHEMA "{name}" CASCADE')


@pytest.fixture
async def store(pool: asyncpg.Pool, context: str) -> AsyncIterator[PostgresEventStore]:
    """An open store."""
    async with PostgresEventStore(pool, context) as store:
        yield store
