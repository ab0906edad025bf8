"""A guest's bookings: the list, one that is followed live, the answer to 3-D Secure, and the cancellation."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ASGIApp, Receive, Scope, Send

from api.web.client import Answer, ApiProblem
from api.web.forms import submitted
from api.web.rendering import Page, page, see
from api.web.visitors import PageRequest
from api.web.words import cancellation_terms_at, event_name
from domain.booking.state import ALL_EVENTS, OUTCOMES
from domain.review.decide import RATINGS

ARRIVAL_STEPS = {"check-in": {"confirmed", "no_show"}, "no-show": {"confirmed"}, "check-out": {"checked_in"}}
"""What hotels record of a stay, and the statuses in which it makes sense."""
_OPERATORS = frozenset({"operator", "admin"})
_STAFF = _OPERATORS | {"hotelier"}
_NOT_FOUND, _CONFLICT = 404, 409
_EVENT_NAMES = " ".join(event_name(event.topic) for event in ALL_EVENTS)
"""What browsers are told of a booking: each event of the stream has a name, and they ask for it by that."""
_CURSOR = "cursor"
_KEPT = frozenset({"type", "asgi", "http_version", "method", "scheme", "client", "server"})
_FORWARDED = frozenset({b"accept", b"host", b"last-event-id"})


@get("/bookings", include_in_schema=False)
async def bookings_page(request: PageRequest) -> Page:
    """The visitor's bookings, newest first."""
    token = await request.token()
    cursor = request.query_params.get(_CURSOR)
    found = await request.api.get("/v1/bookings", token, **({_CURSOR: cursor} if cursor else {}))
    return page(request, "bookings.html", found=found, hotels=await hotels_of(request, found["items"]))


@get("/bookings/{booking_id:uuid}", include_in_schema=False)
async def booking_page(request: PageRequest, booking_id: FromPath[UUID]) -> Page:
    """One booking; the page follows it for as long as anything happens to it by itself."""
    return await show_booking(request, booking_id, await request.token())


async def show_booking(
    request: PageRequest, booking_id: UUID, token: str, problem: ApiProblem | None = None, said: str = ""
) -> Page:
    """The booking's page; ``problem`` is why something was refused, ``said`` what the guest wanted to say then."""
    booking = await request.api.get(f"/v1/bookings/{booking_id}", token)
    stayed = booking["status"] == "checked_out"
    hotel, payment, history, me, review = await asyncio.gather(
        hotel_of(request, booking["hotel_id"]),
        _if_there(request, payment_href(booking), token),
        _history(request, booking_id, token),
        request.api.get("/v1/me", token),
        _if_there(request, booking["links"]["review"] if stayed else None, token),
    )
    guest_actor = history[0]["who"] if history else ""
    own = guest_actor == f"user:{me['user_id']}"
    return page(
        request,
        "booking.html",
        problem.status if problem else 200,
        booking=booking,
        hotel=hotel,
        room=room_of(hotel, booking),
        plan=plan_of(hotel, booking),
        payment=payment,
        history=history,
        guest_actor=guest_actor,
        terms=cancellation_terms_at(booking, hotel["time_zone"]),
        settled=_is_settled(booking),
        event_names=_EVENT_NAMES,
        changing=_is_changing(booking),
        paid=_paid(booking),
        can_change=can_change(booking) and (own or not _OPERATORS.isdisjoint(me["roles"])),
        arrival_steps=_arrival_steps(booking) if _is_staff(me) and not own else (),
        ratings=reversed(RATINGS) if own and stayed and review is None else (),
        review=review,
        problem=problem,
        said=said,
    )


@get("/bookings/{booking_id:uuid}/events", include_in_schema=False)
async def booking_events(request: PageRequest, booking_id: FromPath[UUID]) -> ASGIApp:
    """The API's event stream, for browsers: they send the session's cookie, the API wants its token."""
    headers = [(b"authorization", f"Bearer {await request.token()}".encode())]
    headers += [(name, value) for name, value in request.scope["headers"] if name in _FORWARDED]
    path = f"/v1/bookings/{booking_id}/events"

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        asked: Any = {name: value for name, value in scope.items() if name in _KEPT}
        asked |= {"path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": headers}
        await request.app(asked, receive, send)

    return stream


@post("/bookings/{booking_id:uuid}/payment", include_in_schema=False, status_code=303)
async def act_on_payment(request: PageRequest, booking_id: FromPath[UUID]) -> Page:
    """Approve or decline what the bank asks; if that was done already, the booking shows it."""
    here = f"/bookings/{booking_id}"
    token = await request.token(here)
    fields = await submitted(request)
    booking = await request.api.get(f"/v1/bookings/{booking_id}", token)
    payment = await _if_there(request, payment_href(booking), token)
    if payment is not None and payment["action_url"]:
        await request.api.post(payment["action_url"], {"approve": fields.get("answer") == "approve"}, token)
    return see(here)


@get("/bookings/{booking_id:uuid}/cancellation", include_in_schema=False)
async def cancellation_page(request: PageRequest, booking_id: FromPath[UUID]) -> Page:
    """What cancelling costs at this moment, before it is done."""
    return await _cancellation(request, booking_id, None)


@post("/bookings/{booking_id:uuid}/cancellation", include_in_schema=False, status_code=303)
async def cancel(request: PageRequest, booking_id: FromPath[UUID]) -> Page:
    """Cancel, if it still costs what the page said; otherwise the page says the new price."""
    here = f"/bookings/{booking_id}"
    token = await request.token(f"{here}/cancellation")
    fields = await submitted(request)
    quote = await _quote(request, booking_id, token)
    if quote is None:
        return see(here)
    if quote["refund"]["amount"] != fields.get("refund"):
        return await _cancellation(request, booking_id, "The refund has changed since you opened this page.")
    await request.api.post(
        f"/v1{here}/cancellation", {"reason": fields.get("reason", "")}, token, Idempotency_Key=fields.get("key", "")
    )
    return see(here)


async def _cancellation(request: PageRequest, booking_id: UUID, notice: str | None) -> Page:
    token = await request.token(f"/bookings/{booking_id}/cancellation")
    booking, quote = await asyncio.gather(
        request.api.get(f"/v1/bookings/{booking_id}", token), _quote(request, booking_id, token)
    )
    if quote is None:
        return see(f"/bookings/{booking_id}")
    hotel = await hotel_of(request, booking["hotel_id"])
    return page(
        request,
        "cancellation.html",
        _CONFLICT if notice else 200,
        booking=booking,
        hotel=hotel,
        room=room_of(hotel, booking),
        quote=quote,
        terms=cancellation_terms_at(booking, hotel["time_zone"]),
        key=uuid4().hex,
        notice=notice,
    )


def _is_staff(me: Answer) -> bool:
    return not _STAFF.isdisjoint(me["roles"])


def _arrival_steps(booking: Answer) -> Sequence[str]:
    """What may be recorded next; whether it is too early or too late for it is said by the API."""
    return [step for step, before in ARRIVAL_STEPS.items() if booking["status"] in before and _is_settled(booking)]


async def hotels_of(request: PageRequest, bookings: Iterable[Answer]) -> dict[str, Answer]:
    """The hotels of ``bookings``, by their ids."""
    ids = {booking["hotel_id"] for booking in bookings}
    hotels = await asyncio.gather(*(hotel_of(request, hotel_id) for hotel_id in ids))
    return dict(zip(ids, hotels, strict=True))


async def _quote(request: PageRequest, booking_id: UUID, token: str) -> Answer | None:
    """What cancelling would cost now; None if the booking cannot be cancelled."""
    try:
        return await request.api.get(f"/v1/bookings/{booking_id}/cancellation-quote", token)
    except ApiProblem as error:
        if error.status != _CONFLICT:
            raise
        return None


async def hotel_of(request: PageRequest, hotel_id: str) -> Answer:
    """A booking's hotel."""
    return await request.api.get(f"/v1/hotels/{hotel_id}")


async def _if_there(request: PageRequest, path: str | None, token: str) -> Answer | None:
    """What is at ``path``; None if it has not begun, or will not."""
    if path is None:
        return None
    try:
        return await request.api.get(path, token)
    except ApiProblem as error:
        if error.status != _NOT_FOUND:
            raise
        return None


async def _history(request: PageRequest, booking_id: UUID, token: str) -> list[Answer]:
    items: list[Answer] = (await request.api.get(f"/v1/bookings/{booking_id}/history", token))["items"]
    return items


def room_of(hotel: Answer, booking: Answer) -> Answer | None:
    """The room type of a booking, or of whatever else names one."""
    return next((room for room in hotel["room_types"] if room["room_type_id"] == booking["room_type_id"]), None)


def plan_of(hotel: Answer, booking: Answer) -> Answer | None:
    """The rate plan of a booking, or of whatever else names one."""
    return next((plan for plan in hotel["rate_plans"] if plan["rate_plan_id"] == booking["rate_plan_id"]), None)


def can_change(booking: Answer) -> bool:
    """Whether it may be modified or cancelled; at what price is said by the API."""
    return booking["status"] == "confirmed" and _is_settled(booking) and not _begun(booking)


def payment_href(booking: Answer) -> str:
    """The payment that the guest may have to act on: that of a modification that waits for it, or the first."""
    modification = booking["modification"]
    waits = modification is not None and modification["status"] == "awaiting_payment"
    href: str = modification["payment_href"] if waits else booking["payment"]["href"]
    return href


def _paid(booking: Answer) -> Answer | None:
    """What all payments of a modified booking keep together; None for one with a single payment, which tells more."""
    payments = booking["payments"]
    if booking["modification"] is None or not payments:
        return None
    kept = sum(Decimal(payment["keeps"]["amount"]) for payment in payments)
    return {"amount": str(kept), "currency": payments[0]["keeps"]["currency"]}


def _begun(booking: Answer) -> bool:
    return dt.datetime.fromisoformat(booking["stay"]["check_in_at"]) <= dt.datetime.now(dt.UTC)


def _is_settled(booking: Answer) -> bool:
    """Whether nothing more will happen by itself: it has its outcome, and neither ends nor becomes another stay."""
    cancelling = booking["cancellation"] is not None and booking["status"] != "cancelled"
    return booking["status"] in OUTCOMES and not cancelling and not _is_changing(booking)


def _is_changing(booking: Answer) -> bool:
    return booking["modification"] is not None and booking["modification"]["status"] not in {"modified", "rejected"}
