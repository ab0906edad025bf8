"""What the log says, for operators: the newest events, one stream, everything that followed from one request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.http.booking_views import words_with
from api.http.causes import Known, by_id, caused_by, outside, why
from api.http.masking import masked_event
from api.http.requests import ApiRequest
from api.http.security import BEARER, STAFF, access
from commands.ports import Position, RecordedEvent
from commands.tracing import trace_id_of
from domain.saga.events import SagaCommandIssued
from domain.shared.errors import NotFound

Json = Response[dict[str, Any]]
Limit = Annotated[int, QueryParameter(ge=1, le=1_000)]
_FLOWS = 20
"""Of how many flows the causes are looked up for one stream."""
Wait = Annotated[int, QueryParameter(ge=0, le=30)]


@get("/logs/{context:str}")
async def read_log(
    request: ApiRequest, context: FromPath[str], after: FromQuery[str | None] = None, limit: Limit = 50, wait: Wait = 0
) -> Json:
    """The newest events of a context, or those after a position; with ``wait`` as soon as there are any."""
    log = request.platform.logs.get(context)
    if log is None:
        raise NotFound(f"no log {context!r}; there are {', '.join(request.platform.logs)}")
    if after is None:
        events = await log.newest(limit)
        position = events[-1].position if events else await log.head()
    else:
        start = Position.parse(after)
        run = await log.read_log(start, limit)
        if not run.events and wait and await log.wait_beyond(start, wait):
            run = await log.read_log(start, limit)
        events, position = run.events, run.position
    known = by_id(events)
    return Response({"items": [_shown(request, event, known) for event in events], "position": str(position)})


@get("/streams/{stream_id:uuid}")
async def read_stream(request: ApiRequest, stream_id: FromPath[UUID]) -> Json:
    """All events of one stream, whichever context it belongs to."""
    logs = request.platform.logs.values()
    found: Sequence[Sequence[RecordedEvent]] = await asyncio.gather(*(log.read_stream(stream_id) for log in logs))
    events = [event for stream in found for event in stream]
    if not events:
        raise NotFound(f"no stream {stream_id}")
    known = by_id([*events, *await _around(request, events)])
    words = await words_with(request, events)
    return Response({"items": [_shown(request, event, known, words.get(event.event_id)) for event in events]})


@get("/traces/{correlation:uuid}")
async def trace(request: ApiRequest, correlation: FromPath[UUID]) -> Json:
    """Everything that one request led to, in all contexts, oldest first."""
    logs = request.platform.logs.values()
    found = await asyncio.gather(*(log.correlated(correlation) for log in logs))
    events = sorted((event for log in found for event in log), key=lambda event: (event.recorded_at, event.position))
    if not events:
        raise NotFound(f"nothing is correlated with {correlation}")
    known = by_id(events)
    return Response({"items": [_shown(request, event, known) for event in events]})


async def _around(request: ApiRequest, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    """Events of the flows in which causes of ``events`` are; of the last flows, if many."""
    caused = [recorded for recorded in reversed(events) if outside(recorded) is None]
    correlations = list(dict.fromkeys(recorded.metadata.correlation_id for recorded in caused))
    logs = request.platform.logs.values()
    found = await asyncio.gather(
        *(log.correlated(correlation) for correlation in correlations[:_FLOWS] for log in logs)
    )
    return [event for flow in found for event in flow]


def _shown(request: ApiRequest, recorded: RecordedEvent, known: Known, words: str | None = None) -> dict[str, Any]:
    """An event; references to means of payment are masked unless the asker may see them.

    ``words`` are what was written with the request that it followed from.
    """
    event, metadata = recorded.event, recorded.metadata
    return {
        "event_id": str(recorded.event_id),
        "type": event.topic,
        "context": recorded.context,
        "stream_id": str(recorded.stream_id),
        "version": recorded.version,
        "position": str(recorded.position),
        "at": metadata.at.isoformat(),
        "recorded_at": recorded.recorded_at.isoformat(),
        "actor": metadata.actor,
        "correlation_id": str(metadata.correlation_id),
        "trace_id": trace_id_of(metadata.traceparent) if metadata.traceparent else None,
        "why": why(recorded, known, words),
        "caused_by": str(metadata.causation_id) if metadata.causation_id else None,
        "cause": (caused_by(recorded, known) or {}).get("what"),
        "command_id": str(event.command_id) if isinstance(event, SagaCommandIssued) else None,
        "what": masked_event(request.principal, event.model_dump(mode="json")),
    }


logs_router = Router(
    path="/v1/ops",
    guards=access(*STAFF),
    security=BEARER,
    tags=["Operations"],
    route_handlers=[read_log, read_stream, trace],
)
