"""Booking an offer: the form, and what it sends."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException

from api.web.client import Answer, ApiProblem
from api.web.forms import submitted
from api.web.hotel_pages import offers_of
from api.web.rendering import Page, page, see
from api.web.trips import Trip
from api.web.visitors import PageRequest
from domain.booking.decide import DUE_NOW_PERCENT
from domain.shared.money import Money

PAYMENTS = {
    "tok_ok": ("Card that works", "The payment goes through at once."),
    "tok_requires_action": ("Card with 3-D Secure", "Your bank asks you to approve the payment first."),
    "tok_declined": ("Card that is declined", "The bank says no: nothing is charged and nothing is booked."),
    "tok_capture_fails_once": ("Card that fails once", "The charge fails at first and is tried again for you."),
    "tok_capture_refused": (
        "Card that lapses",
        "The bank takes its word back: nothing is charged and nothing is booked.",
    ),
    "tok_authorize_unknown": ("Card whose answer gets lost", "We find out what happened, and never charge twice."),
    "tok_timeout": ("Provider that does not answer", "After a while the booking is given up; nothing is charged."),
}
"""The sandbox provider's tokens in plain words."""
_REFUSED, _OVER, _UNAUTHENTICATED = range(400, 500), 409, 401
_FIELDS = ("name", "email", "phone")
_OFFER_OVER = frozenset({"offer-expired", "offer-invalid"})
_SENT_BEFORE = (
    "This form has been sent before, with other details: that booking is among your bookings. "
    "Send it again only if you want another one"
)


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the query of the page names: a rate plan of a hotel, for a trip."""

    hotel: Answer
    rate_plan_id: str
    trip: Trip


@get("/book", include_in_schema=False)
async def book_page(request: PageRequest) -> Page:
    """The form for one offer, at the price of this moment."""
    token = await request.token()
    choice = await _choice(request)
    me = await request.api.get("/v1/me", token)
    return await _form(request, choice, {name: me.get(name) or "" for name in _FIELDS})


@post("/book", include_in_schema=False, status_code=303)
async def book(request: PageRequest) -> Page:
    """Book the offer in the form, once however often the form is sent, and go to the booking."""
    token = await request.token()
    fields = await submitted(request)
    guest = {name: fields[name] for name in _FIELDS if fields.get(name)}
    content = {
        "offer_token": fields.get("offer_token", ""),
        "guest": guest,
        "payment": {"provider": "sandbox", "token": fields.get("payment", "")},
    }
    try:
        answer = await request.api.post("/v1/bookings", content, token, Idempotency_Key=fields.get("key", ""))
    except ApiProblem as error:
        return await _refused(request, fields, error)
    return see(f"/bookings/{answer['booking_id']}")


async def _choice(request: PageRequest) -> _Choice:
    """What is to be booked. Raises NotFoundException if the address does not say that."""
    query = dict(request.query_params)
    trip = Trip.of(query)
    try:
        hotel_id, rate_plan_id = UUID(query.get("hotel", "")), UUID(query.get("plan", ""))
    except ValueError as error:
        raise NotFoundException from error
    if not trip.readable:
        raise NotFoundException
    hotel = await request.api.get(f"/v1/hotels/{hotel_id}")
    return _Choice(hotel, str(rate_plan_id), trip)


async def _form(
    request: PageRequest, choice: _Choice, fields: dict[str, str], problem: ApiProblem | None = None
) -> Page:
    hotel, trip = choice.hotel, choice.trip
    offers = await offers_of(request, hotel, trip)
    offer = next((offer for offer in offers if offer["rate_plan_id"] == choice.rate_plan_id), None)
    if offer is None:
        return page(request, "sold_out.html", _OVER, hotel=hotel, trip=trip, others=bool(offers))
    return page(
        request,
        "book.html",
        problem.status if problem else 200,
        hotel=hotel,
        trip=trip,
        offer=offer,
        room=next(room for room in hotel["room_types"] if room["room_type_id"] == offer["room_type_id"]),
        due_now=_due_now(offer),
        payments=PAYMENTS,
        fields={"payment": "tok_ok", **dict.fromkeys(_FIELDS, "")} | fields,
        key=secrets.token_urlsafe(24),
        errors=problem.by_field() if problem else {},
        problem=problem,
    )


async def _refused(request: PageRequest, fields: dict[str, str], error: ApiProblem) -> Page:
    """The form again with what is wrong, or a page that says that the offer is over.

    A form that was sent a second time while the first is on its way leads to the list, where its booking will be.
    """
    if error.status not in _REFUSED or error.status == _UNAUTHENTICATED:
        raise error
    if error.name == "request-in-flight":
        return see("/bookings")
    choice = await _choice(request)
    if error.name in _OFFER_OVER:
        return page(request, "offer_over.html", _OVER, hotel=choice.hotel, trip=choice.trip, again=request.address)
    if error.name == "idempotency-mismatch":
        error = ApiProblem(error.status, error.name, _SENT_BEFORE)
    known = {name: fields.get(name, "") for name in (*_FIELDS, "payment")}
    return await _form(request, choice, known, error)


def _due_now(offer: Answer) -> dict[str, Any]:
    """What is paid at once, by the rule that the booking itself follows."""
    total = Money.parse(offer["total"]["amount"], offer["total"]["currency"])
    due = total.percent(DUE_NOW_PERCENT[offer["payment_policy"]])
    return {"amount": due.amount, "currency": due.currency}
