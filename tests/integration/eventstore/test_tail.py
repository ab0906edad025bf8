"""Feeds that follow the log share what is read of it, and get just what they would have read themselves."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from commands.ports import START, Position
from infra.eventstore import tail
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.tail import LogTail
from tests.integration.eventstore.counting import Increased, Praised, append

PRAISE = frozenset({Praised.topic})


@pytest.fixture(autouse=True)
def _short_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_CHUNK", 7)
    monkeypatch.setattr(tail, "_KEPT", 20)


async def read_all(
    store: PostgresEventStore, start: Position, limit: int, topics: frozenset[str] | None
) -> list[tuple[Position, int]]:
    seen, position = [], start
    while (run := await store.read_log(position, limit, topics=topics)).position != position:
        assert len(run.events) <= limit
        seen += [(one.position, one.version) for one in run.events]
        position = run.position
    return seen


@pytest.mark.parametrize("topics", [None, PRAISE])
@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_a_follower_reads_what_a_stranger_reads(
    store: PostgresEventStore, pool: asyncpg.Pool, limit: int, topics: frozenset[str] | None
) -> None:
    stream, positions = uuid4(), [START]
    assert await read_all(store, START, limit, topics) == []
    for version in range(0, 60, 6):
        events = [Praised() if n % 3 else Increased() for n in range(version, version + 6)]
        await store.commit(append(stream, version, *events))
        await read_all(store, positions[-1], limit, topics)  # follows
        positions.append(await store.head())

    stranger = PostgresEventStore(pool, store.context)
    assert [version for _, version in await read_all(stranger, START, limit, topics)][-1] == 60
    for start in positions:  # some in the tail, some before it
        assert await read_all(store, start, limit, topics) == await read_all(stranger, start, limit, topics)


async def test_followers_share_what_is_read(store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = 0
    grow = LogTail._grow  # noqa: SLF001 - the only way to PostgreSQL here

    async def counted(self: LogTail) -> None:
        nonlocal fetched
        fetched += 1
        await grow(self)

    monkeypatch.setattr(LogTail, "_grow", counted)
    await store.read_log(START, 10)
    await store.commit(append(uuid4(), 0, Increased(), Increased()))

    runs = await asyncio.gather(*(store.read_log(START, 10) for _ in range(20)))

    assert [len(run.events) for run in runs] == [2] * 20
    assert fetched == 1
