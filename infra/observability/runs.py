"""Spans of a run of events: one for each trace that has events in it, all as long as the run takes."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace

from structlog.contextvars import bound_contextvars

from commands.ports import RecordedEvent, replace_metadata
from commands.tracing import Attributes, SpanKind, Tracing, is_sampled, logged_for, trace_id_of

TRACED_FOR = dt.timedelta(hours=1)
"""Older events make no spans: whoever reads them again, replays or catches up, is not part of their request."""
LOGGED_EVENTS = 10

Events = Sequence[RecordedEvent]


def spans_of_run(
    tracing: Tracing, name: str, kind: SpanKind, events: Events, now: dt.datetime, attributes: Attributes
) -> AbstractContextManager[Events]:
    """Spans around the work on ``events``; gives the events with these spans as parents of what follows from them.

    A span is the child of that of the first event of its trace.
    """
    return _spans(tracing, name, kind, events, now, attributes) if tracing.on else nullcontext(events)


def logged_for_run(events: Events) -> AbstractContextManager[None]:
    """Everything logged inside bears the events' correlation id, or those of the first few events."""
    first = events[0].metadata
    if all(recorded.metadata.correlation_id == first.correlation_id for recorded in events):
        return logged_for(first)
    few = events[:LOGGED_EVENTS]
    return bound_contextvars(correlation_ids=list(dict.fromkeys(str(each.metadata.correlation_id) for each in few)))


@contextmanager
def _spans(
    tracing: Tracing, name: str, kind: SpanKind, events: Events, now: dt.datetime, attributes: Attributes
) -> Iterator[Events]:
    traces: defaultdict[str, list[RecordedEvent]] = defaultdict(list)
    for recorded in events:
        parent = recorded.metadata.traceparent
        if parent is not None and is_sampled(parent) and now - recorded.recorded_at < TRACED_FOR:
            traces[trace_id_of(parent)].append(recorded)
    with ExitStack() as stack:
        parents = {
            trace_id: stack.enter_context(
                tracing.span(name, kind, members[0].metadata.traceparent, {**attributes, **_about(members)})
            ).traceparent
            for trace_id, members in traces.items()
        }
        yield [_under(recorded, parents) for recorded in events]


def _about(members: Events) -> Attributes:
    return {
        "nightledger.correlation_id": str(members[0].metadata.correlation_id),
        "nightledger.events": len(members),
        "nightledger.event_types": tuple(sorted({recorded.event.topic for recorded in members})),
    }


def _under(recorded: RecordedEvent, parents: dict[str, str | None]) -> RecordedEvent:
    own = recorded.metadata.traceparent
    parent = parents.get(trace_id_of(own)) if own is not None else None
    if parent is None:
        return recorded
    return replace(recorded, metadata=replace_metadata(recorded.metadata, traceparent=parent))
