"""One hotel: its rooms, and what they cost on the visitor's dates."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import get
from litestar.params import FromPath

from api.http.quoting import CHECK_IN_TIME
from api.web.client import Answer, ApiProblem
from api.web.rendering import Page, page
from api.web.trips import Trip
from api.web.visitors import PageRequest
from api.web.words import Term, cancellation_terms

_REFUSED = range(400, 500)
_REVIEWS_SHOWN = 20


@get("/hotels/{hotel_id:uuid}", include_in_schema=False)
async def hotel_page(request: PageRequest, hotel_id: FromPath[UUID]) -> Page:
    """The hotel, with offers if there are dates."""
    hotel, reviews = await asyncio.gather(
        request.api.get(f"/v1/hotels/{hotel_id}"),
        request.api.get(f"/v1/hotels/{hotel_id}/reviews", limit=_REVIEWS_SHOWN),
    )
    trip = Trip.of(dict(request.query_params))
    offers: list[Answer] = []
    problem: ApiProblem | None = None
    if trip.dated:
        try:
            offers = await offers_of(request, hotel, trip)
        except ApiProblem as error:
            if error.status not in _REFUSED:
                raise
            problem = error
    return page(
        request,
        "hotel.html",
        problem.status if problem else 200,
        hotel=hotel,
        trip=trip,
        today=dt.datetime.now(ZoneInfo(hotel["time_zone"])).date().isoformat(),
        rooms=[(room, _of_room(offers, room)) for room in hotel["room_types"]],
        offers=offers,
        reviews=reviews["items"],
        problem=problem,
        images=[image for image in hotel["images"] if image.startswith("https://")],
    )


async def offers_of(request: PageRequest, hotel: Answer, trip: Trip) -> list[Answer]:
    """What can be booked, cheapest first, each with its ``terms`` in words."""
    answer = await request.api.get(f"/v1/hotels/{hotel['hotel_id']}/offers", **trip.parameters)
    return [offer | {"terms": offer_terms(hotel, trip, offer)} for offer in answer["offers"]]


def offer_terms(hotel: Answer, trip: Trip, offer: Answer) -> list[Term]:
    """The cancellation policy of an offer, with dates by the hotel's clock."""
    zone = ZoneInfo(hotel["time_zone"])
    check_in_at = dt.datetime.combine(dt.date.fromisoformat(trip.check_in), CHECK_IN_TIME, zone)
    return cancellation_terms(offer["cancellation"], check_in_at, zone.key, dt.datetime.now(dt.UTC))


def _of_room(offers: Sequence[Answer], room: dict[str, Any]) -> list[Answer]:
    return [offer for offer in offers if offer["room_type_id"] == room["room_type_id"]]
