"""Feeds that follow the log share what is read of it, and get just what they would have read themselves."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from commands.ports import START, Position, RecordedEvent
from infra.eventstore import mapper, tail
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


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_what_is_kept_is_bounded_by_its_size(
    store: PostgresEventStore, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(tail, "_KEPT_BYTES", 1_000)
    stream, positions = uuid4(), [START]
    await store.read_log(START, limit)
    kept = []
    for version, size in enumerate((100, 300, 300, 300, 5_000, 10, 600, 600, 5_000, 5_000, 10)):
        await store.commit(append(stream, version, Increased(note="x" * size)))
        assert [seen for _, seen in await read_all(store, positions[-1], limit, None)] == [version + 1]
        positions.append(await store.head())
        kept.append([row["originator_version"] for row in store._tail._rows])  # noqa: SLF001 - what takes the memory
    assert kept == [[1], [1, 2], [1, 2, 3], [2, 3, 4], [], [6], [6, 7], [8], [], [], [11]]

    stranger = PostgresEventStore(pool, store.context)
    for start in positions:
        assert await read_all(store, start, limit, None) == await read_all(stranger, start, limit, None)


async def test_a_row_too_large_to_keep_is_read_from_the_log(
    store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_KEPT_BYTES", 1_000)
    fetched = 0
    fetch = store._fetch  # noqa: SLF001 - the only way to PostgreSQL here

    async def counted(statement: str, *arguments: Any) -> list[asyncpg.Record]:
        nonlocal fetched
        fetched += 1
        return await fetch(statement, *arguments)

    monkeypatch.setattr(store, "_fetch", counted)
    await store.read_log(START, 10)
    await store.commit(append(uuid4(), 0, Increased(), Increased(note="x" * 5_000)))
    fetched = 0

    runs = await asyncio.gather(*(store.read_log(START, 10) for _ in range(5)))
    assert [len(run.events) for run in runs] == [2] * 5
    assert fetched == 1 + 5, "once for all, in vain, then for each"

    assert not (await store.read_log(runs[0].position, 10)).events
    await store.commit(append(uuid4(), 0, Increased()))
    fetched = 0
    after = await asyncio.gather(*(store.read_log(runs[0].position, 10) for _ in range(5)))
    assert [len(run.events) for run in after] == [1] * 5
    assert fetched == 1, "what is small again is shared again"


async def test_decoded_events_are_remembered_up_to_a_size(
    store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapper, "_DECODED_KEPT_BYTES", 1_000)

    async def note(size: int) -> RecordedEvent:
        before = await store.head()
        await store.commit(append(uuid4(), 0, Increased(note="x" * size)))
        [read] = (await store.read_log(before, 1)).events
        return read

    async def remembered(event: RecordedEvent) -> bool:
        [again] = await store.read_stream(event.stream_id)
        assert again == event
        return again is event

    await store.read_log(START, 1)
    small = [await note(400) for _ in range(3)]
    assert [await remembered(event) for event in small] == [False, True, True]
    large = await note(5_000)
    assert [await remembered(event) for event in (*small, large)] == [False] * 4
    assert await remembered(await note(400))


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
