"""The ports of the write side: what handlers, sagas and feeds need from the outside, in terms of the domain.

Adapters are in ``infra``; each port has one contract suite that runs on every adapter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.shared.aggregate import Aggregate
from domain.shared.errors import DomainError, InvalidCommand
from domain.shared.messages import Command, Event

S = TypeVar("S", bound=BaseModel)


class Position(NamedTuple):
    """A place in one context's log. Ordered by transaction first: see DESIGN section 3 for why both are needed."""

    transaction_id: int
    notification_id: int

    def __str__(self) -> str:
        return f"{self.transaction_id}.{self.notification_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str()`` wrote; raises InvalidCommand on anything else."""
        left, _, right = text.partition(".")
        if not (left.isdecimal() and right.isdecimal()):
            raise InvalidCommand(f"{text!r} is not a position")
        return cls(int(left), int(right))


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


class Idempotency(BaseModel):
    """A client's key for one request: ``scope`` says whose key it is, ``fingerprint`` is a hash of what was asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class CommandEnvelope:
    """A command on its way. Handlers are idempotent by ``command_id``."""

    command_id: UUID
    command: Command
    metadata: Metadata
    idempotency: Idempotency | None = None


class Answer(BaseModel):
    """What a command was answered: where its events are in the log (None if there were none) and what to tell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context: str
    position: str | None = None
    body: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class StreamAppend:
    """Events to add to one stream, which must stand at ``expected_version`` (0: must not exist)."""

    stream_id: UUID
    expected_version: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Deliver ``command`` at ``due_at`` (real time), once. Setting a timer again replaces it."""

    timer_id: UUID
    due_at: dt.datetime
    command: CommandEnvelope


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer; no error if it is gone."""

    timer_id: UUID


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


class IdempotencyMismatch(DomainError):
    """The key was used before for another request."""

    problem = "idempotency-mismatch"
    status = 422


class RequestInFlight(DomainError):
    """The same request is being handled at this moment; ask again after a second."""

    problem = "request-in-flight"


class EventStore(Protocol):
    """The log and the streams of one context."""

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


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A stream's state and the version that it stands at (0: there is no such stream)."""

    stream_id: UUID
    state: S
    version: int


Decide = Callable[[S], Sequence[Event]]


class Streams(Protocol):
    """Load an aggregate, decide, commit: the unit of work of every command handler."""

    async def load(self, aggregate: Aggregate[S], stream_id: UUID) -> Loaded[S]:
        """The current state."""
        ...

    async def execute(
        self,
        aggregate: Aggregate[S],
        stream_id: UUID,
        decide: Decide[S],
        envelope: CommandEnvelope,
        *,
        body: Callable[[S], dict[str, Any]] | None = None,
        timers: Callable[[S, Sequence[Event]], Sequence[SetTimer | CancelTimer]] | None = None,
        message_id: UUID | None = None,
    ) -> Answer:
        """Decide on the current state and commit events, inbox row, idempotency record and timers as one.

        Commands for one stream are serialised; a conflict with another process is decided again on the new state.
        ``body`` makes the answer's body from the state after the events. ``message_id`` replaces the command id in
        the inbox for a handler that commits more than once. A command that was handled before is answered as then.
        Raises what ``decide`` raises; then nothing is stored.
        """
        ...


class CommandBus(Protocol):
    """Send a command to the service that handles it and wait for its answer."""

    async def send(self, envelope: CommandEnvelope) -> Answer:
        """Raises the DomainError with which the service refused, or ServiceUnavailable."""
        ...


class ServiceUnavailable(DomainError):
    """The service did not answer in time. The command may still be carried out: repeat it with the same key."""

    problem = "service-unavailable"
    status = 503


class Feed(Protocol):
    """An ordered, checkpointed consumer of one or more logs: a saga, a projection, a dispatcher of commands.

    It has one checkpoint per context, kept in its home's store. With ``commits_checkpoint`` its ``handle`` stores the
    checkpoint in the same commit as its effects; otherwise the runner stores it afterwards, so that a run may be
    handled twice, which must be harmless.
    """

    name: str
    contexts: tuple[str, ...]
    topics: frozenset[str] | None
    commits_checkpoint: bool

    async def handle(self, run: LogRun, checkpoint: Checkpoint) -> None:
        """Take a run as one unit of work; ``checkpoint`` stands behind it. Raises if nothing of it took effect.

        ``run.prev`` is where the run before it ended that was handed over; a run without events says that there was
        nothing for the feed. Raises WentBack if the effects of the run before are lost.
        """
        ...

    async def resumes_at(self, checkpoint: Checkpoint) -> Position:
        """Where to go on: at ``checkpoint``, or further back if the store of the effects has lost some of them.

        Raises what ``handle`` raises when that store is away.
        """
        ...


class FeedHost(Protocol):
    """Runs feeds: from the broker where there is one, from the log otherwise; retries, then parks what fails."""

    async def start(self, feed: Feed, home: str) -> None:
        """Run ``feed`` from its checkpoints, which are kept in ``home``'s store."""
        ...

    async def stop(self, name: str) -> None:
        """Stop a feed and wait until it has stopped; no error if it does not run."""
        ...


class WentBack(Exception):
    """A feed's store has lost effects that it had acknowledged: go on where the feed ``resumes_at`` now."""


class Temporary(Exception):
    """Base of failures that are nobody's fault but a server's that is away: wait and try again, park nothing."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be handled, with everything needed to handle it later.

    ``consumer`` is the feed or ``commands:<service>``. ``stream_id`` and ``position`` are those of the event (None for
    a command). ``message`` is the event as a CloudEvent, or the command envelope, as JSON.
    ``behind``: it did not fail itself but came after one of the same stream that had.
    """

    letter_id: UUID
    consumer: str
    context: str
    stream_id: UUID | None
    position: Position | None
    topic: str
    message: dict[str, Any]
    error: str
    traceback: str
    attempts: int
    behind: bool
    parked_at: dt.datetime


class DeadLetters(Protocol):
    """The table ``dead_letters`` of one context's store."""

    async def park(self, letter: DeadLetter) -> None:
        """Keep ``letter``; parking the same message for the same consumer again changes nothing but its failure.

        And that only if it failed itself: what is ``behind`` never replaces a letter.
        """
        ...

    async def parked_streams(self, consumer: str) -> frozenset[UUID]:
        """Streams of which something is parked for ``consumer``: later events of them are parked behind it."""
        ...

    async def list(self, consumer: str | None = None, limit: int = 200) -> Sequence[DeadLetter]:
        """Oldest first."""
        ...

    async def of_stream(self, consumer: str, context: str, stream_id: UUID) -> Sequence[DeadLetter]:
        """What is parked of one stream for ``consumer``, in its order."""
        ...

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """One letter."""
        ...

    async def remove(self, letter_id: UUID) -> None:
        """Forget a letter that was handled after all or is given up."""
        ...


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A timer whose time has come. It is delivered again unless ``done`` is called within the claim's 30 s."""

    timer_id: UUID
    due_at: dt.datetime
    command: CommandEnvelope


@dataclass(frozen=True, slots=True)
class UnreadableTimer:
    """A timer whose time has come, and whose command (``stored``, JSON) this version of the code cannot read."""

    timer_id: UUID
    due_at: dt.datetime
    stored: str
    error: Exception


class Timers(Protocol):
    """The table ``timers`` of one context's store (timers are set by commits)."""

    async def claim_due(self, now: dt.datetime, limit: int = 100) -> Sequence[DueTimer | UnreadableTimer]:
        """Claim timers that are due (SKIP LOCKED), oldest first; one that cannot be read is among them as such."""
        ...

    async def done(self, timer: DueTimer | UnreadableTimer) -> None:
        """Forget a delivered timer, unless it was set anew to another time meanwhile."""
        ...

    async def next_due(self) -> dt.datetime | None:
        """When the next unclaimed timer is due; None if there is none."""
        ...


class Clock(Protocol):
    """The only source of the present."""

    def now(self) -> dt.datetime:
        """Now, in UTC."""
        ...


class NewId(Protocol):
    """The only source of new identifiers."""

    def __call__(self) -> UUID:
        """A new UUIDv7."""
        ...


def due(clock: Clock, metadata: Metadata, at: dt.datetime) -> dt.datetime:
    """Real time at which something that is due at business time ``at`` has to happen.

    For imported history the wait counts from now, because its business time is long past.
    """
    return clock.now() + (at - metadata.at) if metadata.historic else at


def caused_by(metadata: Metadata, cause: UUID, actor: str, at: dt.datetime) -> Metadata:
    """Metadata of what follows from a message: same correlation, its cause named; history stays at its own time."""
    return replace_metadata(metadata, causation_id=cause, actor=actor, at=metadata.at if metadata.historic else at)


def replace_metadata(metadata: Metadata, **changes: Any) -> Metadata:
    """A copy of ``metadata`` with some fields changed."""
    return metadata.model_copy(update=changes)
