"""What is told of a stay: the hotel's people record who has come and gone, and the guest writes a review."""

from __future__ import annotations

from uuid import UUID

from litestar import post
from litestar.params import FromPath

from api.web.booking_pages import ARRIVAL_STEPS, show_booking
from api.web.client import ApiProblem
from api.web.forms import submitted
from api.web.rendering import Page, see
from api.web.visitors import PageRequest
from domain.review.decide import RATINGS

_RATINGS = {str(number): number for number in RATINGS}
_SAID_ON_THE_PAGE = frozenset({400, 409, 412})


@post("/bookings/{booking_id:uuid}/arrival", include_in_schema=False, status_code=303)
async def record_arrival(request: PageRequest, booking_id: FromPath[UUID]) -> Page:
    """What the hotel's people record of the stay, if the booking is still as their page showed it."""
    here = f"/bookings/{booking_id}"
    token = await request.token(here)
    fields = await submitted(request)
    step = fields.get("step", "")
    if step not in ARRIVAL_STEPS:
        return see(here)
    try:
        await request.api.post(f"/v1{here}/{step}", {}, token, If_Match=f'"{fields.get("version", "")}"')
    except ApiProblem as error:
        return await _refused(request, booking_id, token, error)
    return see(here)


@post("/bookings/{booking_id:uuid}/review", include_in_schema=False, status_code=303)
async def write_review(request: PageRequest, booking_id: FromPath[UUID]) -> Page:
    """The guest's rating and words; what was written is not lost if it is refused."""
    here = f"/bookings/{booking_id}"
    token = await request.token(here)
    fields = await submitted(request)
    rating, text = fields.get("rating", ""), fields.get("text", "").replace("\r\n", "\n")
    booking = await request.api.get(f"/v1{here}", token)
    review = {
        "booking_id": str(booking_id),
        "rating": _RATINGS.get(rating, 0),
        "text": text,
    }
    try:
        await request.api.post(f"/v1/hotels/{booking['hotel_id']}/reviews", review, token)
    except ApiProblem as error:
        return await _refused(request, booking_id, token, error, text)
    return see(here)


async def _refused(request: PageRequest, booking_id: UUID, token: str, error: ApiProblem, said: str = "") -> Page:
    if error.status not in _SAID_ON_THE_PAGE:
        raise error
    return await show_booking(request, booking_id, token, error, said)
