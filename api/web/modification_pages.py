"""Another stay for a booking: what the guest wishes, what it would cost, and the change."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import get, post
from litestar.params import FromPath

from api.web.book_pages import PAYMENTS
from api.web.booking_pages import can_change, hotel_of, plan_of, room_of
from api.web.client import Answer, ApiProblem
from api.web.forms import submitted
from api.web.rendering import Page, page, see
from api.web.trips import Trip
from api.web.visitors import PageRequest
from api.web.words import cancellation_terms_at

_SAID_ON_THE_PAGE = frozenset({400, 409, 422})
_PARTY = ("adults", "children", "rooms")


@get("/bookings/{booking_id:uuid}/modification", include_in_schema=False)
async def modification_page(request: PageRequest, booking_id: FromPath[UUID]) -> Page:
    """The form with the stay as it is; with wishes in the query, what those would cost."""
    token = await request.token()
    query = dict(request.query_params)
    booking, hotel = await _booking(request, booking_id, token)
    quote: Answer | None = None
    problem: ApiProblem | None = None
    if query and can_change(booking):
        path = f"/v1/bookings/{booking_id}/modification-quotes"
        try:
            quote = await request.api.post(path, _wish(booking, hotel, query), token)
        except ApiProblem as error:
            problem = _said_here(error)
    return _form(request, booking, hotel, query, quote, problem)


@post("/bookings/{booking_id:uuid}/modification", include_in_schema=False, status_code=303)
async def modify(request: PageRequest, booking_id: FromPath[UUID]) -> Page:
    """Change the stay as the page has quoted it, once however often the form is sent, and go to the booking."""
    here = f"/bookings/{booking_id}"
    token = await request.token(f"{here}/modification")
    fields = await submitted(request)
    content: dict[str, Any] = {"quote_token": fields.get("quote_token", "")}
    if fields.get("payment"):
        content["payment"] = {"provider": "sandbox", "token": fields["payment"]}
    try:
        await request.api.post(f"/v1{here}/modifications", content, token, Idempotency_Key=fields.get("key", ""))
    except ApiProblem as error:
        problem = _said_here(error)
        booking, hotel = await _booking(request, booking_id, token)
        return _form(request, booking, hotel, dict(request.query_params), None, problem)
    return see(here)


async def _booking(request: PageRequest, booking_id: UUID, token: str) -> tuple[Answer, Answer]:
    """The booking and its hotel."""
    booking = await request.api.get(f"/v1/bookings/{booking_id}", token)
    return booking, await hotel_of(request, booking["hotel_id"])


def _form(
    request: PageRequest,
    booking: Answer,
    hotel: Answer,
    query: Mapping[str, str],
    quote: Answer | None,
    problem: ApiProblem | None,
) -> Page:
    if not can_change(booking):
        return see(f"/bookings/{booking['booking_id']}")
    return page(
        request,
        "modification.html",
        problem.status if problem else 200,
        booking=booking,
        hotel=hotel,
        room=room_of(hotel, booking),
        trip=Trip.of(_as_booked(booking) | {name: value for name, value in query.items() if value}),
        today=dt.datetime.now(ZoneInfo(hotel["time_zone"])).date().isoformat(),
        plans=[(plan, room_of(hotel, plan)) for plan in hotel["rate_plans"]],
        chosen=query.get("plan") or booking["rate_plan_id"],
        quote=quote,
        quoted_room=room_of(hotel, quote) if quote else None,
        quoted_plan=plan_of(hotel, quote) if quote else None,
        terms=cancellation_terms_at(quote, hotel["time_zone"]) if quote else (),
        payments=PAYMENTS,
        key=secrets.token_urlsafe(24),
        problem=problem,
        address=request.address,
    )


def _wish(booking: Answer, hotel: Answer, query: Mapping[str, str]) -> dict[str, Any]:
    """What the form asks for; the API says whether it makes sense."""
    wish: dict[str, Any] = {name: query[name] for name in ("check_in", "check_out") if query.get(name)}
    wish |= {name: _number(query[name]) for name in _PARTY if query.get(name)}
    if chosen := query.get("plan"):
        plan = next((each for each in hotel["rate_plans"] if each["rate_plan_id"] == chosen), booking)
        wish |= {"rate_plan_id": chosen, "room_type_id": plan["room_type_id"]}
    return wish


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(10**6)) else text


def _as_booked(booking: Answer) -> dict[str, str]:
    stay = booking["stay"]
    return {"check_in": stay["check_in"], "check_out": stay["check_out"]} | {
        name: str(booking[name]) for name in _PARTY
    }


def _said_here(error: ApiProblem) -> ApiProblem:
    """The problem, if the page can tell it to the guest; raises it otherwise."""
    if error.status not in _SAID_ON_THE_PAGE:
        raise error
    return error
