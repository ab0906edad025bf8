"""What every adapter of ``commands.ports.EventStore`` promises."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from commands.ports import (
    START,
    Answer,
    Checkpoint,
    Commit,
    ConcurrencyConflict,
    DuplicateMessage,
    EventStore,
    Idempotency,
    IdempotencyMismatch,
    Position,
    RequestInFlight,
    StreamAppend,
    replace_metadata,
)
from domain.shared.aggregate import Aggregate
from infra.eventstore.store import PostgresEventStore
from tests.contract.event_store import SERVERS, fresh_context
from tests.integration.eventstore.counting import COUNTER, Count, Increased, Praised, append, evolve, metadata


@pytest.fixture(params=SERVERS)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[EventStore]:
    url = request.getfixturevalue(request.param)
    async with fresh_context(url) as (pool, context), PostgresEventStore(pool, context) as store:
        yield store


async def test_events_come_back_as_they_were_committed(store: EventStore) -> None:
    stream, around = uuid4(), metadata()
    events = (Increased(by=2, note="ñ \U0001f3e8"), Praised(words="\x00"))

    position = await store.commit(Commit(around, (StreamAppend(stream, 0, events),)))
    recorded = await store.read_stream(stream)

    assert [one.event for one in recorded] == list(events)
    assert [one.version for one in recorded] == [1, 2]
    assert {one.stream_id for one in recorded} == {stream}
    assert all(one.metadata == around and one.context == store.context for one in recorded)
    assert recorded[-1].position == position > recorded[0].position
    assert abs(dt.datetime.now(dt.UTC) - recorded[0].recorded_at) < dt.timedelta(minutes=1)
    assert len({one.event_id for one in recorded}) == 2


async def test_a_part_of_a_stream_can_be_read(store: EventStore) -> None:
    stream = uuid4()
    await store.commit(append(stream, 0, *(Increased(by=by) for by in range(1, 6))))

    assert [one.version for one in await store.read_stream(stream, after=2)] == [3, 4, 5]
    assert [one.version for one in await store.read_stream(stream, after=1, up_to=3)] == [2, 3]
    assert await store.read_stream(uuid4()) == []


async def test_each_append_of_a_commit_may_have_metadata_of_its_own(store: EventStore) -> None:
    first, second = uuid4(), uuid4()
    arounds = (metadata(), replace_metadata(metadata(), actor="saga:booking", historic=True))
    appends = (StreamAppend(first, 0, (Increased(),)), StreamAppend(second, 0, (Increased(),)))

    await store.commit(Commit(metadata(), appends, metadata_of_append=arounds))

    assert (await store.read_stream(first))[0].metadata == arounds[0]
    assert (await store.read_stream(second))[0].metadata == arounds[1]


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_only_the_version_that_the_stream_stands_at_is_accepted(store: EventStore, expected: int) -> None:
    stream = uuid4()
    await store.commit(append(stream, 0, Increased(), Increased()))

    with pytest.raises(ConcurrencyConflict) as conflict:
        await store.commit(append(stream, expected, Increased()))

    assert (conflict.value.stream_id, conflict.value.expected_version) == (stream, expected)
    assert len(await store.read_stream(stream)) == 2


async def test_a_conflict_in_one_stream_keeps_the_whole_commit_out(store: EventStore) -> None:
    taken, free, message = uuid4(), uuid4(), uuid4()
    await store.commit(append(taken, 0, Increased()))
    appends = (StreamAppend(free, 0, (Increased(),)), StreamAppend(taken, 0, (Increased(),)))

    with pytest.raises(ConcurrencyConflict):
        await store.commit(
            Commit(metadata(), appends, inbox=message, checkpoints=(Checkpoint("feed", "other", Position(5, 5)),))
        )

    assert await store.read_stream(free) == []
    assert await store.answer_of(message) is None
    assert await store.checkpoint("feed", "other") == START


async def test_two_writers_at_one_version_have_one_winner(store: EventStore) -> None:
    stream = uuid4()
    outcomes = await asyncio.gather(
        *(store.commit(append(stream, 0, Increased(by=by))) for by in range(10)), return_exceptions=True
    )

    assert [type(one) for one in outcomes].count(Position) == 1
    assert [type(one) for one in outcomes].count(ConcurrencyConflict) == 9
    assert len(await store.read_stream(stream)) == 1


async def test_a_message_is_handled_once_and_its_answer_is_kept(store: EventStore) -> None:
    stream, message = uuid4(), uuid4()
    position = await store.commit(append(stream, 0, Increased(), inbox=message, body="first"))
    told = Answer(context="counting", position=str(position), body={"told": "first"})

    with pytest.raises(DuplicateMessage) as duplicate:
        await store.commit(append(stream, 1, Increased(), inbox=message, body="second"))

    assert duplicate.value.answer == told
    assert await store.answer_of(message) == told
    assert await store.answer_of(uuid4()) is None
    assert len(await store.read_stream(stream)) == 1


async def test_the_log_is_read_in_runs_that_chain(store: EventStore) -> None:
    stream = uuid4()
    for version in range(7):
        await store.commit(append(stream, version, Increased(by=version)))

    seen, position = [], START
    for size in (3, 3, 1, 0):
        run = await store.read_log(position, 3)
        assert (run.context, run.prev, len(run.events)) == (store.context, position, size)
        seen += [one.event for one in run.events]
        position = run.position

    assert seen == [Increased(by=by) for by in range(7)]
    assert position == await store.head()
    assert (await store.read_log(position, 3)).position == position


async def test_the_log_can_be_read_up_to_a_position(store: EventStore) -> None:
    stream = uuid4()
    positions = [await store.commit(append(stream, version, Increased())) for version in range(4)]

    run = await store.read_log(positions[0], 10, up_to=positions[2])

    assert [one.version for one in run.events] == [2, 3]
    assert run.position == positions[2]


async def test_with_topics_the_position_moves_over_all_events(store: EventStore) -> None:
    stream = uuid4()
    await store.commit(append(stream, 0, Increased(), Praised(words="a"), Increased(), Praised(words="b"), Increased()))
    topics = frozenset({Praised.topic})

    first = await store.read_log(START, 1, topics=topics)
    second = await store.read_log(first.position, 5, topics=topics)
    third = await store.read_log(second.position, 5, topics=topics)

    assert [one.version for one in first.events] == [2]
    assert first.position == first.events[0].position
    assert [one.version for one in second.events] == [4]
    assert second.position == await store.head()
    assert (third.events, third.position) == ((), third.prev)
    assert (await store.read_log(START, 5, topics=frozenset({"counting.v1.Unheard"}))).position == second.position


async def test_events_after_a_position_are_counted(store: EventStore) -> None:
    stream = uuid4()
    await store.commit(append(stream, 0, Increased(), Praised()))
    position = await store.head()
    await store.commit(append(stream, 2, Increased(), Increased()))

    assert await store.count(START) == 4
    assert await store.count(position) == 2
    assert await store.count(START, frozenset({Praised.topic})) == 1


async def test_who_waits_is_told_when_there_is_more(store: EventStore) -> None:
    assert not await store.wait_beyond(START, 0.05)
    position = await store.commit(append(uuid4(), 0, Increased()))
    assert await store.wait_beyond(START, 5)
    assert await store.head() == position

    waiting = asyncio.create_task(store.wait_beyond(position, 5))
    await store.commit(append(uuid4(), 0, Increased()))
    assert await waiting
    assert await store.head() > position


async def test_the_newest_usable_snapshot_is_kept(store: EventStore) -> None:
    stream = uuid4()
    assert await store.load_snapshot(stream, COUNTER) is None
    await store.save_snapshot(stream, COUNTER, Count(total=5, notes=("x",)), 5)
    await store.save_snapshot(stream, COUNTER, Count(total=3), 3)
    assert await store.load_snapshot(stream, COUNTER) == (Count(total=5, notes=("x",)), 5)

    reshaped = Aggregate("counter", "counting", Count(), evolve, snapshot_version=2)
    assert await store.load_snapshot(stream, reshaped) is None
    await store.save_snapshot(stream, reshaped, Count(total=4), 4)
    assert await store.load_snapshot(stream, reshaped) == (Count(total=4), 4)
    await store.save_snapshot(stream, COUNTER, Count(total=9), 9)  # a process of the old version, still running
    assert await store.load_snapshot(stream, reshaped) == (Count(total=4), 4)


def key(value: str = "k", fingerprint: str = "f") -> Idempotency:
    return Idempotency(scope="guest", key=value, fingerprint=fingerprint)


async def test_a_key_is_claimed_by_one_attempt_at_a_time(store: EventStore) -> None:
    command = uuid4()
    assert await store.claim(key(), command) is None
    assert await store.claim(key(), command) is None  # the same command, delivered again
    with pytest.raises(RequestInFlight):
        await store.claim(key(), uuid4())
    with pytest.raises(IdempotencyMismatch):
        await store.claim(key(fingerprint="other"), uuid4())

    await store.release_claim(key())
    assert await store.claim(key(fingerprint="other"), uuid4()) is None


async def test_a_finished_key_answers_as_it_did_then(store: EventStore) -> None:
    await store.claim(key(), uuid4())
    answer = Answer(context="counting", body={"count": 1})
    appends = (StreamAppend(uuid4(), 0, (Increased(),)),)
    position = await store.commit(Commit(metadata(), appends, inbox=uuid4(), answer=answer, idempotency=key()))
    told = answer.model_copy(update={"position": str(position)})

    assert await store.claim(key(), uuid4()) == told
    await store.release_claim(key())
    assert await store.claim(key(), uuid4()) == told
    with pytest.raises(IdempotencyMismatch):
        await store.claim(key(fingerprint="other"), uuid4())
    with pytest.raises(DuplicateMessage) as duplicate:  # an attempt that lost its claim comes too late
        await store.commit(Commit(metadata(), inbox=uuid4(), answer=Answer(context="counting"), idempotency=key()))
    assert duplicate.value.answer == told


async def test_a_checkpoint_is_set_back_when_that_is_asked_for_and_never_forward(store: EventStore) -> None:
    await store.commit(Commit(metadata(), checkpoints=(Checkpoint("pages", "bookings", Position(7, 7)),)))
    for asked, expected in (((3, 9), (3, 9)), ((5, 1), (3, 9)), ((3, 1), (3, 1))):
        await store.set_back(Checkpoint("pages", "bookings", Position(*asked)))
        assert await store.checkpoint("pages", "bookings") == expected
    await store.set_back(Checkpoint("never", "bookings", Position(1, 1)))
    assert await store.checkpoint("never", "bookings") == START


async def test_events_are_counted_by_the_topic_they_are_stored_under(store: EventStore) -> None:
    assert await store.counts() == {}
    await store.commit(append(uuid4(), 0, Increased(), Increased(), Praised()))
    await store.commit(append(uuid4(), 0, Increased()))
    assert await store.counts() == {Increased.topic: 3, Praised.topic: 1}


async def test_checkpoints_move_forward_with_their_commit(store: EventStore) -> None:
    for position in (Position(3, 7), Position(3, 9), Position(2, 100)):
        await store.commit(Commit(metadata(), checkpoints=(Checkpoint("saga", "payments", position),)))
    await store.commit(Commit(metadata(), checkpoints=(Checkpoint("pages", "bookings", Position(1, 1)),)))

    assert await store.checkpoint("saga", "payments") == Position(3, 9)
    assert await store.checkpoint("saga", "bookings") == START
    assert list(await store.checkpoints()) == [
        Checkpoint("pages", "bookings", Position(1, 1)),
        Checkpoint("saga", "payments", Position(3, 9)),
    ]


async def test_a_commit_of_nothing_is_at_the_start(store: EventStore) -> None:
    assert await store.commit(Commit(metadata())) == START
    assert await store.head() == START
