"""What the hotel's people record of a booking: its guest has come, has left, or has not come."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Response, Router, post
from litestar.params import FromPath

from api.http.booking_models import BookingView
from api.http.booking_views import booking_view, unknown
from api.http.idempotency import answered_once, once
from api.http.owners import hotel_in_charge
from api.http.positions import token_of
from api.http.requests import ApiRequest
from api.http.security import BEARER, access
from api.http.sending import etag, expected_version, send
from api.http.views import spec
from domain.booking.commands import BookingCommand, CheckIn, CheckOut, RecordNoShow
from domain.booking.state import BOOKING
from domain.shared.errors import Forbidden

Json = Response[dict[str, Any]]


@post(
    "/{booking_id:uuid}/check-in",
    status_code=200,
    responses={200: spec(BookingView, description="The booking, checked_in.")},
)
async def check_in(request: ApiRequest, booking_id: FromPath[UUID]) -> Json:
    """The guest is here: on any day of the stay before its last, also after a no-show."""
    return await _recorded(
        request,
        booking_id,
        lambda today: CheckIn(booking_id=booking_id, today=today, expected_version=expected_version(request)),
    )


@post(
    "/{booking_id:uuid}/check-out",
    status_code=200,
    responses={200: spec(BookingView, description="The booking, checked_out.")},
)
async def check_out(request: ApiRequest, booking_id: FromPath[UUID]) -> Json:
    """The guest leaves. Nights that are left of the stay stay sold to the booking."""
    return await _recorded(
        request, booking_id, lambda _: CheckOut(booking_id=booking_id, expected_version=expected_version(request))
    )


@post(
    "/{booking_id:uuid}/no-show",
    status_code=200,
    responses={200: spec(BookingView, description="The booking, no_show.")},
)
async def record_no_show(request: ApiRequest, booking_id: FromPath[UUID]) -> Json:
    """The stay has begun and nobody has come: the rooms stay the guest's, and what was paid stays the hotel's."""
    return await _recorded(
        request, booking_id, lambda _: RecordNoShow(booking_id=booking_id, expected_version=expected_version(request))
    )


async def _recorded(request: ApiRequest, booking_id: UUID, command: Callable[[dt.date], BookingCommand]) -> Json:
    """Send the command, made for the date at the hotel, for the hotel's owner or staff; answer with the booking."""
    details = (await request.platform.streams["bookings"].load(BOOKING, booking_id)).state.details
    if details is None:
        raise unknown(booking_id)
    try:
        hotel = await hotel_in_charge(request, details.hotel_id)
    except Forbidden:
        if details.account_id == request.principal.account_id:
            raise
        raise unknown(booking_id) from None  # to others it looks as if there were none
    today = request.platform.clock.now().astimezone(ZoneInfo(hotel.time_zone)).date()
    asked = await once(request)
    answer = await answered_once(request, asked, "bookings", lambda: send(request, command(today), asked))
    view = await booking_view(request, await request.platform.logs["bookings"].read_stream(booking_id))
    return Response(view, headers=token_of(answer) | etag(view["version"]))


arrivals_router = Router(
    "/v1/bookings",
    guards=access("hotelier", "operator", "admin"),
    security=BEARER,
    tags=["Bookings"],
    route_handlers=[check_in, check_out, record_no_show],
)
