"""Commands on one stream are decided ahead of their commits, and nothing is answered that does not become so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from commands.ports import Answer, ConcurrencyConflict, Loaded, Position
from domain.shared.messages import Event
from infra.eventstore import streams as module
from infra.eventstore.sql import in_schema
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.streams import AggregateStreams
from tests.integration.eventstore.counting import COUNTER, Count, Full, Increased, append, envelope, increase


@pytest.fixture
async def streams(store: PostgresEventStore) -> AsyncIterator[AggregateStreams]:
    streams = AggregateStreams(store)
    yield streams
    await streams.close()


async def test_commands_on_one_stream_share_transactions(store: PostgresEventStore, streams: AggregateStreams) -> None:
    stream = uuid4()
    await streams.execute(COUNTER, stream, increase, envelope())

    answers = await asyncio.gather(*(streams.execute(COUNTER, stream, increase, envelope()) for _ in range(200)))

    assert [one.version for one in await store.read_stream(stream)] == list(range(1, 202))
    assert len({Position.parse(answer.position or "").transaction_id for answer in answers}) <= 4


async def test_two_processes_on_one_stream_never_pass_its_limit(
    store: PostgresEventStore, streams: AggregateStreams, pool: asyncpg.Pool
) -> None:
    stream = uuid4()
    async with PostgresEventStore(pool, store.context) as other_store:
        other = AggregateStreams(other_store)
        outcomes = await asyncio.gather(
            *(
                process.execute(COUNTER, stream, lambda state: increase(state, limit=30), envelope())
                for _ in range(50)
                for process in (streams, other)
            ),
            return_exceptions=True,
        )
        await other.close()

    assert [type(one) for one in outcomes].count(Answer) == 30
    assert [type(one) for one in outcomes].count(Full) == 70
    assert (await streams.load(COUNTER, stream)).state.total == 30


async def test_a_refusal_waits_for_what_it_rests_on(store: PostgresEventStore, streams: AggregateStreams) -> None:
    stream, handled = uuid4(), envelope()
    first = await streams.execute(COUNTER, stream, increase, handled)

    again, refused_too_early = await asyncio.gather(
        streams.execute(COUNTER, stream, increase, handled),  # a duplicate: what it decides is never stored
        streams.execute(COUNTER, stream, lambda state: increase(state, limit=2), envelope()),
    )

    assert again == first
    assert refused_too_early.position is not None
    assert len(await store.read_stream(stream)) == 2


async def test_what_was_decided_upon_a_conflict_is_decided_again(
    store: PostgresEventStore, streams: AggregateStreams
) -> None:
    stream = uuid4()
    await streams.execute(COUNTER, stream, increase, envelope())
    await store.commit(append(stream, 1, Increased(by=100)))  # another process: our cached state is old now

    def to_the_total(state: Count) -> Sequence[Event]:
        return [Increased(note=str(state.total))]

    await asyncio.gather(*(streams.execute(COUNTER, stream, to_the_total, envelope()) for _ in range(10)))

    loaded = await streams.load(COUNTER, stream)
    assert sorted(loaded.state.notes, key=int) == list(loaded.state.notes) == [str(n) for n in range(101, 111)]


async def test_a_failure_of_the_handler_leaves_the_stream_usable(
    store: PostgresEventStore, streams: AggregateStreams
) -> None:
    stream = uuid4()

    def broken(_: Count) -> Any:
        raise ZeroDivisionError

    outcomes = await asyncio.gather(
        streams.execute(COUNTER, stream, increase, envelope()),
        streams.execute(COUNTER, stream, broken, envelope()),
        streams.execute(COUNTER, stream, increase, envelope(), body=broken),
        streams.execute(COUNTER, stream, increase, envelope()),
        return_exceptions=True,
    )

    assert [type(one) for one in outcomes] == [Answer, ZeroDivisionError, ZeroDivisionError, Answer]
    assert len(await store.read_stream(stream)) == 2


async def test_a_caller_that_goes_away_leaves_the_stream_usable(
    store: PostgresEventStore, streams: AggregateStreams
) -> None:
    stream = uuid4()
    await streams.execute(COUNTER, stream, increase, envelope())
    calls = [asyncio.create_task(streams.execute(COUNTER, stream, increase, envelope())) for _ in range(30)]
    calls[0].add_done_callback(lambda _: [call.cancel() for call in calls[10:20]])

    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    after = await streams.execute(COUNTER, stream, increase, envelope())

    stored = await store.read_stream(stream)
    assert after.position == str(stored[-1].position)
    assert [one.version for one in stored] == list(range(1, len(stored) + 1))
    assert [type(one) for one in outcomes].count(Answer) + 2 <= len(stored) <= 32
    assert all(type(outcomes[n]) is Answer for n in (*range(10), *range(20, 30)))


async def test_endless_conflicts_end_with_a_conflict(
    store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TRIES", 3)
    stream = uuid4()

    class Rival(AggregateStreams):
        """Another process is always first."""

        async def _refresh(self, *arguments: Any) -> Any:
            loaded: Loaded[Count] = await super()._refresh(*arguments)
            await store.commit(append(stream, loaded.version, Increased()))
            return loaded

    with pytest.raises(ConcurrencyConflict):
        await Rival(store).execute(COUNTER, stream, increase, envelope())


async def test_only_the_streams_used_last_stay_in_memory(store: PostgresEventStore) -> None:
    streams = AggregateStreams(store, keep=2)
    ids = [uuid4() for _ in range(5)]
    for stream in (*ids, *ids):
        await streams.execute(COUNTER, stream, increase, envelope())

    assert [(await streams.load(COUNTER, stream)).state.total for stream in ids] == [2] * 5
    assert len(streams._slots) == 2  # noqa: SLF001 - memory has no other outside


async def test_a_cold_load_reads_only_what_came_after_the_snapshot(
    store: PostgresEventStore, streams: AggregateStreams
) -> None:
    stream = uuid4()
    await store.commit(append(stream, 0, *(Increased() for _ in range(25))))
    await streams.load(COUNTER, stream)  # longer than ``snapshot_every``: keeps one
    await streams.close()

    assert await store.load_snapshot(stream, COUNTER) == (Count(total=25), 25)
    await store.save_snapshot(stream, COUNTER, Count(total=1000), 26)  # a wrong one shows that it is used
    await store.commit(append(stream, 25, Increased(), Increased()))
    assert (await AggregateStreams(store).load(COUNTER, stream)).state.total == 1001


async def test_an_unusable_snapshot_is_passed_over(
    store: PostgresEventStore, pool: asyncpg.Pool, streams: AggregateStreams
) -> None:
    stream = uuid4()
    await store.commit(append(stream, 0, Increased(by=3)))
    await store.save_snapshot(stream, COUNTER, Count(total=3), 1)
    await pool.execute(in_schema("""UPDATE @snapshots SET state = '{"total": "many"}'""", store.context))

    assert (await streams.load(COUNTER, stream)).state.total == 3
