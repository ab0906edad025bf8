"""Everything on record about one booking: its own events, its payment's, its rooms', and what its sagas decided."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from api.http.requests import ApiRequest
from api.http.views import utc
from commands.ports import RecordedEvent
from domain.booking.decide import payment_id_of
from domain.saga.events import SagaCommandIssued, SagaReacted
from sagas.booking import BOOKING_SAGA
from sagas.cancellation import CANCELLATION_SAGA

_UNTOLD = {"payment_token", "token", "state", "content", "untold"}
"""Fields that are nobody's business outside: references to means of payment, and sagas' inner state."""


async def history_of(request: ApiRequest, booking_id: UUID, booking: Sequence[RecordedEvent]) -> list[dict[str, Any]]:
    """Every event about the booking, oldest first; ``booking`` is its own stream."""
    logs = request.platform.logs
    correlations = {recorded.metadata.correlation_id for recorded in booking}
    others = await asyncio.gather(
        logs["payments"].read_stream(payment_id_of(booking_id)),
        *(logs["bookings"].read_stream(saga.saga_id(booking_id)) for saga in (BOOKING_SAGA, CANCELLATION_SAGA)),
        *(logs["inventory"].correlated(correlation) for correlation in correlations),
    )
    rooms = [recorded for stream in others[3:] for recorded in stream if _is_about(recorded, booking_id)]
    events = [*booking, *(recorded for stream in others[:3] for recorded in stream), *rooms]
    events.sort(key=lambda recorded: (recorded.recorded_at, recorded.context, recorded.position))
    known = {recorded.event_id: recorded for recorded in events}
    return [_item(recorded, known) for recorded in events]


def _is_about(recorded: RecordedEvent, booking_id: UUID) -> bool:
    return getattr(recorded.event, "booking_id", None) == booking_id


def _item(recorded: RecordedEvent, known: Mapping[UUID, RecordedEvent]) -> dict[str, Any]:
    metadata = recorded.metadata
    cause = known.get(metadata.causation_id) if metadata.causation_id else None
    caused_by = (
        {"event_id": str(metadata.causation_id), "what": cause and _name(cause)} if metadata.causation_id else None
    )
    return {
        "event_id": str(recorded.event_id),
        "what": recorded.event.topic,
        "when": utc(metadata.at),
        "recorded_at": utc(recorded.recorded_at),
        "who": metadata.actor,
        "why": _why(recorded, cause),
        "caused_by": caused_by,
        "correlation_id": str(metadata.correlation_id),
        "stream": f"{recorded.context}/{recorded.stream_id}",
        "version": recorded.version,
        "details": {
            name: value for name, value in recorded.event.model_dump(mode="json").items() if name not in _UNTOLD
        },
    }


def _why(recorded: RecordedEvent, cause: RecordedEvent | None) -> str:
    """The reason in words: the saga's own, that of the event, the command of a saga, or that somebody asked for it."""
    event = recorded.event
    if isinstance(event, SagaReacted):
        return event.note or f"after {event.cause}"
    if isinstance(event, SagaCommandIssued):
        return f"the {event.saga} saga wants it"
    reason = getattr(event, "reason", "")
    if reason:
        return str(reason)
    if cause is not None and isinstance(cause.event, SagaCommandIssued):
        return f"the {cause.event.saga} saga asked for {cause.event.command}"
    return f"after {cause.event.topic}" if cause is not None else f"{recorded.metadata.actor} asked for it"


def _name(recorded: RecordedEvent) -> str:
    event = recorded.event
    return event.command if isinstance(event, SagaCommandIssued) else event.topic
