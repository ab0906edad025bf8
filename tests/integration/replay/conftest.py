"""A place of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from infra.eventstore.pool import create_pool
from tests.integration.replay.counters import Place, place


@pytest.fixture
async def at(
    embedded_postgres_url: str, fresh_name: Callable[..., str], create_database: Callable[[str, str], str]
) -> AsyncIterator[Place]:
    url = create_database(embedded_postgres_url, fresh_name("replay"))
    async with await create_pool(url) as pool, place(pool) as made:
        yield made
