"""Events as a log would have recorded them, and the fold of them by a projection."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from commands.ports import START, LogRun, Metadata, Position, RecordedEvent
from domain.shared.messages import Event
from projections.ports import Document
from projections.projection import DocumentProjection

NOON = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


def recorded(
    event: Event, version: int = 1, *, at: dt.datetime = NOON, stream: UUID | None = None, position: int | None = None
) -> RecordedEvent:
    """``event`` at ``version`` of a stream; its position is ``position``, or else its version."""
    return RecordedEvent(
        event_id=uuid4(),
        context=event.topic.partition(".")[0],
        stream_id=stream or UUID(int=1),
        version=version,
        event=event,
        metadata=Metadata(correlation_id=uuid4(), at=at),
        recorded_at=at,
        position=Position(100, position or version),
    )


def folded(projection: DocumentProjection, *events: Event, at: Sequence[dt.datetime] = ()) -> Any:
    """The document after ``events``, which happen at ``at`` (default: all at noon)."""
    document: Document | None = None
    times = at or [NOON] * len(events)
    for version, (event, moment) in enumerate(zip(events, times, strict=True), 1):
        document = projection.apply(document, recorded(event, version, at=moment))
    return document


def run_of(*events: RecordedEvent) -> LogRun:
    """A run of the log that begins with it and ends with the last of ``events``."""
    return LogRun(events[-1].context, START, events[-1].position, events)
