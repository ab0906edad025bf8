"""Finding hotels, and looking at one."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.http.hotel_models import HotelHitsView, HotelView, SuggestionsView
from api.http.positions import reached
from api.http.quoting import Party, Priced, priced_plans
from api.http.requests import ApiRequest
from api.http.security import PUBLIC
from api.http.sending import etag, not_modified
from api.http.views import money_view, spec
from domain.shared.errors import InvalidCommand, NotFound
from domain.shared.money import Money, exponent_of
from domain.shared.stay import Stay
from projections.ports import Document, HotelQuery, Sort
from projections.ratings import ratings_of

HOTEL_PAGES = "hotel_pages"
HOTEL_SEARCH = "hotel_search"
MAX_ADULTS, MAX_CHILDREN, MAX_ROOMS = 30, 20, 9
MAX_VALUES = 50
Json = Response[dict[str, Any] | None]
Many = Annotated[list[str] | None, QueryParameter(max_items=20, description="repeat it, or separate by commas")]
Degrees = Annotated[float | None, QueryParameter(ge=-180, le=180)]
Amount = Annotated[float | None, QueryParameter(ge=0, le=10_000_000, description="major units of the hotel's currency")]
Adults = Annotated[int, QueryParameter(ge=1, le=MAX_ADULTS)]
Children = Annotated[int, QueryParameter(ge=0, le=MAX_CHILDREN)]
Rooms = Annotated[int, QueryParameter(ge=1, le=MAX_ROOMS)]


@get("/", responses={200: spec(HotelHitsView, description="Hotels, best first.")}, opt=PUBLIC, tags=["Search"])
async def search_hotels(
    request: ApiRequest,
    q: Annotated[str | None, QueryParameter(max_length=200, description="text, typos allowed")] = None,
    city: Annotated[str | None, QueryParameter(max_length=100)] = None,
    lat: Annotated[float | None, QueryParameter(ge=-90, le=90)] = None,
    lon: Degrees = None,
    radius_km: Annotated[float | None, QueryParameter(gt=0, le=20_000)] = None,
    check_in: FromQuery[dt.date | None] = None,
    check_out: FromQuery[dt.date | None] = None,
    adults: Adults = 2,
    children: Children = 0,
    rooms: Rooms = 1,
    stars: Many = None,
    amenities: Many = None,
    price_min: Amount = None,
    price_max: Amount = None,
    min_rating: Annotated[float | None, QueryParameter(ge=0, le=10)] = None,
    sort: FromQuery[Sort] = "relevance",
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, QueryParameter(max_length=2_000)] = None,
) -> Json:
    """Find hotels. With dates only those that have a room free on each night, with the lowest total for the party."""
    place = _place(lat, lon, radius_km, sort)
    stay = _stay(request, check_in, check_out)
    party = Party(adults, children, rooms)
    if price_min is not None and price_max is not None and price_min > price_max:
        raise InvalidCommand("price_min is above price_max", errors=(("price_min", "must not be above price_max"),))
    query = HotelQuery(
        text=_text("q", q),
        city=_text("city", city),
        **place,
        stars=_stars(_listed("stars", stars)),
        amenities=_listed("amenities", amenities),
        price_min=price_min,
        price_max=price_max,
        min_rating=min_rating,
        guests=-(-(adults + children) // rooms) if stay or request.query_params.get("adults") else None,
        nights=stay.nights if stay else (),
        sort=sort,
        limit=limit,
        cursor=_text("cursor", cursor),
    )
    headers = await reached(request, HOTEL_SEARCH, HOTEL_PAGES)
    hits = await request.platform.search.search(HOTEL_SEARCH, query)
    totals = await _totals(request, [hit["hotel_id"] for hit in hits.items], stay, party)
    body = {
        "items": [_hit(hit, totals.get(hit["hotel_id"])) for hit in hits.items],
        "total": hits.total,
        "facets": {name: dict(counts) for name, counts in hits.facets.items()},
        "next_cursor": hits.next_cursor,
    }
    return Response(body, headers=headers)


@get(
    "/suggestions",
    responses={200: spec(SuggestionsView, description="The nearest first, cities before hotels.")},
    opt=PUBLIC,
    tags=["Search"],
)
async def suggest_hotels(
    request: ApiRequest,
    q: Annotated[str, QueryParameter(max_length=200, description="the first letters, typos allowed")],
    limit: Annotated[int, QueryParameter(ge=1, le=20)] = 8,
) -> Json:
    """Names of cities and hotels to go on with, while somebody types."""
    headers = await reached(request, HOTEL_SEARCH)
    prefix = _text("q", q)
    names = await request.platform.search.suggest(HOTEL_SEARCH, prefix, limit) if prefix else []
    return Response({"items": list(names), "next_cursor": None}, headers=headers)


@get(
    "/{hotel_id:uuid}",
    responses={200: spec(HotelView, description="The hotel's page.")},
    opt=PUBLIC,
    tags=["Search"],
)
async def get_hotel(request: ApiRequest, hotel_id: FromPath[UUID]) -> Json:
    """A hotel with its room types and rate plans."""
    headers = await reached(request, HOTEL_PAGES)
    page = await hotel_page(request, hotel_id)
    headers |= etag(page["version"], *ratings_of(page)) | {"Cache-Control": "no-cache"}
    if not_modified(request, headers):
        return Response(None, status_code=304, headers=headers)
    return Response(hotel_view(page), headers=headers)


SEARCHES = (search_hotels, suggest_hotels, get_hotel)
"""Handlers under /v1/hotels that find hotels."""


async def hotel_page(request: ApiRequest, hotel_id: UUID) -> Document:
    """The page's document. Raises NotFound."""
    page = await request.platform.documents.get(HOTEL_PAGES, str(hotel_id))
    if page is None or "hotel_id" not in page:
        raise NotFound(f"there is no hotel {hotel_id}")
    return page


def hotel_view(page: Document) -> dict[str, Any]:
    """What everybody may see of a hotel."""
    view = {name: page[name] for name in HotelView.model_fields if name in page}
    return view | {
        "rating": page.get("rating"),
        "rate_plans": [_plan(plan, page["currency"]) for plan in page["rate_plans"]],
    }


def check_not_past(request: ApiRequest, check_in: dt.date) -> None:
    """Raises InvalidCommand for a day that is over everywhere on earth; the hotel's own calendar decides later."""
    if check_in < (request.platform.clock.now() - dt.timedelta(hours=12)).date():
        raise InvalidCommand("check_in is in the past", errors=(("check_in", "must not be in the past"),))


def _plan(plan: Document, currency: str) -> dict[str, Any]:
    supplements = {
        shown: money_view(Money(minor=plan[kept], currency=currency))
        for shown, kept in (("per_extra_adult", "per_extra_adult_minor"), ("per_child", "per_child_minor"))
    }
    return {name: value for name, value in plan.items() if not name.endswith("_minor")} | supplements


def _hit(hit: Document, total: Money | None) -> dict[str, Any]:
    names = ("hotel_id", "name", "city", "country", "stars", "amenities", "currency")
    price = hit.get("from_price")
    return {name: hit[name] for name in names} | {
        "rating": hit.get("rating"),
        "location": {"lat": hit["latitude"], "lon": hit["longitude"]},
        "from_price": None if price is None else money_view(_major(price, hit["currency"])),
        "from_total": None if total is None else money_view(total),
    }


def _major(amount: float, currency: str) -> Money:
    return Money(minor=round(amount * 10 ** exponent_of(currency)), currency=currency)


async def _totals(request: ApiRequest, hotel_ids: list[str], stay: Stay | None, party: Party) -> dict[str, Money]:
    if stay is None or not hotel_ids:
        return {}
    documents = request.platform.documents
    found = await asyncio.gather(*(documents.get(HOTEL_PAGES, hotel_id) for hotel_id in hotel_ids))
    pages = [page for page in found if page is not None and "hotel_id" in page]
    priced = await priced_plans(request.platform.calendars, pages, stay, party)
    return {hotel_id: _lowest(plans) for hotel_id, plans in priced.items()}


def _lowest(plans: list[Priced]) -> Money:
    return plans[0].quote.total


def _stay(request: ApiRequest, check_in: dt.date | None, check_out: dt.date | None) -> Stay | None:
    if check_in is None and check_out is None:
        return None
    if check_in is None or check_out is None:
        missing = "check_in" if check_in is None else "check_out"
        raise InvalidCommand("give both check_in and check_out, or neither", errors=((missing, "is missing"),))
    check_not_past(request, check_in)
    return Stay(check_in=check_in, check_out=check_out)


def _place(lat: float | None, lon: float | None, radius_km: float | None, sort: str) -> dict[str, Any]:
    if (lat is None) != (lon is None):
        missing = "lat" if lat is None else "lon"
        raise InvalidCommand("give both lat and lon, or neither", errors=((missing, "is missing"),))
    if lat is None and (radius_km is not None or sort == "distance"):
        raise InvalidCommand("a radius, and sorting by distance, need lat and lon", errors=(("lat", "is missing"),))
    return {"latitude": lat, "longitude": lon, "radius_km": radius_km}


def _listed(name: str, values: list[str] | None) -> tuple[str, ...]:
    items = tuple(item for value in values or [] for part in value.split(",") if (item := part.strip()))
    if len(items) > MAX_VALUES or any(len(item) > MAX_VALUES or not item.isprintable() for item in items):
        raise InvalidCommand(
            f"{name} has too many or too long values",
            errors=((name, "must be at most 50 values of at most 50 characters"),),
        )
    return tuple(dict.fromkeys(items))


def _stars(items: tuple[str, ...]) -> tuple[int, ...]:
    if not all(item in {"1", "2", "3", "4", "5"} for item in items):
        raise InvalidCommand("stars are 1 to 5", errors=(("stars", "must be 1 to 5"),))
    return tuple(int(item) for item in items)


def _text(name: str, value: str | None) -> str | None:
    if value is None or not value.strip():
        return None
    if not value.isprintable():
        raise InvalidCommand(f"{name} has characters that cannot be printed", errors=((name, "must be printable"),))
    return value.strip()
