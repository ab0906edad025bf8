"""Why events happened, and what caused them: who reads a record should not have to look up identifiers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from commands.ports import RecordedEvent
from domain.saga.events import SagaCommandIssued, SagaReacted

_OUTSIDE = {"user": "request", "timer": "timer", "import": "import", "system": "the platform"}
"""What an event followed from that is no event: by the kind of its actor."""

Known = Mapping[UUID, RecordedEvent]


def by_id(events: Iterable[RecordedEvent]) -> Known:
    """``events`` by every id under which another event may name them as its cause: their own, and their command's."""
    known: dict[UUID, RecordedEvent] = {}
    for recorded in events:
        known[recorded.event_id] = recorded
        if isinstance(recorded.event, SagaCommandIssued):
            known[recorded.event.command_id] = recorded
    return known


def caused_by(recorded: RecordedEvent, known: Known) -> dict[str, Any] | None:
    """What led to the event: ``event_id`` is None if that was no event, ``what`` if it is not among those known."""
    cause_id = recorded.metadata.causation_id
    if cause_id is None:
        return None
    cause = known.get(cause_id)
    if cause is None:
        return {"event_id": None, "what": outside(recorded), "command_id": str(cause_id)}
    command_id = cause.event.command_id if isinstance(cause.event, SagaCommandIssued) else None
    return {
        "event_id": str(cause.event_id),
        "what": _name(cause),
        "command_id": None if command_id is None else str(command_id),
    }


def outside(recorded: RecordedEvent) -> str | None:
    """What the event followed from if that was no event; None if it was one."""
    return _OUTSIDE.get(recorded.metadata.actor.partition(":")[0])


def why(recorded: RecordedEvent, known: Known, words: str | None = None) -> str:
    """The reason: what was written with the request, the event's own, the saga's, or who asked for what."""
    event = recorded.event
    if words:
        return words
    if isinstance(event, SagaReacted):
        return event.note or f"after {event.cause}"
    reason = getattr(event, "reason", "")
    if reason:
        return str(reason)
    cause = known.get(recorded.metadata.causation_id) if recorded.metadata.causation_id else None
    if isinstance(event, SagaCommandIssued):
        return f"the {event.saga} saga wants it" + (f" after {_name(cause)}" if cause else "")
    if cause is None:
        return f"{recorded.metadata.actor} asked for it"
    if isinstance(cause.event, SagaCommandIssued):
        return f"the {cause.event.saga} saga asked for {cause.event.command}"
    return f"after {_name(cause)}"


def _name(recorded: RecordedEvent) -> str:
    event = recorded.event
    return event.command if isinstance(event, SagaCommandIssued) else event.topic
