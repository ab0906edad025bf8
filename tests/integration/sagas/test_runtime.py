"""The saga runtime on a real event store: one run is one commit, and nothing is ever taken twice or forgotten."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from commands.ports import Checkpoint, DuplicateMessage, LogRun
from domain.saga.events import SagaCommandIssued, SagaReacted
from domain.shared.errors import IllegalTransition, NotFound
from domain.shared.messages import Event
from sagas.booking import BOOKING_SAGA, BookingSaga
from sagas.cancellation import CANCELLATION_SAGA, refund_id
from sagas.commands import CompensateSaga, PassDeadline, RetrySaga
from sagas.journal import deadline_timer
from sagas.saga import Happening, Reaction, Saga, command_id
from tests.fakes import NOW
from tests.integration.sagas.world import SAGAS, World
from tests.unit.sagas.spec import (
    BOOKING_ID,
    authorised,
    booking_cancelled,
    booking_confirmed,
    booking_rejected,
    cancellation_requested,
    captured,
    declined,
    held,
    hold_confirmed,
    hold_refused,
    of_booking,
    refunded,
    released,
    requested,
    voided,
)

SAGA_ID = BOOKING_SAGA.saga_id(BOOKING_ID)
SECONDS = dt.timedelta(seconds=1)
OTHER = UUID(int=77)
OTHER_SAGA_ID = BOOKING_SAGA.saga_id(OTHER)


def test_the_feed_knows_its_logs_and_events(world: World) -> None:
    runtime = world.runtime()
    assert set(runtime.contexts) == {"bookings", "inventory", "payments"}
    assert runtime.topics is not None
    assert runtime.topics == {event.topic for saga in SAGAS for event in saga.routes}
    assert not runtime.topics & {SagaReacted.topic, SagaCommandIssued.topic}


async def test_a_reaction_its_commands_its_deadline_and_the_checkpoint_are_one_commit(world: World) -> None:
    runtime = world.runtime()
    run = await world.tell(runtime, requested())
    reacted, issued = await world.journal(SAGA_ID)
    assert isinstance(reacted.event, SagaReacted)
    assert isinstance(issued.event, SagaCommandIssued)
    assert (reacted.event.step, reacted.event.status, reacted.event.deadline) == (
        "holding",
        "running",
        NOW + 30 * SECONDS,
    )
    assert reacted.event.cause == "bookings.v1.BookingRequested"
    assert issued.event.command == "inventory.HoldRooms"
    assert issued.event.command_id == command_id(SAGA_ID, "hold")
    assert issued.event.to_command().model_dump(mode="json") == issued.event.content
    for recorded in (reacted, issued):
        assert recorded.metadata.correlation_id == run.events[0].metadata.correlation_id
        assert recorded.metadata.causation_id == run.events[0].event_id
        assert recorded.metadata.actor == "saga:booking"
    assert reacted.position.transaction_id == issued.position.transaction_id
    assert await world.store.checkpoint("sagas", run.context) == run.position
    (timer,) = await world.due()
    assert (timer.timer_id, timer.due_at) == (deadline_timer(SAGA_ID), NOW + 30 * SECONDS)
    assert timer.command.command == PassDeadline(
        saga="booking", saga_id=SAGA_ID, subject_id=BOOKING_ID, step="holding", due_at=NOW + 30 * SECONDS
    )
    assert timer.command.metadata.actor == "timer"
    assert timer.command.metadata.correlation_id == run.events[0].metadata.correlation_id


async def test_if_the_commit_fails_nothing_of_it_is_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = world.runtime()
    run = await world.happen(requested())
    commit = type(world.store).commit

    async def fail(*_: object) -> None:
        raise DuplicateMessage(SAGA_ID, None)

    monkeypatch.setattr(type(world.store), "commit", fail)
    with pytest.raises(DuplicateMessage):
        await world.hear(runtime, run)
    monkeypatch.setattr(type(world.store), "commit", commit)
    assert await world.journal(SAGA_ID) == []
    await world.hear(runtime, run)
    assert await world.steps(SAGA_ID) == ["holding"]


async def test_many_sagas_and_several_events_of_one_saga_share_a_run(world: World) -> None:
    runtime = world.runtime()
    await world.tell(
        runtime, requested(), of_booking(requested(), OTHER), held(), authorised(), of_booking(hold_refused(), OTHER)
    )
    assert await world.steps(SAGA_ID) == ["holding", "authorising", "confirming_hold"]
    assert await world.steps(OTHER_SAGA_ID) == ["holding", "rejecting"]
    causes = [recorded.metadata.causation_id for recorded in await world.journal(SAGA_ID)]
    assert len(set(causes)) == 3
    assert sorted(timer.timer_id for timer in await world.due()) == sorted(
        [deadline_timer(SAGA_ID), deadline_timer(OTHER_SAGA_ID)]
    )


async def test_a_finished_saga_keeps_no_timer(world: World) -> None:
    runtime = world.runtime()
    for event in (requested(), held(), authorised(), hold_confirmed(), captured(), booking_confirmed()):
        await world.tell(runtime, event)
    reactions = await world.reactions(SAGA_ID)
    assert (reactions[-1].step, reactions[-1].status, reactions[-1].deadline) == ("confirmed", "finished", None)
    assert await world.due() == []
    assert await world.issued(SAGA_ID) == [
        "inventory.HoldRooms",
        "payments.AuthorisePayment",
        "inventory.ConfirmHold",
        "payments.CapturePayment",
        "bookings.ConfirmBooking",
    ]


async def test_both_sagas_hear_of_one_event(world: World) -> None:
    runtime = world.runtime()
    for event in (requested(), held(), authorised(), hold_confirmed(), captured(), booking_confirmed()):
        await world.tell(runtime, event)
    for event in (cancellation_requested(), released(sold=True), refunded(refund_id(BOOKING_ID)), booking_cancelled()):
        await world.tell(runtime, event)
    saga_id = CANCELLATION_SAGA.saga_id(BOOKING_ID)
    assert await world.steps(saga_id) == ["releasing", "refunding", "completing", "cancelled"]
    assert (await world.steps(SAGA_ID))[-1] == "confirmed"


@pytest.mark.parametrize("cold", [False, True])
async def test_a_run_that_comes_again_changes_nothing(world: World, cold: bool) -> None:
    runtime = world.runtime()
    runs = [await world.tell(runtime, event) for event in (requested(), held(), authorised())]
    before = await world.journal(SAGA_ID)
    for run in runs:
        await world.hear(world.runtime() if cold else runtime, run)
    assert await world.journal(SAGA_ID) == before


async def test_a_process_that_starts_anew_goes_on(world: World) -> None:
    for event in (requested(), held(), declined(), released(), booking_rejected("payment_declined")):
        await world.tell(world.runtime(), event)
    assert await world.steps(SAGA_ID) == ["holding", "authorising", "releasing", "rejecting", "rejected"]


async def test_forgetting_sagas_loses_nothing(world: World) -> None:
    runtime = world.runtime(remembered=1)
    bookings = [uuid4() for _ in range(5)]
    await world.tell(runtime, *(of_booking(requested(), booking) for booking in bookings))
    await world.tell(runtime, *(of_booking(held(), booking) for booking in bookings))
    for booking in bookings:
        assert await world.steps(BOOKING_SAGA.saga_id(booking)) == ["holding", "authorising"]


async def test_events_of_no_saga_move_the_checkpoint_only(world: World) -> None:
    runtime = world.runtime()
    run = await world.tell(runtime, held(), captured())
    assert await world.journal(SAGA_ID) == []
    assert await world.store.checkpoint("sagas", run.context) == run.position


async def test_what_another_process_did_is_seen_by_the_conflict(world: World) -> None:
    ours, theirs = world.runtime(), world.runtime()
    await world.tell(ours, requested())
    await world.tell(theirs, held())
    await world.tell(ours, hold_refused())  # we still think that the rooms are asked for
    assert await world.steps(SAGA_ID) == ["holding", "authorising", "voiding"]


async def test_nothing_is_ignored_because_of_what_we_missed(world: World) -> None:
    ours, theirs = world.runtime(), world.runtime()
    await world.tell(ours, requested())
    await world.tell(theirs, held(), authorised())
    await world.tell(ours, hold_confirmed())  # to a saga that waits for rooms this would mean nothing
    assert await world.steps(SAGA_ID) == ["holding", "authorising", "confirming_hold", "capturing"]


async def test_contexts_and_deadlines_at_the_same_time(world: World) -> None:
    """Runs of three contexts, in disorder and repeated, and early deadlines, in two processes at once."""
    chance = random.Random(3)
    bookings = [uuid4() for _ in range(20)]
    runtimes = (world.runtime(), world.runtime())
    await world.tell(runtimes[0], *(of_booking(requested(), booking) for booking in bookings))
    script: list[Event] = [held(), authorised(), hold_confirmed(), captured(), booking_confirmed()]
    for event in script:
        run = await world.happen(*(of_booking(event, booking) for booking in bookings))
        halves = [replace(run, events=run.events[:12]), replace(run, events=run.events[8:])]
        chance.shuffle(halves)
        await asyncio.gather(*(world.hear(runtimes[number], half) for number, half in enumerate(halves)))
    for booking in bookings:
        steps = await world.steps(BOOKING_SAGA.saga_id(booking))
        assert steps == ["holding", "authorising", "confirming_hold", "capturing", "confirming", "confirmed"]
    assert await world.due() == []


class TestDeadlines:
    async def test_a_deadline_issues_again_and_waits_again(self, world: World) -> None:
        runtime = world.runtime()
        await world.tell(runtime, requested())
        world.clock.advance(seconds=31)
        (timer,) = await world.due(0 * SECONDS)
        answer = await world.deliver(runtime, timer.command)
        assert answer.position is not None
        await world.timers.done(timer)
        assert await world.issued(SAGA_ID) == ["inventory.HoldRooms", "inventory.HoldRooms"]
        (again,) = await world.due()
        assert again.due_at == world.clock.now() + 30 * SECONDS
        last = (await world.journal(SAGA_ID))[-1]
        assert last.metadata.actor == "saga:booking"
        assert last.metadata.causation_id == timer.command.command_id
        assert last.metadata.at == world.clock.now()

    async def test_a_deadline_counts_once(self, world: World) -> None:
        runtime = world.runtime()
        await world.tell(runtime, requested())
        (timer,) = await world.due()
        world.clock.advance(seconds=31)
        for process in (runtime, runtime, world.runtime()):
            await world.deliver(process, timer.command)
        assert await world.steps(SAGA_ID) == ["holding", "holding"]

    async def test_a_deadline_that_is_past_is_ignored(self, world: World) -> None:
        runtime = world.runtime()
        await world.tell(runtime, requested())
        (timer,) = await world.due()
        await world.tell(runtime, held())
        answer = await world.deliver(runtime, timer.command)
        assert (answer.position, answer.body["step"]) == (None, "authorising")
        assert await world.steps(SAGA_ID) == ["holding", "authorising"]

    async def test_a_deadline_is_judged_by_what_other_processes_did(self, world: World) -> None:
        ours, theirs = world.runtime(), world.runtime()
        await world.tell(ours, requested())
        await world.tell(theirs, held())
        (timer,) = await world.due()
        await world.deliver(ours, timer.command)
        assert await world.steps(SAGA_ID) == ["holding", "authorising", "authorising"]

    async def test_waits_count_from_when_the_saga_is_told(self, world: World) -> None:
        run = await world.happen(requested())
        world.clock.advance(hours=1)  # the process was away
        await world.hear(world.runtime(), run)
        (timer,) = await world.due()
        assert timer.due_at == world.clock.now() + 30 * SECONDS

    async def test_history_keeps_its_time_and_waits_in_ours(self, world: World) -> None:
        runtime = world.runtime()
        then = dt.datetime(2015, 7, 1, 9, tzinfo=dt.UTC)
        await world.tell(runtime, requested(), historic=then)
        reacted, issued = await world.journal(SAGA_ID)
        assert (issued.metadata.at, issued.metadata.historic) == (then, True)
        assert isinstance(issued.event, SagaCommandIssued)
        assert issued.event.content["expires_at"] == "2015-07-01T09:15:00Z"
        assert isinstance(reacted.event, SagaReacted)
        assert reacted.event.deadline == NOW + 30 * SECONDS
        world.clock.advance(seconds=40)
        (timer,) = await world.due(0 * SECONDS)
        assert (timer.command.metadata.at, timer.command.metadata.historic) == (then, True)
        await world.deliver(runtime, timer.command)
        await world.timers.done(timer)
        assert (await world.journal(SAGA_ID))[-1].metadata.at == then
        (again,) = await world.due()
        assert again.due_at == world.clock.now() + 30 * SECONDS


class Fragile:
    """A booking saga that cannot take events like ``feared`` until it is repaired."""

    def __init__(self, feared: Event | None = None) -> None:
        self.broken = True
        self._feared = type(feared or authorised())
        self.saga: Saga[BookingSaga] = replace(BOOKING_SAGA, react=self._react)

    def _react(self, state: BookingSaga | None, happening: Happening) -> Reaction[BookingSaga]:
        event = happening.event
        if self.broken and type(event) is self._feared and getattr(event, "booking_id", None) == BOOKING_ID:
            raise ZeroDivisionError("a mistake in the code")
        return BOOKING_SAGA.react(state, happening)


class TestQuarantine:
    async def test_a_saga_that_fails_is_quarantined_alone(self, world: World) -> None:
        runtime = world.runtime(Fragile().saga)
        await world.tell(runtime, requested(), of_booking(requested(), OTHER))
        await world.tell(runtime, held(), of_booking(held(), OTHER))
        run = await world.tell(runtime, authorised(), of_booking(authorised(), OTHER))
        last = (await world.reactions(SAGA_ID))[-1]
        assert (last.status, last.step, last.note) == (
            "quarantined",
            "authorising",
            "ZeroDivisionError: a mistake in the code",
        )
        assert await world.steps(OTHER_SAGA_ID) == ["holding", "authorising", "confirming_hold"]
        assert await world.store.checkpoint("sagas", run.context) == run.position

    @pytest.mark.parametrize("cold", [False, True])
    async def test_what_comes_after_is_kept_and_told_when_it_is_retried(self, world: World, cold: bool) -> None:
        fragile = Fragile()
        runtime = world.runtime(fragile.saga)
        await world.tell(runtime, requested(), held())
        await world.tell(runtime, authorised())
        await world.tell(runtime, hold_confirmed())
        (timer,) = await world.due()
        await world.deliver(runtime, timer.command)
        await world.timers.done(timer)
        await world.deliver(runtime, timer.command)  # told twice
        assert [reacted.status for reacted in await world.reactions(SAGA_ID)] == ["running"] * 2 + ["quarantined"] * 3
        assert await world.issued(SAGA_ID) == ["inventory.HoldRooms", "payments.AuthorisePayment"]
        fragile.broken = False
        process = world.runtime(fragile.saga) if cold else runtime
        answer = await world.order(process, RetrySaga(saga_id=SAGA_ID))
        assert answer.body == {"saga_id": str(SAGA_ID), "step": "capturing", "status": "running"}
        assert (await world.journal(SAGA_ID))[-1].metadata.actor == "user:operator"
        await world.tell(process, captured())
        assert (await world.steps(SAGA_ID))[-1] == "confirming"
        assert len(await world.due()) == 1

    async def test_a_retry_that_fails_again_keeps_everything(self, world: World) -> None:
        fragile = Fragile()
        runtime = world.runtime(fragile.saga)
        await world.tell(runtime, requested(), held(), authorised(), hold_confirmed())
        answer = await world.order(runtime, RetrySaga(saga_id=SAGA_ID))
        assert answer.body["status"] == "quarantined"
        fragile.broken = False
        answer = await world.order(runtime, RetrySaga(saga_id=SAGA_ID))
        assert answer.body == {"saga_id": str(SAGA_ID), "step": "capturing", "status": "running"}

    async def test_the_deadline_of_a_quarantined_saga_is_told_when_nothing_else_moves_it(self, world: World) -> None:
        runtime = world.runtime(Fragile().saga)
        await world.tell(runtime, requested(), held(), authorised())
        (timer,) = await world.due()
        await world.deliver(runtime, timer.command)
        await world.timers.done(timer)
        repaired = replace(BOOKING_SAGA, react=_ignoring_authorisations)
        answer = await world.order(world.runtime(repaired), RetrySaga(saga_id=SAGA_ID))
        assert answer.body == {"saga_id": str(SAGA_ID), "step": "authorising", "status": "running"}
        assert (await world.issued(SAGA_ID))[-1] == "payments.AuthorisePayment"
        assert len(await world.due()) == 1

    async def test_an_operator_gives_everything_back(self, world: World) -> None:
        runtime = world.runtime(Fragile().saga)
        await world.tell(runtime, requested(), held(), authorised())
        answer = await world.order(runtime, CompensateSaga(saga_id=SAGA_ID))
        assert answer.body == {"saga_id": str(SAGA_ID), "step": "voiding", "status": "running"}
        await world.tell(runtime, voided())
        await world.tell(runtime, released())
        await world.tell(runtime, booking_rejected("provider_unavailable"))
        assert (await world.reactions(SAGA_ID))[-1].status == "finished"

    async def test_a_saga_that_fails_on_its_first_event_can_be_retried(self, world: World) -> None:
        def refuse(state: BookingSaga | None, happening: Happening) -> Reaction[BookingSaga]:
            raise ZeroDivisionError(str((state, happening)))

        await world.tell(world.runtime(replace(BOOKING_SAGA, react=refuse)), requested())
        await world.tell(world.runtime(), held())
        answer = await world.order(world.runtime(), RetrySaga(saga_id=SAGA_ID))
        assert answer.body["step"] == "authorising"


class TestOperators:
    async def test_a_stuck_saga_is_woken(self, world: World) -> None:
        runtime = world.runtime()
        await world.tell(runtime, requested())
        with pytest.raises(IllegalTransition, match="nothing to retry"):
            await world.order(runtime, RetrySaga(saga_id=SAGA_ID))
        world.clock.advance(seconds=31)  # and its timer was lost
        await world.order(runtime, RetrySaga(saga_id=SAGA_ID))
        assert await world.steps(SAGA_ID) == ["holding", "holding"]

    async def test_a_running_saga_is_compensated(self, world: World) -> None:
        runtime = world.runtime()
        run = await world.tell(runtime, requested(), held())
        await world.order(runtime, CompensateSaga(saga_id=SAGA_ID))
        last = (await world.journal(SAGA_ID))[-1]
        assert isinstance(last.event, SagaCommandIssued)
        assert last.event.command == "payments.VoidPayment"
        assert last.metadata.correlation_id == run.events[0].metadata.correlation_id

    async def test_a_saga_that_could_not_begin_is_refused(self, world: World) -> None:
        fragile = Fragile(requested())
        runtime = world.runtime(fragile.saga)
        await world.tell(runtime, requested())
        await world.tell(runtime, held())
        assert [(each.status, each.step) for each in await world.reactions(SAGA_ID)] == [("quarantined", "")] * 2
        answer = await world.order(runtime, CompensateSaga(saga_id=SAGA_ID))
        assert answer.body == {"saga_id": str(SAGA_ID), "step": "rejecting", "status": "running"}
        assert (await world.issued(SAGA_ID))[0] == "bookings.RejectBooking"
        await world.tell(runtime, booking_rejected("provider_unavailable"))
        assert (await world.reactions(SAGA_ID))[-1].status == "finished"

    async def test_what_could_not_begin_and_cannot_be_read_any_more_waits_for_its_code(self, world: World) -> None:
        runtime = world.runtime(Fragile(requested()).saga)
        await world.tell(runtime, requested())
        unreadable = (await world.reactions(SAGA_ID))[0].untold[0].model_copy(update={"content": {}})
        known = runtime._memory[SAGA_ID]  # noqa: SLF001 - as if the event had another shape by now
        runtime._memory[SAGA_ID] = replace(known, untold=(unreadable,))  # noqa: SLF001
        with pytest.raises(IllegalTransition, match="retry it with code that can"):
            await world.order(runtime, CompensateSaga(saga_id=SAGA_ID))

    async def test_a_cancellation_knows_no_way_back(self, world: World) -> None:
        runtime = world.runtime()
        await world.tell(runtime, cancellation_requested())
        with pytest.raises(IllegalTransition):
            await world.order(runtime, CompensateSaga(saga_id=CANCELLATION_SAGA.saga_id(BOOKING_ID)))

    async def test_nobody_knows_that_saga(self, world: World) -> None:
        with pytest.raises(NotFound):
            await world.order(world.runtime(), RetrySaga(saga_id=OTHER))


async def test_an_empty_run_moves_the_checkpoint(world: World) -> None:
    runtime = world.runtime()
    run = await world.happen(requested())
    empty = LogRun(run.context, run.prev, run.position, ())
    await runtime.handle(empty, Checkpoint("sagas", run.context, run.position))
    assert await world.store.checkpoint("sagas", run.context) == run.position


def _ignoring_authorisations(state: BookingSaga | None, happening: Happening) -> Reaction[BookingSaga]:
    if type(happening.event) is type(authorised()):
        return Reaction(None)
    return BOOKING_SAGA.react(state, happening)
