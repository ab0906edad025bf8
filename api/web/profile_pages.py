"""The visitor's account: what is kept of them, and how to have all of it erased."""

from __future__ import annotations

import datetime as dt
from typing import Any

from litestar import get, post

from api.web.booking_pages import hotels_of
from api.web.client import Answer, ApiProblem
from api.web.forms import submitted
from api.web.rendering import Page, page, see
from api.web.visitors import PageRequest

_HERE = "/account"
_REFUSED = frozenset({"password-wrong", "last-of-staff", "too-many-requests"})
_OPEN = frozenset({"pending", "awaiting_payment", "confirmed"})
_MOST_OPEN = 100
_NOT_THERE = frozenset({404, 503})


@get(_HERE, include_in_schema=False)
async def account_page(request: PageRequest) -> Page:
    """What is kept of the visitor."""
    return page(request, "account.html", me=await request.api.get("/v1/me", await request.token()))


@get(f"{_HERE}/deletion", include_in_schema=False)
async def deletion_page(request: PageRequest) -> Page:
    """What deleting the account means, before it is done; only a form with the password does it."""
    return await _deletion(request, None)


@post(f"{_HERE}/deletion", include_in_schema=False, status_code=303)
async def delete_account(request: PageRequest) -> Page:
    """Have everything erased that names the visitor, and forget the session."""
    token = await request.token(f"{_HERE}/deletion")
    fields = await submitted(request)
    try:
        await request.api.delete("/v1/me", {"password": fields.get("password", "")}, token)
    except ApiProblem as error:
        if error.name not in _REFUSED:
            raise
        return await _deletion(request, error)
    request.visitor.sign_out()
    return see(f"{_HERE}/deleted")


@get(f"{_HERE}/deleted", include_in_schema=False)
async def deleted_page(request: PageRequest) -> Page:
    """Says that it is done."""
    return page(request, "account_deleted.html")


async def _deletion(request: PageRequest, problem: ApiProblem | None) -> Page:
    token = await request.token(f"{_HERE}/deletion")
    me = await request.api.get("/v1/me", token)
    # What others than guests see in the list of bookings is not their own.
    stays = await _stays_to_come(request, token) if me["roles"] == ["guest"] else []
    status = problem.status if problem else 200
    return page(request, "account_deletion.html", status, me=me, stays=stays, problem=problem)


async def _stays_to_come(request: PageRequest, token: str) -> list[dict[str, Any]] | None:
    """The guest's bookings that are not over, with their hotels; None while they cannot be looked up.

    Erasing does not need them: nobody is kept from it because a store is away.
    """
    today = dt.datetime.now(dt.UTC).date().isoformat()
    try:
        found = await request.api.get("/v1/bookings", token, limit=_MOST_OPEN, **{"from": today})
        bookings: list[Answer] = [each for each in found["items"] if each["status"] in _OPEN]
        hotels = await hotels_of(request, bookings)
    except ApiProblem as error:
        if error.status not in _NOT_THERE:
            raise
        return None
    return [booking | {"hotel": hotels[booking["hotel_id"]]} for booking in bookings]
