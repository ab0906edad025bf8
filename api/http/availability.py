"""Availability: how many rooms are probably left, night by night. Only the inventory itself decides."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from api.http.hotel_models import AvailabilityView
from api.http.positions import reached
from api.http.quoting import CALENDARS
from api.http.requests import ApiRequest
from api.http.search import HOTEL_PAGES, hotel_page
from api.http.security import PUBLIC
from api.http.views import spec
from domain.shared.errors import InvalidCommand
from domain.shared.nights import nights_between

MAX_NIGHTS = 370
Json = Response[dict[str, Any]]


@get(
    "/{hotel_id:uuid}/availability",
    responses={200: spec(AvailabilityView, description="Rooms left per room type and night.")},
    opt=PUBLIC,
    tags=["Search"],
)
async def get_availability(
    request: ApiRequest,
    hotel_id: FromPath[UUID],
    first: Annotated[dt.date, QueryParameter(name="from")],
    end: Annotated[dt.date, QueryParameter(name="to")],
) -> Json:
    """Rooms left on each night from ``from`` to before ``to``, at most 370 nights; a closed night has none."""
    if not first < end:
        raise InvalidCommand(f"{first} to {end} has no night", errors=(("to", "must be after from"),))
    if (end - first).days > MAX_NIGHTS:
        detail = f"ask for at most {MAX_NIGHTS} nights"
        raise InvalidCommand(detail, errors=(("to", f"must be at most {MAX_NIGHTS} days after from"),))
    nights = nights_between(first, end - dt.timedelta(days=1))
    headers = await reached(request, HOTEL_PAGES, CALENDARS)
    page = await hotel_page(request, hotel_id)
    keys = [room["room_type_id"] for room in page["room_types"]]
    counts = await request.platform.calendars.read(CALENDARS, "rooms", keys, first, len(nights)) if keys else {}
    items = [
        {
            "room_type_id": key,
            "nights": [
                {"date": night.isoformat(), "rooms_left": max(0, count or 0), "closed": count is not None and count < 0}
                for night, count in zip(nights, counts.get(key, [None] * len(nights)), strict=True)
            ],
        }
        for key in keys
    ]
    return Response({"items": items, "next_cursor": None}, headers=headers)
