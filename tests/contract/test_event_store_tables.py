"""What every adapter of Timers, DeadLetters and BuildRegistry promises."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest

from commands.ports import (
    Commit,
    DeadLetter,
    DeadLetters,
    DueTimer,
    EventStore,
    Idempotency,
    Position,
    SetTimer,
    Timers,
)
from domain.shared.errors import IllegalTransition
from infra.eventstore.builds import PostgresBuilds
from infra.eventstore.dead_letters import PostgresDeadLetters
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.timers import PostgresTimers
from projections.builds import Build, BuildRegistry, ReplayRunning
from tests.contract.event_store import SERVERS, fresh_context
from tests.integration.eventstore.counting import AT, envelope, metadata

SECOND = dt.timedelta(seconds=1)


@dataclass
class Tables:
    """One context's tables beside the log."""

    store: EventStore
    timers: Timers
    letters: DeadLetters
    builds: BuildRegistry


@pytest.fixture(params=SERVERS)
async def tables(request: pytest.FixtureRequest) -> AsyncIterator[Tables]:
    url = request.getfixturevalue(request.param)
    async with fresh_context(url) as (pool, name), PostgresEventStore(pool, name) as store:
        yield Tables(store, PostgresTimers(pool, name), PostgresDeadLetters(pool, name), PostgresBuilds(pool, name))


async def set_timers(tables: Tables, *timers: SetTimer) -> None:
    await tables.store.commit(Commit(metadata(), timers=timers))


async def test_due_timers_are_claimed_oldest_first_and_once(tables: Tables) -> None:
    command = envelope(Idempotency(scope="s", key="k", fingerprint="f"))
    late, early, future = (SetTimer(uuid4(), AT + seconds * SECOND, command) for seconds in (2, 1, 60))
    await set_timers(tables, late, early, future)

    assert await tables.timers.next_due() == early.due_at
    assert await tables.timers.claim_due(AT) == []
    claimed = await tables.timers.claim_due(AT + 5 * SECOND)

    assert [timer.timer_id for timer in claimed] == [early.timer_id, late.timer_id]
    assert isinstance(claimed[0], DueTimer)
    assert claimed[0].command == command
    assert claimed[0].due_at == early.due_at
    assert await tables.timers.claim_due(AT + 6 * SECOND) == []


async def test_a_timer_that_was_not_delivered_is_claimed_again(tables: Tables) -> None:
    await set_timers(tables, SetTimer(uuid4(), AT, envelope()), SetTimer(uuid4(), AT, envelope()))
    first, second = await tables.timers.claim_due(AT)
    await tables.timers.done(first)

    assert await tables.timers.claim_due(AT + 29 * SECOND) == []
    assert await tables.timers.claim_due(AT + 30 * SECOND) == [second]


async def test_which_timer_is_next_does_not_depend_on_the_servers_clock(tables: Tables) -> None:
    """A claimant far behind the server would else be sent again and again for a timer that it has claimed."""
    long_ago = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    await set_timers(tables, SetTimer(uuid4(), long_ago, envelope()))
    await tables.timers.claim_due(long_ago)
    assert await tables.timers.next_due() is None

    await set_timers(tables, SetTimer(uuid4(), long_ago + 60 * SECOND, envelope()))
    assert await tables.timers.next_due() == long_ago + 60 * SECOND


async def test_two_claimants_get_different_timers(tables: Tables) -> None:
    await set_timers(tables, *(SetTimer(uuid4(), AT, envelope()) for _ in range(40)))

    claims = await asyncio.gather(*(tables.timers.claim_due(AT, limit=10) for _ in range(4)))

    assert sum(len(claim) for claim in claims) == len({timer.timer_id for claim in claims for timer in claim})


async def test_a_timer_set_anew_while_it_is_delivered_stays(tables: Tables) -> None:
    timer = uuid4()
    for again_at in (AT, AT + SECOND):
        await set_timers(tables, SetTimer(timer, AT, envelope()))
        (claimed,) = await tables.timers.claim_due(AT)
        await set_timers(tables, SetTimer(timer, again_at, envelope()))
        await tables.timers.done(claimed)

        assert await tables.timers.next_due() == again_at


def letter(position: Position | None = None, *, seconds: int = 0, stream: UUID | None = None) -> DeadLetter:
    return DeadLetter(
        letter_id=uuid4(),
        consumer="booking_pages_1",
        context="bookings",
        stream_id=stream,
        position=position,
        topic="counting.v1.Increased",
        message={"id": "1", "data": {"note": "\x00"}},
        error="KeyError: 'x'",
        traceback="Traceback ...",
        attempts=4,
        behind=False,
        parked_at=AT + seconds * SECOND,
    )


async def test_letters_are_kept_oldest_first(tables: Tables) -> None:
    stream = uuid4()
    newer, older = letter(Position(5, 2), seconds=1, stream=stream), letter(Position(5, 1), stream=uuid4())
    command = replace(letter(seconds=2), consumer="commands:payments")
    for one in (newer, older, command):
        await tables.letters.park(one)

    assert list(await tables.letters.list()) == [older, newer, command]
    assert list(await tables.letters.list("booking_pages_1", limit=1)) == [older]
    assert await tables.letters.get(newer.letter_id) == newer
    assert await tables.letters.parked_streams("booking_pages_1") == {newer.stream_id, older.stream_id}

    await tables.letters.remove(newer.letter_id)
    assert await tables.letters.get(newer.letter_id) is None
    assert await tables.letters.parked_streams("booking_pages_1") == {older.stream_id}
    assert await tables.letters.parked_streams("commands:payments") == frozenset()


async def test_parking_again_changes_only_the_error(tables: Tables) -> None:
    event, command = letter(Position(5, 2), stream=uuid4()), replace(letter(), message={"command_id": "c"})
    for one in (event, command):
        await tables.letters.park(one)
        await tables.letters.park(replace(one, letter_id=uuid4(), error="ValueError: y", parked_at=AT + SECOND))

    assert {(kept.letter_id, kept.error, kept.parked_at) for kept in await tables.letters.list()} == {
        (event.letter_id, "ValueError: y", AT),
        (command.letter_id, "ValueError: y", AT),
    }


async def test_the_name_of_a_build_is_never_used_twice(tables: Tables) -> None:
    made = []
    for _ in range(3):
        build = await tables.builds.create("hotel_pages", 3, uuid4())
        await tables.builds.update(build.model_copy(update={"state": "dropped"}))
        made.append(build)
    last = await tables.builds.create("hotel_pages", 3, uuid4(), keep=True)
    other = await tables.builds.create("booking_pages", 1, uuid4())

    assert [build.name for build in [*made, last]] == [f"hotel_pages_{n}" for n in range(1, 5)]
    assert await tables.builds.builds("hotel_pages") == [last]
    assert last.keep
    assert {build.name for build in await tables.builds.builds()} == {last.name, other.name}


async def test_of_many_who_ask_for_a_build_at_once_one_gets_it(tables: Tables) -> None:
    asked = (tables.builds.create("hotel_pages", 3, uuid4()) for _ in range(5))

    answers = await asyncio.gather(*asked, return_exceptions=True)

    (build,) = [answer for answer in answers if isinstance(answer, Build)]
    assert sum(isinstance(answer, ReplayRunning) for answer in answers) == 4
    await tables.builds.update(build.model_copy(update={"state": "kept"}))
    await tables.builds.create("hotel_pages", 3, uuid4())
    with pytest.raises(ReplayRunning):
        await tables.builds.change(build.model_copy(update={"state": "kept"}), "returning")


async def test_a_build_is_found_with_what_was_recorded(tables: Tables) -> None:
    replay = uuid4()
    build = await tables.builds.create("hotel_pages", 3, replay)
    changed = build.model_copy(
        update={"state": "failed", "error": "x", "finished_at": AT, "events_done": 7, "events_total": 9}
    )
    await tables.builds.update(changed)

    assert await tables.builds.of_replay(replay) == changed
    assert await tables.builds.of_replay(uuid4()) is None
    for use in (tables.builds.update, tables.builds.advance):
        with pytest.raises(LookupError, match="create it first"):
            await use(build.model_copy(update={"name": "hotel_pages_99"}))


async def test_who_records_progress_learns_that_the_build_is_no_longer_wanted(tables: Tables) -> None:
    build = await tables.builds.create("hotel_pages", 3, uuid4())
    assert await tables.builds.advance(build.model_copy(update={"events_done": 7, "events_total": 9})) == "building"

    unwanted = await tables.builds.change(build, "unwanted")

    assert (unwanted.state, unwanted.events_done, unwanted.events_total) == ("unwanted", 7, 9)
    assert await tables.builds.advance(build.model_copy(update={"events_done": 8})) == "unwanted"
    with pytest.raises(IllegalTransition, match="no longer building"):
        await tables.builds.change(build, "unwanted")


async def test_only_one_replay_of_a_read_model_at_a_time(tables: Tables) -> None:
    async with tables.builds.only_replay_of("hotel_pages"):
        with pytest.raises(ReplayRunning):
            async with tables.builds.only_replay_of("hotel_pages"):
                pass
        async with tables.builds.only_replay_of("booking_pages"):
            pass
    async with tables.builds.only_replay_of("hotel_pages"):
        pass
