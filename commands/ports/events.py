"""What happened, and where the log has it."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.shared.errors import InvalidCommand
from domain.shared.messages import Event

_POSITION = re.compile(r"\d{1,20}\.\d{1,20}", re.ASCII)
"""Some stores keep positions with leading zeros, so that texts sort like them."""
_LAST = 2**64 - 1, 2**63 - 1
"""As far as PostgreSQL counts transactions, and events."""


class Position(NamedTuple):
    """A place in one context's log. Ordered by transaction first: see DESIGN section 3 for why both are needed."""

    transaction_id: int
    notification_id: int

    def __str__(self) -> str:
        return f"{self.transaction_id}.{self.notification_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str()`` wrote, or the same with leading zeros; raises InvalidCommand on anything else."""
        if _POSITION.fullmatch(text):
            left, _, right = text.partition(".")
            position = cls(int(left), int(right))
            if position.transaction_id <= _LAST[0] and position.notification_id <= _LAST[1]:
                return position
        raise InvalidCommand(f"{text[:100]!r} is not a position")


START = Position(0, 0)


class Metadata(BaseModel):
    """Who and why, around every event and command.

    ``at`` is when it happened in the business sense. ``historic`` marks imported history: whatever follows from it
    happens at its time, not at the clock's, and its waits are not waited for in real time before they are due.
    ``actor`` is ``user:<id>``, ``saga:<name>``, ``timer``, ``import`` or ``system``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    correlation_id: UUID
    causation_id: UUID | None = None
    actor: str = "system"
    at: dt.datetime
    historic: bool = False
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as the log has it: ``position`` is its place in the log, ``version`` in its stream (from 1)."""

    event_id: UUID
    context: str
    stream_id: UUID
    version: int
    event: Event
    metadata: Metadata
    recorded_at: dt.datetime
    position: Position


@dataclass(frozen=True, slots=True)
class LogRun:
    """Consecutive events of one context after ``prev``; ``position`` is where reading goes on (= ``prev`` if empty)."""

    context: str
    prev: Position
    position: Position
    events: tuple[RecordedEvent, ...]


def caused_by(metadata: Metadata, cause: UUID, actor: str, at: dt.datetime) -> Metadata:
    """Metadata of what follows from a message: same correlation, its cause named; history stays at its own time."""
    return replace_metadata(metadata, causation_id=cause, actor=actor, at=metadata.at if metadata.historic else at)


def replace_metadata(metadata: Metadata, **changes: Any) -> Metadata:
    """A copy of ``metadata`` with some fields changed."""
    return metadata.model_copy(update=changes)
