"""The log and the streams of one context, and what is committed to them as one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel

from commands.ports.events import LogRun, Metadata, Position, RecordedEvent
from commands.ports.messages import Answer, Idempotency
from commands.ports.timers import CancelTimer, SetTimer
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Event

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class StreamAppend:
    """Events to add to one stream, which must stand at ``expected_version`` (0: must not exist)."""

    stream_id: UUID
    expected_version: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far ``feed`` has consumed ``context``'s log."""

    feed: str
    context: str
    position: Position


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything that becomes true together, or not at all."""

    metadata: Metadata
    appends: tuple[StreamAppend, ...] = ()
    inbox: UUID | None = None
    answer: Answer | None = None
    idempotency: Idempotency | None = None
    timers: tuple[SetTimer | CancelTimer, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    metadata_of_append: tuple[Metadata, ...] = field(default=())
    """When given, one per append, in place of ``metadata`` (a feed commits for many correlations at once)."""


class ConcurrencyConflict(Exception):
    """Another writer was first: the stream no longer stands at the expected version."""

    def __init__(self, stream_id: UUID, expected_version: int) -> None:
        super().__init__(f"stream {stream_id} is no longer at version {expected_version}; load it and decide again")
        self.stream_id = stream_id
        self.expected_version = expected_version


class DuplicateMessage(Exception):
    """The message was handled before; ``answer`` is what it was answered then."""

    def __init__(self, message_id: UUID, answer: Answer | None) -> None:
        super().__init__(f"message {message_id} was handled before")
        self.message_id = message_id
        self.answer = answer


class EventStore(Protocol):
    """The log and the streams of one context. Reading events raises UnreadableEvent."""

    context: str

    async def commit(self, commit: Commit) -> Position:
        """Make ``commit`` durable and return the position of its last event (START if it carries none).

        Raises ConcurrencyConflict or DuplicateMessage; then nothing of it is stored.
        """
        ...

    async def read_stream(
        self, stream_id: UUID, *, after: int = 0, up_to: int | None = None
    ) -> Sequence[RecordedEvent]:
        """Events of one stream in order of version, ``after`` exclusive, ``up_to`` inclusive."""
        ...

    async def read_log(
        self, after: Position, limit: int, *, topics: frozenset[str] | None = None, up_to: Position | None = None
    ) -> LogRun:
        """The next events after ``after``; never skips one that becomes visible later.

        With ``topics`` only those are returned (decoded), while ``position`` moves over all.
        """
        ...

    async def newest(self, limit: int) -> Sequence[RecordedEvent]:
        """The last events that a reader may take now, oldest of them first."""
        ...

    async def correlated(self, correlation_id: UUID) -> Sequence[RecordedEvent]:
        """Every event that followed from one request, in the order of the log."""
        ...

    async def head(self) -> Position:
        """Position of the last event that a reader may take now."""
        ...

    async def count(self, after: Position, topics: frozenset[str] | None = None) -> int:
        """How many events lie after ``after`` (only those of ``topics``, if given)."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """How many events readers may take, by the topics that they are stored under."""
        ...

    async def first_after(self, after: Position, topics: frozenset[str] | None = None) -> dt.datetime | None:
        """When the first event (of ``topics``) after ``after`` was recorded, though it be unreadable; None: no such."""
        ...

    async def wait_beyond(self, position: Position, wait_seconds: float) -> bool:
        """Return True as soon as ``head()`` may be beyond ``position``, False after ``wait_seconds``."""
        ...

    async def load_snapshot(self, stream_id: UUID, aggregate: Aggregate[S]) -> tuple[S, int] | None:
        """The newest usable snapshot and the version that it stands for."""
        ...

    async def save_snapshot(self, stream_id: UUID, aggregate: Aggregate[S], state: S, version: int) -> None:
        """Keep ``state`` as of ``version``; an older one than stored is ignored."""
        ...

    async def answer_of(self, message_id: UUID) -> Answer | None:
        """What the message was answered; None if it was not handled."""
        ...

    async def claim(self, idempotency: Idempotency, command_id: UUID) -> Answer | None:
        """Claim a client's key for this request; the stored answer if it was finished before.

        Raises IdempotencyMismatch for another fingerprint, RequestInFlight while another attempt holds the claim
        (a claim that was never finished lapses after 30 s).
        """
        ...

    async def release_claim(self, idempotency: Idempotency) -> None:
        """Give up a claim whose request was refused, so that the key can be used again."""
        ...

    async def checkpoint(self, feed: str, context: str) -> Position:
        """Where ``feed`` stands in ``context``'s log; START if it never ran."""
        ...

    async def checkpoints(self) -> Sequence[Checkpoint]:
        """All checkpoints kept in this store."""
        ...

    async def set_back(self, checkpoint: Checkpoint) -> None:
        """Lower a feed's checkpoint: what lies behind it is handed to the feed again. A commit only ever raises it."""
        ...
