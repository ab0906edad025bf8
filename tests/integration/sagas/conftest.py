"""A bookings log of its own for every test, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from infra.eventstore.pool import create_pool
from infra.eventstore.schema import migrate
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.timers import PostgresTimers
from tests.fakes import FakeClock
from tests.integration.sagas.world import World


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with await create_pool(postgres_url) as pool:
        yield pool


@pytest.fixture
async def world(pool: asyncpg.Pool, fresh_name: Callable[..., str]) -> AsyncIterator[World]:
    context = fresh_name("sagas")
    await migrate(pool, context)
    async with PostgresEventStore(pool, context) as store:
        yield World(store, PostgresTimers(pool, context), FakeClock())
    await pool.execute(f'DROP SCHEMA "{context}" CASCADE')
