"""Another stay for a booking: first what it costs, then the change itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, Router, post
from litestar.params import FromPath, JSONBody
from pydantic import ValidationError

from api.http.booking_models import BookingView, PriceView, StayView
from api.http.booking_views import acting_for, at_rest, booking_events, booking_view, price_view, stay_view
from api.http.idempotency import answered_once, once
from api.http.outcomes import answer_headers, settled
from api.http.payments import require_provider
from api.http.positions import reached
from api.http.quoting import CALENDARS, Party
from api.http.requests import ApiRequest
from api.http.requoting import Requoted, Wanted, requoted
from api.http.schemas import Modification, ModificationWish, PaymentMeans
from api.http.search import HOTEL_PAGES, hotel_page
from api.http.security import BEARER, access
from api.http.sending import etag, preferred_wait, send
from api.http.views import MoneyView, TierView, View, money_view, spec, utc
from commands.security import OfferInvalid
from domain.booking.commands import RequestModification
from domain.booking.decide import require_at_rest
from domain.booking.events import BookingDetails, ModificationRequested
from domain.booking.modification import decide_request_modification, refunded
from domain.booking.state import BOOKING, BookingState
from domain.shared.stay import Stay

Json = Response[dict[str, Any]]
# A quote is decided as the modification will be, which wants to know how a charge is paid; it goes nowhere.
_UNPAID = PaymentMeans(provider="sandbox", token="quote")  # noqa: S106 - no secret: see above


class ModificationQuote(View):
    """What a booking would be and cost. ``difference`` is that of the totals, negative if it gets cheaper.

    ``charge`` is to be paid with the modification, ``refund`` goes back after it. ``quote_token`` fixes all of it for a
    quarter of an hour, or until the booking changes.
    """

    quote_token: str
    booking_id: UUID
    room_type_id: UUID
    rate_plan_id: UUID
    stay: StayView
    rooms: int
    adults: int
    children: int
    price: PriceView
    difference: MoneyView
    charge: MoneyView
    refund: MoneyView
    cancellation_policy: list[TierView]
    quoted_at: str


@post(
    "/{booking_id:uuid}/modification-quotes",
    status_code=200,
    responses={200: spec(ModificationQuote, description="Nothing was changed; this is what it would cost.")},
)
async def quote_modification(request: ApiRequest, booking_id: FromPath[UUID], data: JSONBody[ModificationWish]) -> Json:
    """What another stay at the same hotel would cost; what is not given stays. 409 if it cannot be had."""
    platform = request.platform
    headers = await reached(request, HOTEL_PAGES, CALENDARS)
    state = BOOKING.fold(recorded.event for recorded in await booking_events(request, booking_id))
    asked_by = acting_for(request, state, "modified")
    booked = require_at_rest(state, booking_id, {"confirmed"}, "modified")
    page = await hotel_page(request, booked.hotel_id)
    offer = await requoted(platform.calendars, page, booked, _wanted(booked, data))
    sealed = Requoted(booking_id=booking_id, version=state.version, offer=offer)
    now = platform.clock.now()
    command = _command(request, sealed, _UNPAID, asked_by)
    [asked] = [
        each for each in decide_request_modification(state, command, now) if isinstance(each, ModificationRequested)
    ]
    body = {
        "quote_token": await platform.offers.seal(sealed.model_dump(mode="json")),
        "booking_id": str(booking_id),
        "room_type_id": str(asked.after.room_type_id),
        "rate_plan_id": str(asked.after.rate_plan_id),
        "stay": stay_view(asked.after),
        "rooms": asked.after.rooms,
        "adults": asked.after.adults,
        "children": asked.after.children,
        "price": price_view(asked.after),
        "difference": money_view(asked.after.total - booked.total),
        "charge": money_view(asked.charge),
        "refund": money_view(refunded(asked)),
        "cancellation_policy": [
            {"hours_before": tier.hours_before, "percent": tier.percent_charged} for tier in asked.after.cancellation
        ],
        "quoted_at": utc(now),
    }
    return Response(body, headers=headers | etag(state.version))


@post(
    "/{booking_id:uuid}/modifications",
    status_code=202,
    responses={
        202: spec(BookingView, description="The modification is under way, or has ended: see ``modification``.")
    },
)
async def modify_booking(request: ApiRequest, booking_id: FromPath[UUID], data: JSONBody[Modification]) -> Json:
    """Change a confirmed booking before its check-in as quoted; until that has succeeded it stays as it was.

    ``payment`` is needed if there is a charge. With ``Prefer: wait=N`` the answer waits for the outcome.
    """
    if data.payment is not None:
        require_provider(request, data.payment)
    state = BOOKING.fold(recorded.event for recorded in await booking_events(request, booking_id))
    asked_by = acting_for(request, state, "modified")
    quote = _quoted(await request.platform.offers.open(data.quote_token), booking_id)
    asked = await once(request)
    command = _command(request, quote, data.payment, asked_by)
    answer = await answered_once(request, asked, "bookings", lambda: send(request, command, asked))
    wait = preferred_wait(request)
    events = await settled(request, booking_id, wait, lambda state: at_rest(state) or _waits_for_guest(state))
    view = await booking_view(request, events)
    return Response(view, status_code=202, headers=answer_headers(answer, view, wait))


def _wanted(booked: BookingDetails, wish: ModificationWish) -> Wanted:
    """What is wished for; what is not said stays. Raises InvalidCommand for a stay that is none."""
    stay = Stay(check_in=wish.check_in or booked.stay.check_in, check_out=wish.check_out or booked.stay.check_out)
    return Wanted(
        wish.room_type_id or booked.room_type_id,
        wish.rate_plan_id or booked.rate_plan_id,
        stay,
        Party(
            booked.adults if wish.adults is None else wish.adults,
            booked.children if wish.children is None else wish.children,
            booked.rooms if wish.rooms is None else wish.rooms,
        ),
    )


def _command(
    request: ApiRequest, quote: Requoted, payment: PaymentMeans | None, asked_by: UUID | None
) -> RequestModification:
    return RequestModification(
        **quote.offer.terms(request.platform.clock.now()),
        booking_id=quote.booking_id,
        modification_id=request.platform.new_id(),
        quoted_version=quote.version,
        payment_provider=payment.provider if payment else "",
        payment_token=payment.token if payment else "",
        asked_by=asked_by,
    )


def _quoted(content: dict[str, Any], booking_id: UUID) -> Requoted:
    """What was sealed; by another version of the code perhaps, or for something else."""
    try:
        quote = Requoted.model_validate(content)
    except ValidationError as error:
        raise OfferInvalid("this is no quote for a modification; ask for one") from error
    if quote.booking_id != booking_id:
        raise OfferInvalid("the quote is for another booking; ask for one for this")
    return quote


def _waits_for_guest(state: BookingState) -> bool:
    return state.modification is not None and state.modification.outcome == "awaiting_payment"


modifications_router = Router(
    "/v1/bookings",
    guards=access("guest", "hotelier", "operator", "admin"),
    security=BEARER,
    tags=["Bookings"],
    route_handlers=[quote_modification, modify_booking],
)
