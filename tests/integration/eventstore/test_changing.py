"""Who has waited for another process's changes of a schema sees them."""

from __future__ import annotations

import asyncio

import asyncpg

from infra.eventstore.changing import change_alone
from tests.e2e.stories import until


async def test_a_schema_that_was_made_meanwhile_is_there(embedded_postgres_url: str) -> None:
    first, second, watcher = [await asyncpg.connect(embedded_postgres_url) for _ in range(3)]
    waits = "SELECT cardinality(pg_blocking_pids($1)) > 0"
    make = "CREATE SCHEMA IF NOT EXISTS made_meanwhile"
    await second.execute("CREATE SCHEMA IF NOT EXISTS public")  # the first change of a session catches up by itself
    try:
        async with asyncio.timeout(20):
            async with first.transaction():
                await change_alone(first, "made_meanwhile")
                await first.execute(make)
                change = second.transaction()
                await change.start()
                assert await second.fetchval("SELECT to_regnamespace('made_meanwhile')") is None
                excluded = asyncio.create_task(change_alone(second, "made_meanwhile"))
                await until(lambda: watcher.fetchval(waits, second.get_server_pid()))
            await excluded
            await second.execute(make)
            await change.commit()
    finally:
        await watcher.execute("DROP SCHEMA IF EXISTS made_meanwhile")
        for connection in (first, second, watcher):
            await connection.close()
