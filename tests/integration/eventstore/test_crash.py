"""The process is killed in the middle of appends: what was acknowledged is there, and only whole commits are."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from uuid import UUID, uuid5

import asyncpg

from infra.eventstore.sql import in_schema
from infra.eventstore.store import PostgresEventStore

APPENDING = "tests.integration.eventstore.appending"
ACKNOWLEDGED_BEFORE_THE_KILL = 500


async def acknowledged_until_killed(url: str, context: str) -> list[UUID]:
    """Run the appending process, kill it while it appends, and return what it has been told is stored."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", APPENDING, url, context, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(ACKNOWLEDGED_BEFORE_THE_KILL)]
    process.kill()
    lines += (await process.stdout.read()).splitlines()
    await process.wait()
    return [UUID(line.decode().strip()) for line in lines if len(line.strip()) == 36]


async def test_after_a_kill_whole_commits_are_there_and_none_is_lost(
    store: PostgresEventStore, pool: asyncpg.Pool, postgres_url: str
) -> None:
    acknowledged = await acknowledged_until_killed(postgres_url, store.context)

    rows = await pool.fetch(in_schema("SELECT message_id FROM @inbox", store.context))
    stored = {UUID(bytes=row[0].bytes) for row in rows}
    assert len(acknowledged) >= ACKNOWLEDGED_BEFORE_THE_KILL
    assert set(acknowledged) <= stored
    for message in stored:
        assert len(await store.read_stream(uuid5(message, "first"))) == 2
        assert len(await store.read_stream(uuid5(message, "second"))) == 1
    events = await pool.fetchval(in_schema("SELECT count(*) FROM @stored_events", store.context))
    assert events == 3 * len(stored)
