"""Everything on record about one booking: its own events, its payment's, its rooms', and what its sagas decided."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from api.http.booking_views import as_of, words_with
from api.http.causes import Known, by_id, caused_by, why
from api.http.requests import ApiRequest
from api.http.views import utc
from commands.ports import RecordedEvent
from domain.booking.events import ModificationRequested
from domain.booking.identity import payment_id_of
from sagas.booking import BOOKING_SAGA
from sagas.cancellation import CANCELLATION_SAGA
from sagas.modification import MODIFICATION_SAGA

_UNTOLD = {"payment_token", "token", "state", "content", "untold"}
"""Fields that are nobody's business outside: references to means of payment, and sagas' inner state."""


async def history_of(
    request: ApiRequest, booking_id: UUID, booking: Sequence[RecordedEvent], at: dt.datetime | None = None
) -> list[dict[str, Any]]:
    """Every event about the booking that had happened at ``at`` (None: all), oldest first.

    ``booking`` is its whole stream.
    """
    logs = request.platform.logs
    changes = [each.event.modification_id for each in booking if isinstance(each.event, ModificationRequested)]
    payments = (payment_id_of(booking_id), *changes)
    sagas = (
        *(saga.saga_id(booking_id) for saga in (BOOKING_SAGA, CANCELLATION_SAGA)),
        *(MODIFICATION_SAGA.saga_id(each) for each in changes),
    )
    correlations = {recorded.metadata.correlation_id for recorded in booking}
    others = await asyncio.gather(
        *(logs["payments"].read_stream(each) for each in payments),
        *(logs["bookings"].read_stream(each) for each in sagas),
        *(logs["inventory"].correlated(correlation) for correlation in correlations),
    )
    named = len(payments) + len(sagas)
    of_flows = (recorded for flow in others[named:] for recorded in flow)
    rooms = sorted((each for each in of_flows if _is_about(each, booking_id)), key=lambda each: each.position)
    streams = (booking, *others[:named], rooms)
    events = [recorded for stream in streams for recorded in as_of(stream, at)]
    events.sort(key=lambda recorded: (recorded.recorded_at, recorded.context, recorded.position))
    known = by_id(events)
    words = await words_with(request, events)
    return [_item(recorded, known, words.get(recorded.event_id)) for recorded in events]


def _is_about(recorded: RecordedEvent, booking_id: UUID) -> bool:
    return getattr(recorded.event, "booking_id", None) == booking_id


def _item(recorded: RecordedEvent, known: Known, words: str | None) -> dict[str, Any]:
    metadata = recorded.metadata
    details = {name: value for name, value in recorded.event.model_dump(mode="json").items() if name not in _UNTOLD}
    return {
        "event_id": str(recorded.event_id),
        "what": recorded.event.topic,
        "when": utc(metadata.at),
        "recorded_at": utc(recorded.recorded_at),
        "who": metadata.actor,
        "why": why(recorded, known, words),
        "caused_by": caused_by(recorded, known),
        "correlation_id": str(metadata.correlation_id),
        "stream": f"{recorded.context}/{recorded.stream_id}",
        "version": recorded.version,
        "details": details | ({"reason": words} if words else {}),
    }
