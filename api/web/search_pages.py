"""The start page: where to and when; and what was found."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from litestar import get

from api.web.client import Answer, ApiProblem
from api.web.rendering import Page, page
from api.web.trips import Trip
from api.web.visitors import PageRequest

SORTS = {
    "relevance": "Best match",
    "price": "Lowest nightly price",
    "rating": "Guest rating",
    "stars": "Stars",
    "name": "Name",
}
_PAGE_SIZE = "12"
_CITIES_SHOWN = 8
_FEATURED = 6
_AMENITIES_SHOWN = 12
_REFUSED = range(400, 500)


@get("/", include_in_schema=False)
async def start_page(request: PageRequest) -> Page:
    """The search; without a query also where people go."""
    asked = _asked(request)
    trip = Trip.of(asked)
    cities = await request.backstage.cities(request.api)
    context: dict[str, Any] = {
        "asked": asked,
        "trip": trip,
        "today": dt.datetime.now(dt.UTC).date().isoformat(),
        "cities": sorted(cities),
        "chosen_stars": request.query_params.getall("stars", []),
        "chosen_amenities": request.query_params.getall("amenities", []),
        "sorts": SORTS,
        "found": None,
        "problem": None,
    }
    if not request.query_params:
        popular = sorted(cities.items(), key=lambda item: (-item[1], item[0]))[:_CITIES_SHOWN]
        featured = await request.api.get("/v1/hotels", sort="stars", limit=_FEATURED)
        return page(request, "home.html", **context, popular=popular, featured=featured["items"])
    try:
        found, star_counts = await _search(request, asked, cities)
    except ApiProblem as error:
        if error.status not in _REFUSED:
            raise
        return page(request, "results.html", error.status, **context | {"problem": error})
    shown = {
        "found": found,
        "star_counts": star_counts,
        "amenity_counts": _amenities(found),
        "more": _more(request, found),
    }
    return page(request, "results.html", **context | shown)


def _asked(request: PageRequest) -> dict[str, str]:
    """The query's single values that say something."""
    query = request.query_params
    return {name: value.strip() for name in query if (value := query.get(name, "")).strip()}


async def _search(
    request: PageRequest, asked: Mapping[str, str], cities: Mapping[str, int]
) -> tuple[Answer, dict[str, int]]:
    """What was found, and how many hotels there are of each number of stars if that were not asked for."""
    parameters: dict[str, Any] = {"limit": _PAGE_SIZE, **_place(asked.get("q", ""), cities)}
    names = ("price_max", "min_rating", "sort", "cursor")
    parameters |= Trip.of(asked).parameters | {name: asked[name] for name in names if name in asked}
    parameters["amenities"] = request.query_params.getall("amenities", [])
    stars = request.query_params.getall("stars", [])
    if not stars:
        found = await request.api.get("/v1/hotels", **parameters)
        return found, found["facets"].get("stars", {})
    any_stars = {name: value for name, value in parameters.items() if name != "cursor"} | {"limit": "1"}
    found, all_stars = await asyncio.gather(
        request.api.get("/v1/hotels", **parameters, stars=stars), request.api.get("/v1/hotels", **any_stars)
    )
    return found, all_stars["facets"].get("stars", {})


def _place(text: str, cities: Mapping[str, int]) -> dict[str, str]:
    """A city that is known by this name, else text to look for."""
    city = next((city for city in cities if city.casefold() == text.casefold()), None)
    if city is not None:
        return {"city": city}
    return {"q": text} if text else {}


def _amenities(found: Answer) -> list[tuple[str, int]]:
    counts: dict[str, int] = found["facets"].get("amenities", {})
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_AMENITIES_SHOWN]


def _more(request: PageRequest, found: Answer) -> str | None:
    """The address of the next page."""
    cursor = found["next_cursor"]
    if cursor is None:
        return None
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"/?{urlencode([*pairs, ('cursor', cursor)])}"
