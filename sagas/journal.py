"""What a saga's stream tells of it, and what is added to the stream when the saga is told something.

A saga that cannot take what it is told is quarantined, alone: what it failed on, and whatever comes after, is set
aside in its stream, so that an operator can have it told again. That goes too for a saga whose stored state this code
cannot read (newer code wrote it, say): the state stays as it is stored, for code that can.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid5

import structlog

from commands.ports import (
    CancelTimer,
    Clock,
    CommandEnvelope,
    Metadata,
    RecordedEvent,
    SetTimer,
    due,
    replace_metadata,
)
from commands.tracing import logged_for
from domain.saga.events import SagaCommandIssued, SagaReacted, Untold
from domain.shared.messages import Event
from domain.shared.topics import lift
from sagas.commands import PassDeadline
from sagas.saga import Happening, Reaction, Saga, SagaState, command_id

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Journal:
    """One saga as of ``version`` of its stream. ``stored`` is its state as it is written; empty: it has not begun.

    ``step`` is what it waits for; empty before it has begun. ``deadline`` is in real time. ``metadata`` is that of the
    last event: whose correlation it is, and whether history.
    """

    saga: Saga[Any]
    saga_id: UUID
    subject_id: UUID
    version: int = 0
    stored: dict[str, Any] = field(default_factory=dict)
    step: str = ""
    status: str = "running"
    deadline: dt.datetime | None = None
    note: str = ""
    untold: tuple[Untold, ...] = ()
    metadata: Metadata | None = None

    @property
    def quarantined(self) -> bool:
        """Whether it has failed and waits for an operator."""
        return self.status == "quarantined"

    def state(self) -> SagaState | None:
        """The saga's state; None: it has not begun. Raises ValidationError if this code cannot read what is stored."""
        if not self.stored:
            return None
        state: SagaState = self.saga.state_type.model_validate(self.stored)
        return state

    def after(self, recorded: Iterable[RecordedEvent]) -> Journal:
        """The journal after further events of the stream."""
        journal = self
        for each in recorded:
            journal = replace(journal._with(each.event), version=each.version, metadata=each.metadata)
        return journal

    def _with(self, event: Event) -> Journal:
        if not isinstance(event, SagaReacted):
            return self
        return replace(
            self,
            stored=event.state,
            step=event.step,
            status=event.status,
            deadline=event.deadline,
            note=event.note,
            untold=self.untold + event.untold if event.status == "quarantined" else (),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """What one happening adds: ``events`` (none: it was ignored) to ``before``, which makes it ``after``."""

    before: Journal
    after: Journal
    events: tuple[Event, ...]
    metadata: Metadata
    timers: tuple[SetTimer | CancelTimer, ...] = ()


class Teller:
    """Tells sagas what happens, and writes down how they react."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def tell(self, journal: Journal, happening: Happening, metadata: Metadata) -> Entry:
        """Let the saga react. ``metadata`` is that of the reaction.

        Never raises for what the saga does, nor for a stored state that this code cannot read.
        """
        if journal.quarantined:
            return self._set_aside(journal, happening, metadata, journal.note)
        try:
            reaction = journal.saga.react(journal.state(), happening)
            return self.record(journal, reaction, _cause(happening), metadata)
        except Exception as error:
            with logged_for(metadata):
                log.exception("saga quarantined", saga=journal.saga.name, saga_id=str(journal.saga_id))
            return self._set_aside(journal, happening, metadata, f"{type(error).__name__}: {error}")

    def record(self, journal: Journal, reaction: Reaction[Any], cause: str, metadata: Metadata) -> Entry:
        """Write a reaction down."""
        state: SagaState | None = reaction.state
        if state is None:
            return Entry(journal, journal, (), metadata)
        deadline = journal.deadline
        if not reaction.keep_deadline:
            deadline = None if reaction.deadline is None else due(self._clock, metadata, reaction.deadline)
        issued = tuple(
            SagaCommandIssued(
                saga_id=journal.saga_id,
                saga=journal.saga.name,
                command_id=command_id(journal.saga_id, issue.purpose),
                command=issue.command.name,
                content=issue.command.model_dump(mode="json"),
            )
            for issue in reaction.commands
        )
        reacted = _reacted(
            journal,
            cause,
            step=state.step,
            state=state.model_dump(mode="json"),
            status=state.status,
            deadline=deadline,
            note=reaction.note,
        )
        return self._entry(journal, (reacted, *issued), metadata)

    def resume(self, journal: Journal, metadata: Metadata) -> Entry:
        """End the quarantine without telling anything yet; the deadline stays, and what had finished has finished."""
        reacted = _reacted(journal, "retry", status=journal.stored.get("status", "running"))
        return self._entry(journal, (reacted,), metadata)

    def retell(self, untold: Untold, journal: Journal, metadata: Metadata) -> Entry:
        """Tell what was set aside; should it not even be readable any more, it is set aside again."""
        if untold.deadline is not None:
            return self.tell(journal, Happening(metadata.at, deadline=untold.deadline), metadata)
        try:
            event = event_of(untold)
        except Exception as error:
            with logged_for(metadata):
                log.exception("saga cannot be retried", saga=journal.saga.name, saga_id=str(journal.saga_id))
            return self._quarantine(journal, untold, metadata, f"{type(error).__name__}: {error}")
        return self.tell(journal, Happening(metadata.at, event), metadata)

    def _set_aside(self, journal: Journal, happening: Happening, metadata: Metadata, note: str) -> Entry:
        event = happening.event
        untold = Untold(
            topic="" if event is None else event.topic,
            content={} if event is None else event.model_dump(mode="json"),
            deadline=happening.deadline,
        )
        return self._quarantine(journal, untold, metadata, note)

    def _quarantine(self, journal: Journal, untold: Untold, metadata: Metadata, note: str) -> Entry:
        reacted = _reacted(
            journal,
            untold.topic or f"deadline:{untold.deadline}",
            status="quarantined",
            deadline=None if untold.deadline is not None else journal.deadline,
            note=note,
            untold=(untold,),
        )
        return self._entry(journal, (reacted,), metadata)

    def _entry(self, journal: Journal, events: tuple[Event, ...], metadata: Metadata) -> Entry:
        after = journal
        for event in events:
            after = after._with(event)  # noqa: SLF001 - the journal is this module's own
        after = replace(after, version=journal.version + len(events), metadata=metadata)
        return Entry(journal, after, events, metadata, _timers(journal, after))


def event_of(untold: Untold) -> Event:
    """The event that was set aside. Raises TopicError or ValidationError if this code cannot read it."""
    event_type, content = lift(untold.topic, untold.content)
    event: Event = event_type.model_validate(content)
    return event


def deadline_timer(saga_id: UUID) -> UUID:
    """The id of the timer that keeps a saga's deadline."""
    return uuid5(saga_id, "deadline")


def _reacted(journal: Journal, cause: str, **changes: Any) -> SagaReacted:
    """Step, state and deadline stay as they are written unless ``changes`` says otherwise."""
    kept = {"step": journal.step, "state": journal.stored, "deadline": journal.deadline}
    return SagaReacted(
        saga_id=journal.saga_id, saga=journal.saga.name, subject_id=journal.subject_id, cause=cause, **(kept | changes)
    )


def _cause(happening: Happening) -> str:
    return f"deadline:{happening.deadline}" if happening.event is None else happening.event.topic


def _timers(before: Journal, after: Journal) -> tuple[SetTimer | CancelTimer, ...]:
    """A quarantined saga keeps its timer: that its time is up is told to it when it is retried."""
    if (after.deadline, after.step) == (before.deadline, before.step) or (after.quarantined and after.deadline is None):
        return ()
    if after.deadline is None or after.metadata is None:
        return (CancelTimer(deadline_timer(after.saga_id)),)
    metadata = after.metadata
    command = CommandEnvelope(
        command_id=uuid5(after.saga_id, f"deadline:{after.deadline.isoformat()}"),
        command=PassDeadline(
            saga=after.saga.name,
            saga_id=after.saga_id,
            subject_id=after.subject_id,
            step=after.step,
            due_at=after.deadline,
        ),
        metadata=replace_metadata(metadata, actor="timer", at=metadata.at if metadata.historic else after.deadline),
    )
    return (SetTimer(deadline_timer(after.saga_id), after.deadline, command),)
