"""What every adapter of ``commands.ports.Streams`` promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from commands.ports import (
    CancelTimer,
    EventStore,
    Idempotency,
    IdempotencyMismatch,
    Position,
    SetTimer,
    Streams,
    Timers,
)
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.streams import AggregateStreams
from infra.eventstore.timers import PostgresTimers
from tests.contract.event_store import SERVERS, fresh_context
from tests.integration.eventstore.counting import AT, COUNTER, Count, Full, Increased, append, envelope, increase


@dataclass
class Context:
    """One context's write side."""

    store: EventStore
    streams: Streams
    timers: Timers


@pytest.fixture(params=SERVERS)
async def context(request: pytest.FixtureRequest) -> AsyncIterator[Context]:
    url = request.getfixturevalue(request.param)
    async with fresh_context(url) as (pool, name), PostgresEventStore(pool, name) as store:
        streams = AggregateStreams(store)
        yield Context(store, streams, PostgresTimers(pool, name))
        await streams.close()


async def test_what_is_decided_is_stored_and_answered(context: Context) -> None:
    stream, command = uuid4(), envelope()

    answer = await context.streams.execute(
        COUNTER, stream, increase, command, body=lambda state: {"total": state.total}
    )

    recorded = (await context.store.read_stream(stream))[0]
    assert answer.body == {"total": 1}
    assert answer.context == context.store.context
    assert answer.position == str(recorded.position)
    assert recorded.event == Increased()
    assert recorded.metadata.correlation_id == command.metadata.correlation_id
    assert recorded.metadata.causation_id == command.command_id
    assert await context.store.answer_of(command.command_id) == answer


async def test_the_current_state_is_loaded(context: Context) -> None:
    stream = uuid4()
    empty = await context.streams.load(COUNTER, stream)
    await context.streams.execute(COUNTER, stream, increase, envelope())
    after_one = await context.streams.load(COUNTER, stream)
    await context.store.commit(append(stream, 1, Increased(by=5)))  # by another process
    after_two = await context.streams.load(COUNTER, stream)

    assert (empty.state, empty.version) == (Count(), 0)
    assert (after_one.state.total, after_one.version) == (1, 1)
    assert (after_two.state.total, after_two.version) == (6, 2)


async def test_a_refusal_stores_nothing(context: Context) -> None:
    stream, command = uuid4(), envelope()

    with pytest.raises(Full):
        await context.streams.execute(COUNTER, stream, lambda state: increase(state, limit=0), command)

    assert await context.store.read_stream(stream) == []
    assert await context.store.answer_of(command.command_id) is None


async def test_a_refusal_rests_on_what_other_processes_have_stored(context: Context) -> None:
    stream = uuid4()
    await context.streams.execute(COUNTER, stream, increase, envelope())
    await context.store.commit(append(stream, 1, Increased(by=-1)))  # another process makes room

    await context.streams.execute(COUNTER, stream, lambda state: increase(state, limit=1), envelope())

    assert (await context.streams.load(COUNTER, stream)).state.total == 1


async def test_a_command_that_was_handled_is_answered_as_then(context: Context) -> None:
    stream, command = uuid4(), envelope()
    first = await context.streams.execute(COUNTER, stream, increase, command, body=lambda state: {"total": state.total})
    await context.streams.execute(COUNTER, stream, increase, envelope())

    again = await context.streams.execute(COUNTER, stream, increase, command, body=lambda state: {"total": state.total})
    refused = await context.streams.execute(COUNTER, stream, lambda state: increase(state, limit=1), command)

    assert again == refused == first
    assert len(await context.store.read_stream(stream)) == 2


async def test_a_command_that_changes_nothing_is_remembered_too(context: Context) -> None:
    stream, command = uuid4(), envelope()
    answer = await context.streams.execute(COUNTER, stream, lambda _: [], command, body=lambda _: {"as": "it was"})

    assert (answer.position, answer.body) == (None, {"as": "it was"})
    assert await context.streams.execute(COUNTER, stream, increase, command) == answer
    assert await context.store.read_stream(stream) == []


async def test_a_conflict_is_decided_again_on_the_new_state(context: Context) -> None:
    stream, seen = uuid4(), []
    await context.streams.load(COUNTER, stream)
    await context.store.commit(append(stream, 0, Increased(by=5)))

    def decide(state: Count) -> list[Increased]:
        seen.append(state.total)
        return [Increased()]

    answer = await context.streams.execute(COUNTER, stream, decide, envelope(), body=lambda state: {"at": state.total})

    assert seen[-1] == 5
    assert answer.body == {"at": 6}


async def test_a_handler_may_commit_more_than_once(context: Context) -> None:
    stream, command, step = uuid4(), envelope(), uuid4()
    for _ in range(2):  # delivered twice
        await context.streams.execute(COUNTER, stream, increase, command, message_id=step)
        await context.streams.execute(COUNTER, stream, increase, command)

    assert len(await context.store.read_stream(stream)) == 2


async def test_timers_are_set_and_cancelled_by_the_commit(context: Context) -> None:
    stream, timer, command = uuid4(), uuid4(), envelope()
    await context.streams.execute(
        COUNTER, stream, increase, command, timers=lambda _, __: [SetTimer(timer, AT, command)]
    )
    assert await context.timers.next_due() == AT
    await context.streams.execute(COUNTER, stream, increase, envelope(), timers=lambda _, __: [CancelTimer(timer)])
    assert await context.timers.next_due() is None


async def test_a_clients_key_is_finished_by_the_command(context: Context) -> None:
    stream, key = uuid4(), Idempotency(scope="guest", key="k", fingerprint="f")
    first = await context.streams.execute(COUNTER, stream, increase, envelope(key))
    again = await context.streams.execute(COUNTER, stream, increase, envelope(key))

    assert again == first
    with pytest.raises(IdempotencyMismatch):
        await context.streams.execute(
            COUNTER, stream, increase, envelope(key.model_copy(update={"fingerprint": "other"}))
        )
    assert len(await context.store.read_stream(stream)) == 1


async def test_a_refused_command_gives_the_key_back(context: Context) -> None:
    stream, key = uuid4(), Idempotency(scope="guest", key="k", fingerprint="f")
    with pytest.raises(Full):
        await context.streams.execute(COUNTER, stream, lambda state: increase(state, limit=0), envelope(key))

    other = envelope(key.model_copy(update={"fingerprint": "corrected"}))
    assert (await context.streams.execute(COUNTER, stream, increase, other)).position is not None


async def test_many_commands_on_one_stream_are_all_decided_in_turn(context: Context) -> None:
    stream = uuid4()
    outcomes = await asyncio.gather(
        *(
            context.streams.execute(COUNTER, stream, lambda state: increase(state, limit=50), envelope())
            for _ in range(200)
        ),
        return_exceptions=True,
    )

    assert [type(one) for one in outcomes].count(Full) == 150
    assert (await context.streams.load(COUNTER, stream)).state.total == 50
    assert [one.version for one in await context.store.read_stream(stream)] == list(range(1, 51))
    positions = [
        Position.parse(one.position) for one in outcomes if not isinstance(one, BaseException) and one.position
    ]
    assert max(positions) == await context.store.head()


async def test_a_long_stream_is_loaded_from_its_snapshot(context: Context) -> None:
    stream = uuid4()
    for _ in range(COUNTER.snapshot_every + 2):
        await context.streams.execute(COUNTER, stream, increase, envelope())

    async def snapshot() -> tuple[Count, int] | None:
        async with asyncio.timeout(5):
            while (kept := await context.store.load_snapshot(stream, COUNTER)) is None:
                await context.store.wait_beyond(await context.store.head(), 0.01)
        return kept

    assert await snapshot() == (Count(total=COUNTER.snapshot_every), COUNTER.snapshot_every)
