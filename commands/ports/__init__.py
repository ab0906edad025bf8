"""The ports of the write side: what handlers, sagas and feeds need from the outside, in terms of the domain.

Adapters are in ``infra``; each port has one contract suite that runs on every adapter.
"""

from __future__ import annotations

from commands.ports.event_store import (
    Checkpoint,
    Commit,
    ConcurrencyConflict,
    DuplicateMessage,
    EventStore,
    StreamAppend,
)
from commands.ports.events import START, LogRun, Metadata, Position, RecordedEvent, caused_by, replace_metadata
from commands.ports.failures import Temporary, UnreadableEvent
from commands.ports.feeds import DeadLetter, DeadLetters, Feed, FeedHost, WentBack
from commands.ports.messages import (
    Answer,
    CommandBus,
    CommandEnvelope,
    Idempotency,
    IdempotencyMismatch,
    RequestInFlight,
    ServiceUnavailable,
)
from commands.ports.streams import Decide, Loaded, Streams
from commands.ports.time import Clock, NewId, due
from commands.ports.timers import CancelTimer, DueTimer, SetTimer, Timers, UnreadableTimer

__all__ = [
    "START",
    "Answer",
    "CancelTimer",
    "Checkpoint",
    "Clock",
    "CommandBus",
    "CommandEnvelope",
    "Commit",
    "ConcurrencyConflict",
    "DeadLetter",
    "DeadLetters",
    "Decide",
    "DueTimer",
    "DuplicateMessage",
    "EventStore",
    "Feed",
    "FeedHost",
    "Idempotency",
    "IdempotencyMismatch",
    "Loaded",
    "LogRun",
    "Metadata",
    "NewId",
    "Position",
    "RecordedEvent",
    "RequestInFlight",
    "ServiceUnavailable",
    "SetTimer",
    "StreamAppend",
    "Streams",
    "Temporary",
    "Timers",
    "UnreadableEvent",
    "UnreadableTimer",
    "WentBack",
    "caused_by",
    "due",
    "replace_metadata",
]
