"""One audit: find a cut, read every log once, judge.

Rules look at events as they pass, keep little, and never ask a store; what they suspect is looked up afterwards. The
reading is done in turns, because it happens beside live traffic in the same process.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid5

from commands.ports import (
    START,
    Clock,
    CommandBus,
    CommandEnvelope,
    EventStore,
    LogRun,
    Metadata,
    NewId,
    Position,
    RecordedEvent,
    ServiceUnavailable,
    UnreadableEvent,
)
from commands.turns import in_turns
from domain.booking.events import GuestCheckedOut
from domain.inventory.events import HoldConfirmed, HoldExpired, HoldReleased
from domain.saga.events import SagaReacted
from domain.shared.messages import Event
from projections.audit.bookings import Bookings
from projections.audit.calendars import CalendarAudit
from projections.audit.documents import DocumentAudit
from projections.audit.facts import DigestFacts, FactAudit
from projections.audit.findings import Cut, Finding, Findings, Period
from projections.audit.inventory import Inventory, Overdue
from projections.audit.money import Payments
from projections.audit.read_models import Logs, ReadModelAudit
from projections.audit.records import AuditRequest, Check, Proof, Violation
from projections.audit.reviews import Reviews
from projections.audit.streams import Streams
from projections.builds import BuildRegistry
from projections.ports import CalendarStore, FoldStore, StoreUnavailable
from projections.projection import CalendarProjection, DocumentProjection, FactProjection, Projection

BATCH = 500
PROVEN_BY = 30
"""How many events are shown as proof of one violation."""
_SAGAS_FEED = "sagas"

Progress = Callable[[int, int], None]
"""Is told how many events were read, and of how many."""
Take = Callable[[RecordedEvent], None]


class Rule(Protocol):
    """What looks at events as they pass."""

    @property
    def takes(self) -> tuple[type[Event], ...]:
        """Events that concern it."""
        ...

    def take(self, recorded: RecordedEvent) -> None:
        """Look at the next one of a log."""
        ...


@dataclass(frozen=True, slots=True)
class Audited:
    """What is audited: ``stores`` by document projection, ``builds`` by service; ``bus`` reaches the facts."""

    logs: Mapping[str, EventStore]
    projections: Sequence[Projection]
    stores: Mapping[str, FoldStore]
    calendars: CalendarStore
    builds: Mapping[str, BuildRegistry]
    bus: CommandBus


class Auditor:
    """Carries out audits."""

    def __init__(
        self,
        audited: Audited,
        clock: Clock,
        new_id: NewId,
        wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``wait`` sleeps, so that tests need not."""
        self._audited = audited
        self._logs = Logs(audited.logs, wait)
        self._clock = clock
        self._new_id = new_id

    async def run(self, request: AuditRequest, metadata: Metadata, progress: Progress) -> Sequence[Check]:
        """Audit. ``metadata`` is that of whoever asked. Raises what the event store raises."""
        period = Period(request.first, request.last)
        streams, inventory, bookings, payments = Streams(period), Inventory(period), Bookings(period), Payments(period)
        reviews = Reviews(period)
        models = self._models(period, metadata, full=request.full)
        cut = await self._cut()
        takers: defaultdict[type[Event], list[Take]] = defaultdict(list)
        rules: Sequence[Rule] = (inventory, bookings, payments, reviews, *models)
        for rule in rules:
            for event_type in rule.takes:
                takers[event_type].append(rule.take)
        await self._read(cut, streams, takers, progress)
        await self._judge_overdue(inventory, cut)
        await self._judge_stuck(bookings, cut)
        await self._judge_untaken(bookings, cut)
        await self._judge_reviews(reviews, bookings)
        bookings.note_quarantined()
        bookings.judge_rooms(cut, inventory)
        payments.judge(cut, bookings)
        for model in models:
            await self._judge_model(model)
        found = (
            inventory.nights,
            inventory.holds,
            bookings.rooms,
            payments.money,
            payments.refunds,
            bookings.sagas,
            reviews.findings,
            streams.findings,
        )
        return [await self._told(findings) for findings in (*found, *(model.findings for model in models))]

    async def _cut(self) -> Cut:
        """See Cut for the order."""
        logs = self._audited.logs
        settled = await logs["bookings"].head()
        sagas = await logs["bookings"].checkpoint(_SAGAS_FEED, "bookings")
        ends = {context: await log.head() for context, log in logs.items() if context != "bookings"}
        ends["bookings"] = await logs["bookings"].head()
        return Cut(settled, ends, sagas, self._clock.now())

    def _models(self, period: Period, metadata: Metadata, *, full: bool) -> Sequence[ReadModelAudit]:
        salt = self._new_id()
        audited = self._audited

        async def ask(command: DigestFacts) -> Mapping[str, Any]:
            answer = await audited.bus.send(CommandEnvelope(self._new_id(), command, metadata))
            return answer.body

        models: list[ReadModelAudit] = []
        for projection in audited.projections:
            match projection:
                case DocumentProjection():
                    store = audited.stores[projection.name]
                    models.append(DocumentAudit(projection, store, period, full=full, salt=salt))
                case CalendarProjection():
                    models.append(CalendarAudit(projection, audited.calendars, period, full=full, salt=salt))
                case FactProjection():
                    registry = audited.builds[projection.service]
                    models.append(FactAudit(projection, ask, registry, period, full=full, salt=salt))
        return models

    async def _read(
        self, cut: Cut, streams: Streams, takers: Mapping[type[Event], Sequence[Take]], progress: Progress
    ) -> None:
        """Every log up to its end, reading the next batch while one is taken."""
        total = sum([await log.count(START) for log in self._audited.logs.values()])
        done = 0
        progress(done, total)
        nobody: Sequence[Take] = ()

        def take_one(recorded: RecordedEvent) -> None:
            streams.take(recorded)
            for take in takers.get(type(recorded.event), nobody):
                take(recorded)

        for context, log in self._audited.logs.items():
            end = cut.ends[context]
            run, unreadable = await _next(log, START, end)
            while run.position != run.prev:
                following = asyncio.create_task(_next(log, run.position, end))
                try:
                    await in_turns(run.events, take_one)  # between the turns the next batch is asked for, and comes
                except BaseException:
                    following.cancel()
                    raise
                if unreadable is not None:
                    streams.cannot_read(unreadable)
                done += len(run.events) + (unreadable is not None)
                progress(done, max(done, total))
                run, unreadable = await following

    async def _judge_overdue(self, inventory: Inventory, cut: Cut) -> None:
        for overdue in inventory.overdue(cut):
            if not await self._has_ended(overdue):
                inventory.judge_overdue(overdue)

    async def _has_ended(self, overdue: Overdue) -> bool:
        """Whether the hold has ended or was sold since the cut."""
        since = await _readable(self._audited.logs["inventory"], overdue.room_type_id, after=overdue.read_up_to)
        return any(
            isinstance(each.event, HoldConfirmed | HoldReleased | HoldExpired) and each.event.hold_id == overdue.hold_id
            for each in since
        )

    async def _judge_stuck(self, bookings: Bookings, cut: Cut) -> None:
        for saga_id, saga in bookings.stuck(cut):
            since = await _readable(self._audited.logs["bookings"], saga_id, after=saga.version)
            # What it has commanded is no progress: that was part of its last reaction.
            if not any(isinstance(each.event, SagaReacted) for each in since):
                bookings.judge_stuck(saga_id, saga)

    async def _judge_untaken(self, bookings: Bookings, cut: Cut) -> None:
        """The sagas may have been beyond the cut: a transaction that is open holds readers back, and not them."""
        for booking_id, missing in bookings.untaken(cut):
            sagas = [uuid5(booking_id, saga) for saga in missing]  # as sagas/saga.py names them
            if not all([await _readable(self._audited.logs["bookings"], each, after=0) for each in sagas]):
                bookings.judge_untaken(booking_id, missing)

    async def _judge_reviews(self, reviews: Reviews, bookings: Bookings) -> None:
        """A stay may have ended beyond the cut, for the same reason."""
        for booking_id in reviews.suspected(bookings):
            stay = await _readable(self._audited.logs["bookings"], booking_id, after=0)
            if not any(isinstance(each.event, GuestCheckedOut) for each in stay):
                reviews.judge(booking_id)

    async def _judge_model(self, model: ReadModelAudit) -> None:
        registry = self._audited.builds[model.projection.service]
        if not await self._logs.built(model.projection, registry):
            model.findings.skipped = "it is still being built; try again when it is there"
            return
        live = next((each for each in await registry.builds(model.projection.name) if each.state == "live"), None)
        if live is not None and live.version != model.projection.version:
            model.findings.skipped = f"{live.name} was made by other code, version {live.version}"
            return
        try:
            await model.judge(self._logs)
        except (StoreUnavailable, ServiceUnavailable) as error:
            model.findings.skipped = f"its store does not answer: {error}"
        except UnreadableEvent as error:
            model.findings.skipped = f"what it is made of cannot be read: {error}"

    async def _told(self, findings: Findings) -> Check:
        return Check(
            name=findings.name,
            about=findings.about,
            checked=findings.checked,
            violations=tuple([await self._proven(finding) for finding in findings.violations]),
            unlisted=findings.unlisted,
            noted=tuple([await self._proven(finding) for finding in findings.noted]),
            skipped=findings.skipped,
        )

    async def _proven(self, finding: Finding) -> Violation:
        """The finding with its events."""
        events: dict[UUID, Proof] = {}
        for context, stream_id, version in finding.proof:
            log = self._audited.logs.get(context)
            if log is None or len(events) >= PROVEN_BY:
                break
            found = await _readable(log, stream_id, after=max(0, version - 1), up_to=version or PROVEN_BY)
            events |= {recorded.event_id: _proof(recorded) for recorded in found}
        return Violation(detail=finding.detail, events=tuple(events.values()))


async def _next(log: EventStore, after: Position, end: Position) -> tuple[LogRun, UnreadableEvent | None]:
    """The next events up to ``end``, and the one behind them if that is where reading fails."""
    try:
        return await log.read_log(after, BATCH, up_to=end), None
    except UnreadableEvent as error:
        before = error.position._replace(notification_id=error.position.notification_id - 1)
        run = await log.read_log(after, BATCH, up_to=before)
        return LogRun(run.context, after, error.position, run.events), error


async def _readable(
    log: EventStore, stream_id: UUID, *, after: int, up_to: int | None = None
) -> Sequence[RecordedEvent]:
    """Events of a stream, up to the first that cannot be read."""
    try:
        return await log.read_stream(stream_id, after=after, up_to=up_to)
    except UnreadableEvent as error:
        return await log.read_stream(stream_id, after=after, up_to=error.version - 1)


def _proof(recorded: RecordedEvent) -> Proof:
    return Proof(
        event_id=recorded.event_id,
        context=recorded.context,
        stream_id=recorded.stream_id,
        version=recorded.version,
        type=recorded.event.topic,
        position=str(recorded.position),
        at=recorded.metadata.at,
        actor=recorded.metadata.actor,
    )
