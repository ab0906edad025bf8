"""Bookings: made from an offer, looked at, listed, cancelled."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from uuid import UUID, uuid5

from litestar import Response, Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from pydantic import ValidationError

from api.http.booking_models import BookingItem, BookingsView, BookingView, HistoryView
from api.http.booking_views import acting_for, as_of, at_rest, booking_events, booking_view
from api.http.history import history_of
from api.http.idempotency import Once, answered_once, once
from api.http.moments import AsOf, moment_of, not_yet
from api.http.outcomes import answer_headers, settled
from api.http.owners import hotels_of
from api.http.payments import require_provider
from api.http.positions import reached
from api.http.quoting import Offered
from api.http.remarks import keep_words
from api.http.requests import ApiRequest
from api.http.schemas import Cancellation, NewBooking
from api.http.security import BEARER, access, is_staff
from api.http.sending import etag, expected_version, not_modified, preferred_wait, send
from api.http.views import spec, utc
from commands.accounts import Person
from commands.ports import Answer
from commands.security import OfferInvalid
from domain.booking.commands import RequestBooking, RequestCancellation
from domain.booking.state import BOOKING, OUTCOMES, BookingStatus
from domain.shared.errors import InvalidCommand
from projections.ports import Document, Where

BOOKING_PAGES = "booking_pages"
Json = Response[dict[str, Any] | None]


@post(
    "/",
    status_code=202,
    responses={
        201: spec(BookingView, description="The outcome is known: confirmed or rejected."),
        202: spec(BookingView, description="Under way; or the guest has to act on the payment."),
    },
)
async def request_booking(request: ApiRequest, data: JSONBody[NewBooking]) -> Json:
    """Book an offer. Idempotency-Key is required; with ``Prefer: wait=N`` the answer waits for the outcome."""
    require_provider(request, data.payment)
    asked = await once(request, required=True)
    answer = await answered_once(request, asked, "bookings", lambda: _request(request, data, asked))
    booking_id = UUID(answer.body["booking_id"])
    wait = preferred_wait(request)
    events = await settled(request, booking_id, wait, lambda state: state.status != "pending")
    view = await booking_view(request, events)
    outcome = wait is not None and view["status"] in OUTCOMES
    headers = answer_headers(answer, view, wait) | {"Location": f"/v1/bookings/{booking_id}"}
    return Response(view, status_code=201 if outcome else 202, headers=headers)


@get("/{booking_id:uuid}", responses={200: spec(BookingView, description="The booking.")})
async def get_booking(
    request: ApiRequest,
    booking_id: FromPath[UUID],
    then: AsOf = None,
) -> Json:
    """A booking from its own record: now, or as it was at ``as_of``."""
    moment = moment_of(then)
    events = as_of(await booking_events(request, booking_id), moment)
    if not events:
        raise not_yet(booking_id, moment)
    headers = etag(events[-1].version) | {"Cache-Control": "private, no-cache"}
    if moment is None and not_modified(request, headers):
        return Response(None, status_code=304, headers=headers)
    return Response(await booking_view(request, events), headers=headers)


@get("/", responses={200: spec(BookingsView, description="Bookings, newest first.")})
async def list_bookings(
    request: ApiRequest,
    status: FromQuery[BookingStatus | None] = None,
    hotel_id: FromQuery[UUID | None] = None,
    first: Annotated[dt.date | None, QueryParameter(name="from", description="check-in on or after")] = None,
    end: Annotated[dt.date | None, QueryParameter(name="to", description="check-in before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, QueryParameter(max_length=2_000)] = None,
) -> Json:
    """A guest's own bookings; a hotelier's hotels'; all, for operators."""
    headers = await reached(request, BOOKING_PAGES)
    where = await _whose(request)
    if status is not None:
        where.append(Where("status", "eq", status))
    if hotel_id is not None:
        where.append(Where("hotel_id", "eq", str(hotel_id)))
    if first is not None:
        where.append(Where("check_in", "gte", first.isoformat()))
    if end is not None:
        where.append(Where("check_in", "lt", end.isoformat()))
    page = await request.platform.documents.find(
        BOOKING_PAGES, where, order_by="created_at", descending=True, limit=limit, cursor=cursor
    )
    items = [_item(document) for document in page.items]
    return Response({"items": items, "next_cursor": page.next_cursor}, headers=headers)


@get(
    "/{booking_id:uuid}/history",
    responses={200: spec(HistoryView, description="Events in the order in which they were recorded.")},
)
async def get_history(request: ApiRequest, booking_id: FromPath[UUID], then: AsOf = None) -> Json:
    """Everything that happened to a booking, or had happened at ``as_of``: what, when, who, why, and what caused it."""
    moment = moment_of(then)
    events = await booking_events(request, booking_id)
    if not as_of(events, moment):
        raise not_yet(booking_id, moment)
    return Response({"items": await history_of(request, booking_id, events, moment), "next_cursor": None})


@post(
    "/{booking_id:uuid}/cancellation",
    status_code=202,
    responses={202: spec(BookingView, description="The cancellation is under way, or done.")},
)
async def cancel_booking(
    request: ApiRequest, booking_id: FromPath[UUID], data: JSONBody[Cancellation | None] = None
) -> Json:
    """Cancel a confirmed booking before its check-in; what goes back is decided by its policy at this moment."""
    state = BOOKING.fold(recorded.event for recorded in await booking_events(request, booking_id))
    asked_by = acting_for(request, state, "cancelled")
    asked = await once(request)
    command = RequestCancellation(
        booking_id=booking_id,
        asked_by=asked_by,
        expected_version=expected_version(request),
    )

    async def cancel() -> Answer:
        if data and state.details is not None:
            await keep_words(request, asked.command_id, state.details.account_id, data.reason)
        return await send(request, command, asked)

    answer = await answered_once(request, asked, "bookings", cancel)
    wait = preferred_wait(request)
    events = await settled(request, booking_id, wait, at_rest)
    view = await booking_view(request, events)
    return Response(view, status_code=202, headers=answer_headers(answer, view, wait))


async def _request(request: ApiRequest, data: NewBooking, asked: Once) -> Answer:
    """Open the offer, keep who stays, and send the command. Raises what the offer or the domain refuses."""
    platform, account_id = request.platform, request.principal.account_id
    offer = _offered(await platform.offers.open(data.offer_token))
    rooms = offer.rooms if data.rooms is None else data.rooms
    if rooms < offer.rooms:
        raise InvalidCommand(
            f"the offer is for {offer.rooms} rooms", errors=(("rooms", f"must be at least {offer.rooms}, as offered"),)
        )
    # Made of the whole request: a key may be used again for another guest when the first request was refused.
    guest_id = uuid5(asked.command_id, "guest")
    command = RequestBooking(
        **offer.terms(platform.clock.now()) | {"rooms": rooms},
        booking_id=platform.new_id(),
        guest_id=guest_id,
        account_id=account_id,
        hotel_id=offer.hotel_id,
        payment_provider=data.payment.provider,
        payment_token=data.payment.token,
    )
    guest = data.guest
    await platform.accounts.remember_person(Person(guest_id, guest.name, guest.email, guest.phone, account_id))
    return await send(request, command, asked)


def _offered(content: dict[str, Any]) -> Offered:
    """What was sealed; by another version of the code perhaps, or for something else."""
    try:
        return Offered.model_validate(content)
    except ValidationError as error:
        raise OfferInvalid("the offer cannot be read any more; ask for offers again") from error


async def _whose(request: ApiRequest) -> list[Where]:
    principal = request.principal
    if is_staff(principal):
        return []
    if "hotelier" in principal.roles:
        return [Where("hotel_id", "in", await hotels_of(request, principal.account_id))]
    return [Where("account_id", "eq", str(principal.account_id))]


def _item(document: Document) -> dict[str, Any]:
    item = {name: document.get(name) for name in BookingItem.model_fields}
    return item | {name: utc(document[name]) for name in ("created_at", "updated_at")}


bookings_router = Router(
    "/v1/bookings",
    guards=access("guest", "hotelier", "operator", "admin"),
    security=BEARER,
    tags=["Bookings"],
    route_handlers=[request_booking, get_booking, list_bookings, get_history, cancel_booking],
)
