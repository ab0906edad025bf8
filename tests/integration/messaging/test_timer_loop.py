"""Timers on a real store: delivered when due, again when they fail, parked when they never succeed."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import pytest

from commands.ports import (
    Answer,
    CancelTimer,
    Clock,
    CommandEnvelope,
    Commit,
    DueTimer,
    SetTimer,
    Temporary,
    UnreadableTimer,
)
from infra.eventstore.timers import PostgresTimers
from infra.messaging.delivery import Dispatch
from infra.messaging.stats import Stats
from infra.messaging.timer_loop import TimerLoop
from infra.messaging.wire import CommandMessage
from tests.contract.messaging import Inbox, Messaging, eventually, fresh_database, metadata, open_messaging
from tests.integration.messaging.test_rpc import request


@pytest.fixture
async def messaging(postgres_url: str) -> AsyncIterator[Messaging]:
    async with fresh_database(postgres_url) as url, open_messaging("log", url, "") as opened:
        yield opened


class Impatient(PostgresTimers):
    """Claims lapse at once, so that a test need not wait half a minute for a failed timer to come again."""

    _ahead = dt.timedelta()

    async def claim_due(self, now: dt.datetime, limit: int = 100) -> Sequence[DueTimer | UnreadableTimer]:
        self._ahead += dt.timedelta(seconds=31)
        return await super().claim_due(now + self._ahead, limit)


class Behind:
    """A clock that is behind PostgreSQL's by more than a claim lasts."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=40)


class Counting(PostgresTimers):
    claims = 0

    async def claim_due(self, now: dt.datetime, limit: int = 100) -> Sequence[DueTimer | UnreadableTimer]:
        self.claims += 1
        return await super().claim_due(now, limit)


async def start(
    messaging: Messaging, dispatch: Dispatch, timers: PostgresTimers | None = None, clock: Clock | None = None
) -> TimerLoop:
    loop = TimerLoop(
        "inventory",
        timers or PostgresTimers(messaging.pool, "inventory"),
        dispatch,
        messaging.letters["inventory"],
        clock or messaging.clock,
        Stats(),
        look_every=0.05,
        give_up_after=3,
    )
    await loop.start()
    messaging.stack.push_async_callback(loop.stop)
    return loop


async def set_timer(messaging: Messaging, label: str, seconds: float, timer_id: UUID | None = None) -> UUID:
    timer = SetTimer(timer_id or uuid4(), messaging.clock.now() + dt.timedelta(seconds=seconds), request(label))
    await messaging.logs["inventory"].commit(Commit(metadata(), timers=(timer,)))
    return timer.timer_id


async def left(messaging: Messaging) -> int:
    count: int = await messaging.pool.fetchval("SELECT count(*) FROM inventory.timers")
    return count


async def test_timers_are_delivered_when_due_and_then_forgotten(messaging: Messaging) -> None:
    inbox = Inbox()
    await start(messaging, inbox)
    await set_timer(messaging, "now", -1)
    await set_timer(messaging, "soon", 0.4)
    await set_timer(messaging, "much later", 3600)
    cancelled = await set_timer(messaging, "cancelled", 0.4)
    await messaging.logs["inventory"].commit(Commit(metadata(), timers=(CancelTimer(cancelled),)))
    await eventually(lambda: inbox.executed == ["now", "soon"], "both are delivered, in order")

    async def one_left() -> bool:
        return await left(messaging) == 1

    await eventually(one_left, "only the far one is left")


async def test_a_waking_loop_does_not_wait_for_its_next_look(messaging: Messaging) -> None:
    inbox = Inbox()
    loop = await start(messaging, inbox)
    loop._look_every = 3600.0  # noqa: SLF001 - so that only the wake-up can explain the delivery
    await set_timer(messaging, "first", -1)
    loop.wake()
    await eventually(lambda: inbox.executed == ["first"], "the first is delivered")
    await set_timer(messaging, "second", -1)
    loop.wake()
    await eventually(lambda: inbox.executed == ["first", "second"], "the second is delivered")


async def test_a_slow_delivery_holds_up_no_other(messaging: Messaging) -> None:
    gate = asyncio.Event()
    inbox = Inbox()

    async def dispatch(envelope: CommandEnvelope) -> Answer:
        if envelope.command.model_dump()["reason"] == "slow":
            await gate.wait()
        return await inbox(envelope)

    await start(messaging, dispatch)
    await set_timer(messaging, "slow", -1)
    await set_timer(messaging, "quick", -0.5)
    await eventually(lambda: inbox.executed == ["quick"], "the quick one is done")
    gate.set()
    await eventually(lambda: inbox.executed == ["quick", "slow"], "the slow one too")


async def test_a_failing_timer_comes_again_and_ends_as_a_dead_letter(messaging: Messaging) -> None:
    def fail(label: str) -> None:
        if label == "poison":
            raise ZeroDivisionError

    inbox = Inbox(fail)
    await start(messaging, inbox, Impatient(messaging.pool, "inventory"))
    await set_timer(messaging, "poison", -1)
    await set_timer(messaging, "fine", -1)

    async def parked() -> bool:
        return len(await messaging.parked("commands:inventory")) == 1

    await eventually(parked, "it is parked")
    [letter] = await messaging.parked("commands:inventory")
    assert inbox.attempts.count("poison") == letter.attempts == 3
    await eventually(lambda: inbox.executed == ["fine"], "the other is delivered")

    async def none_left() -> bool:
        return await left(messaging) == 0

    await eventually(none_left, "the timer is forgotten")


async def test_timers_that_cannot_be_read_are_parked_alone(messaging: Messaging) -> None:
    """A command is gone from the code, another has got a field since, a third is not ours."""
    gone, changed, foreign = [await set_timer(messaging, label, -2) for label in ("gone", "changed", "foreign")]
    await set_timer(messaging, "fine", -1)
    for timer_id, rewritten in (
        (gone, "jsonb_set(command::jsonb, '{name}', '\"inventory.Forgotten\"')"),
        (changed, "command::jsonb #- '{content,hold_id}'"),
        (foreign, "'[1]'::jsonb"),
    ):
        await messaging.pool.execute(
            f"UPDATE inventory.timers SET command = ({rewritten})::json WHERE timer_id = $1",  # noqa: S608 - from above
            timer_id,
        )
    inbox = Inbox()
    loop = await start(messaging, inbox)
    await eventually(lambda: inbox.executed == ["fine"], "the one that can be read is delivered")

    async def settled() -> bool:
        return await left(messaging) == 0

    await eventually(settled, "no timer is left")
    letters = {letter.topic: letter for letter in await messaging.parked("commands:inventory")}
    assert letters.keys() == {"inventory.Forgotten", "inventory.ReleaseHold", "unreadable"}
    assert letters["inventory.Forgotten"].error.startswith("TopicError: command 'inventory.Forgotten' is not known")
    assert letters["inventory.ReleaseHold"].error.startswith("ValidationError: ")
    assert letters["unreadable"].message == {"body": "[1]"}
    again = CommandMessage.model_validate(letters["inventory.Forgotten"].message)
    assert again.content["reason"] == "gone", "a retry carries it out as soon as the code knows the command again"
    assert loop._stats.counted("timers_failed") == 3  # noqa: SLF001 - what this process exports


async def test_temporary_failures_are_not_counted(messaging: Messaging) -> None:
    failures = iter(range(6))

    def fail(_: str) -> None:
        if next(failures, None) is not None:
            raise Temporary("away")

    inbox = Inbox(fail)
    await start(messaging, inbox, Impatient(messaging.pool, "inventory"))
    await set_timer(messaging, "patient", -1)
    await eventually(lambda: inbox.executed == ["patient"], "it is delivered in the end")
    assert not await messaging.parked("commands:inventory")


async def test_a_loop_behind_the_server_does_not_spin_on_a_timer_that_waits_for_its_claim_to_lapse(
    messaging: Messaging,
) -> None:
    def fail(_: str) -> None:
        raise Temporary("away")

    timers = Counting(messaging.pool, "inventory")
    inbox = Inbox(fail)
    await set_timer(messaging, "patient", -60)
    await start(messaging, inbox, timers, Behind())
    await eventually(lambda: inbox.attempts == ["patient"], "it is tried")
    timers.claims = 0
    await asyncio.sleep(0.5)
    assert timers.claims <= 20, "the loop looks twenty times a second"
    assert inbox.attempts == ["patient"]


async def test_a_timer_set_anew_is_delivered_although_the_delivery_that_set_it_still_runs(messaging: Messaging) -> None:
    gate = asyncio.Event()
    inbox = Inbox()

    async def dispatch(envelope: CommandEnvelope) -> Answer:
        answer = await inbox(envelope)
        if inbox.executed == ["first"]:
            await set_timer(messaging, "again", -0.5, timer_id)
            await gate.wait()
        return answer

    timer_id = await set_timer(messaging, "first", -1)
    await start(messaging, dispatch)
    await eventually(lambda: inbox.executed == ["first", "again"], "it does not wait for the claim to lapse", 10)
    gate.set()


async def test_a_timer_set_anew_during_its_delivery_stays(messaging: Messaging) -> None:
    inbox = Inbox()

    async def dispatch(envelope: CommandEnvelope) -> Answer:
        if not inbox.executed:
            await set_timer(messaging, "again", 0.2, timer_id)
        return await inbox(envelope)

    timer_id = await set_timer(messaging, "first", -1)
    await start(messaging, dispatch)
    await eventually(lambda: inbox.executed == ["first", "again"], "both deliveries are made")
