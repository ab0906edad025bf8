"""The smallest domain that a store can be tested with: counters that are increased, up to a limit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict

from commands.ports import Answer, CommandEnvelope, Commit, Idempotency, Metadata, StreamAppend
from domain.shared.aggregate import Aggregate
from domain.shared.errors import DomainError
from domain.shared.messages import Command, Event

AT = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


class Increased(Event, topic="counting.v1.Increased"):
    by: int = 1
    note: str = ""


class Praised(Event, topic="counting.v1.Praised"):
    words: str = ""


class Increase(Command, name="counting.Increase"):
    by: int = 1


class Full(DomainError):
    problem = "full"


class Count(BaseModel):
    model_config = ConfigDict(frozen=True)

    total: int = 0
    notes: tuple[str, ...] = ()


def evolve(state: Count, event: Event) -> Count:
    if isinstance(event, Increased):
        return Count(total=state.total + event.by, notes=(*state.notes, event.note) if event.note else state.notes)
    return state


COUNTER: Aggregate[Count] = Aggregate("counter", "counting", Count(), evolve, snapshot_every=10)


def increase(state: Count, limit: int = 1_000_000) -> Sequence[Event]:
    if state.total >= limit:
        raise Full(f"{state.total} is the limit")
    return [Increased()]


def metadata() -> Metadata:
    return Metadata(correlation_id=uuid4(), at=AT)


def append(stream_id: UUID, expected: int, *events: Event, inbox: UUID | None = None, body: object = None) -> Commit:
    answer = None if inbox is None else Answer(context="counting", body={"told": body})
    return Commit(metadata(), (StreamAppend(stream_id, expected, events),), inbox=inbox, answer=answer)


def envelope(key: Idempotency | None = None) -> CommandEnvelope:
    return CommandEnvelope(uuid4(), Increase(), metadata(), key)
