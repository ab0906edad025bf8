"""Offers: what can be booked at one hotel, each with a token that fixes its price for a quarter of an hour."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Response, get
from litestar.params import FromPath, FromQuery

from api.http.hotel_models import OffersView
from api.http.positions import reached
from api.http.quoting import CALENDARS, Party, Priced, offered, priced_plans
from api.http.requests import ApiRequest
from api.http.search import HOTEL_PAGES, Adults, Children, Rooms, hotel_page
from api.http.security import PUBLIC
from api.http.views import money_view, spec
from domain.shared.errors import InvalidCommand
from domain.shared.money import Money
from domain.shared.stay import Stay
from projections.ports import Document

Json = Response[dict[str, Any]]


@get(
    "/{hotel_id:uuid}/offers",
    responses={200: spec(OffersView, description="Offers, cheapest first.")},
    opt=PUBLIC,
    tags=["Offers"],
)
async def get_offers(
    request: ApiRequest,
    hotel_id: FromPath[UUID],
    check_in: FromQuery[dt.date],
    check_out: FromQuery[dt.date],
    adults: Adults = 2,
    children: Children = 0,
    rooms: Rooms = 1,
) -> Json:
    """What can be booked for a stay and a party. An empty list: nothing fits, has a price and is free."""
    if adults < rooms:
        raise InvalidCommand("each room needs an adult", errors=(("rooms", "must not be more than adults"),))
    headers = await reached(request, HOTEL_PAGES, CALENDARS)
    page = await hotel_page(request, hotel_id)
    stay, party = _stay(request, page, check_in, check_out), Party(adults, children, rooms)
    priced = await priced_plans(request.platform.calendars, [page], stay, party)
    offers = [await _offer(request, page, each, stay, party) for each in priced.get(str(hotel_id), [])]
    body = {
        "hotel_id": str(hotel_id),
        "check_in": check_in.isoformat(),
        "check_out": check_out.isoformat(),
        "adults": adults,
        "children": children,
        "rooms": rooms,
        "offers": offers,
    }
    return Response(body, headers=headers)


def _stay(request: ApiRequest, page: Document, check_in: dt.date, check_out: dt.date) -> Stay:
    """The stay. Raises InvalidCommand if it begins before today at the hotel, or is too long or none."""
    today = request.platform.clock.now().astimezone(ZoneInfo(page["time_zone"])).date()
    if check_in < today:
        detail = f"check_in must not be before {today}, today at the hotel"
        raise InvalidCommand(detail, errors=(("check_in", f"must not be before {today}"),))
    return Stay(check_in=check_in, check_out=check_out)


async def _offer(request: ApiRequest, page: Document, priced: Priced, stay: Stay, party: Party) -> dict[str, Any]:
    currency = page["currency"]
    sealed = offered(page, priced, stay, party)
    return {
        "offer_token": await request.platform.offers.seal(sealed.model_dump(mode="json")),
        "room_type_id": priced.room_type["room_type_id"],
        "room_type_name": priced.room_type["name"],
        "rate_plan_id": priced.plan["rate_plan_id"],
        "rate_plan_name": priced.plan["name"],
        "board": priced.plan["board"],
        "payment_policy": priced.plan["payment_policy"],
        "nightly": [
            {"date": night.date.isoformat(), **money_view(Money(minor=night.amount_minor, currency=currency))}
            for night in priced.quote.nightly
        ],
        "taxes": money_view(Money.zero(currency)),
        "total": money_view(priced.quote.total),
        "cancellation": [{"hours_before": tier.hours_before, "percent": tier.percent_charged} for tier in sealed.tiers],
        "rooms_left": priced.rooms_left,
    }
