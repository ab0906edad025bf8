"""What cancelling a booking would cost now, before it is done."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, Router, get
from litestar.params import FromPath

from api.http.booking_views import booking_events
from api.http.requests import ApiRequest
from api.http.security import BEARER, access
from api.http.sending import etag
from api.http.views import MoneyView, View, money_view, spec, utc
from domain.booking.commands import RequestCancellation
from domain.booking.decide import decide_request_cancellation
from domain.booking.events import CancellationRequested
from domain.booking.state import BOOKING

Json = Response[dict[str, Any]]


class CancellationQuote(View):
    """What a cancellation at ``quoted_at`` keeps and gives back of what was paid."""

    charge: MoneyView
    refund: MoneyView
    quoted_at: str


@get(
    "/{booking_id:uuid}/cancellation-quote",
    responses={200: spec(CancellationQuote, description="Nothing was cancelled; this is what it would cost.")},
)
async def quote_cancellation(request: ApiRequest, booking_id: FromPath[UUID]) -> Json:
    """What the cancellation would decide at this moment. 409 if the booking cannot be cancelled."""
    events = await booking_events(request, booking_id)
    state = BOOKING.fold(recorded.event for recorded in events)
    now = request.platform.clock.now()
    decided = decide_request_cancellation(state, RequestCancellation(booking_id=booking_id), now)
    [(charge, refund)] = [(each.charge, each.refund) for each in decided if isinstance(each, CancellationRequested)]
    body = {"charge": money_view(charge), "refund": money_view(refund), "quoted_at": utc(now)}
    return Response(body, headers=etag(events[-1].version))


cancellation_quotes_router = Router(
    "/v1/bookings",
    guards=access("guest", "hotelier", "operator", "admin"),
    security=BEARER,
    tags=["Bookings"],
    route_handlers=[quote_cancellation],
)
