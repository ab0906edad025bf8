"""What happens to a booking, as it happens: Server-Sent Events until nothing more will happen by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import orjson
from litestar import Response, Router, get
from litestar.params import FromPath
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage

from api.http.booking_views import at_rest, booking_events
from api.http.requests import ApiRequest
from api.http.security import BEARER, access
from api.http.views import utc
from commands.ports import RecordedEvent
from domain.booking.state import BOOKING
from domain.shared.errors import InvalidCommand

_LONGEST_ID = 18


@get("/{booking_id:uuid}/events", media_type="text/event-stream")
async def stream_booking(request: ApiRequest, booking_id: FromPath[UUID]) -> Response[None] | ServerSentEvent:
    """Each event as ``id`` (the version), ``event`` (its name) and ``data`` ({booking_id, status, version, at, type}).

    With Last-Event-ID it goes on after that version. The stream ends when the booking has its outcome and is
    neither being cancelled nor modified; asked again then, it answers 204, which tells browsers not to come back.
    """
    seen = _last_seen(request)
    events = await booking_events(request, booking_id)
    if events[-1].version <= seen and at_rest(BOOKING.fold(recorded.event for recorded in events)):
        return Response(None, status_code=204)
    return ServerSentEvent(_told(request, booking_id, seen))


def _last_seen(request: ApiRequest) -> int:
    given = request.headers.get("Last-Event-ID", "0").strip() or "0"
    if not (given.isascii() and given.isdecimal() and len(given) <= _LONGEST_ID):
        raise InvalidCommand("Last-Event-ID is not one of ours", errors=(("Last-Event-ID", "must be a version"),))
    return int(given)


async def _told(request: ApiRequest, booking_id: UUID, seen: int) -> AsyncIterator[ServerSentEventMessage]:
    """Everything after version ``seen``; comments keep the connection alive while nothing happens."""
    log = request.platform.logs["bookings"]
    loop = asyncio.get_running_loop()
    end = loop.time() + request.http.longest_stream
    async with request.bookings_watch.on(booking_id) as changed:
        while loop.time() < end:
            changed.clear()
            events = await log.read_stream(booking_id)
            for message in _messages(events, seen):
                yield message
            seen = max(seen, events[-1].version)
            if at_rest(BOOKING.fold(recorded.event for recorded in events)):
                return
            try:
                async with asyncio.timeout(request.http.heartbeat):
                    await changed.wait()
            except TimeoutError:
                yield ServerSentEventMessage(data=None, comment="still waiting")


def _messages(events: Sequence[RecordedEvent], seen: int) -> list[ServerSentEventMessage]:
    messages = []
    state = BOOKING.initial
    for recorded in events:
        state = BOOKING.evolve(state, recorded.event)
        if recorded.version > seen:
            name = recorded.event.topic.rpartition(".")[2]
            data = {
                "booking_id": str(recorded.stream_id),
                "status": state.status,
                "reason": state.rejection,
                "version": recorded.version,
                "at": utc(recorded.metadata.at),
                "type": name,
            }
            message = ServerSentEventMessage(data=orjson.dumps(data), event=name, id=recorded.version)
            messages.append(message)
    return messages


booking_events_router = Router(
    "/v1/bookings",
    guards=access("guest", "hotelier", "operator", "admin"),
    security=BEARER,
    tags=["Bookings"],
    route_handlers=[stream_booking],
)
