"""The PostgreSQL servers that the contracts of the write side are kept on, each with a fresh schema per test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from infra.eventstore.pool import create_pool
from infra.eventstore.schema import migrate
from tests.servers import fresh_name

SERVERS = ("postgres_url", "embedded_postgres_url")
"""Names of the fixtures: the distribution's server, and that of the embedded default."""


@asynccontextmanager
async def fresh_context(url: str) -> AsyncIterator[tuple[asyncpg.Pool, str]]:
    """A pool on ``url`` and the name of a context whose schema is there."""
    context = fresh_name("contract")
    async with await create_pool(url) as pool:
        await migrate(pool, context)
        yield pool, context
        await pool.execute(f'DROP SCHEMA "{context}" CASCADE')
