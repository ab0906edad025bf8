"""What both search stores agree on: which fields are searched, what a word is worth, what a query may ask, geography.

Relevance is a sum of fixed weights, not a statistic of the index, so that a hotel's score does not change because
other hotels were written: that is what makes pages of a list that is sorted by relevance fit together.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.shared.errors import InvalidCommand
from infra.stores.cursors import NUMBER, Kind
from projections.ports import Document, HotelQuery

WEIGHTS = {"name": (8.0, 6.0), "city": (5.0, 4.0), "description": (2.0, 1.0)}
"""Per searched field: what a word is worth that occurs in it, and one that resembles a word in it."""
MAX_WORDS = 16
MAX_WORD = 40
MAX_NUMBER = 1_000_000
MAX_LIMIT = 1_000
FACET_VALUES = {"stars": 10, "city": 100, "amenities": 200}
"""Facets, and how many values of each are counted at most."""
EARTH_RADIUS_KM = 6371.0087714
_NO_PRICE = 1e12
_NO_RATING = -1.0
_KM_PER_DEGREE = math.pi * EARTH_RADIUS_KM / 180
_WORD = re.compile(r"[^\W_]+")


def fold(text: str) -> str:
    """``text`` without case, accents and superfluous spaces: what two spellings of one name have in common."""
    plain = (char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    return " ".join("".join(plain).split())


def words(text: str) -> list[str]:
    """The words that are looked for; none if the text has only signs."""
    return [word[:MAX_WORD] for word in _WORD.findall(text)[:MAX_WORDS]]


def required(count: int) -> int:
    """How many of ``count`` words a hotel must have: both of two, three quarters of more."""
    return count if count <= 2 else count * 3 // 4  # noqa: PLR2004 - as the docstring says


def edits(word: str) -> int:
    """How many typos ``word`` may have. Short words resemble too many others."""
    return 0 if len(word) < 4 else 1 if len(word) < 8 else 2  # noqa: PLR2004 - as ELASTIC_EDITS says


ELASTIC_EDITS = "AUTO:4,8"
"""The same in Elasticsearch's words."""


def searched(key: str, hotel: Document | None) -> Document | None:
    """The fields by which a hotel is found and sorted; None if it must not be found."""
    if hotel is None or not hotel.get("listed"):
        return None
    price, rating = hotel.get("from_price"), hotel.get("rating")
    fields: Document = {
        "key": key,
        "name": hotel["name"],
        "name_order": fold(hotel["name"])[:200],
        "city": hotel["city"],
        "city_words": hotel["city"],
        "city_folded": fold(hotel["city"]),
        "description": hotel.get("description", ""),
        "stars": hotel["stars"],
        "amenities": list(hotel.get("amenities", ())),
        "latitude": float(hotel["latitude"]),
        "longitude": float(hotel["longitude"]),
        "price_order": _NO_PRICE if price is None else float(price),
        "rating_order": _NO_RATING if rating is None else float(rating),
        "max_guests": hotel.get("max_guests", 0),
        "sold_out": list(hotel.get("sold_out", ())),
        "open_by_default": bool(hotel.get("open_by_default")),
        "open_nights": list(hotel.get("open_nights", ())),
    }
    if price is not None:
        fields["from_price"] = float(price)
    if rating is not None:
        fields["rating"] = float(rating)
    return fields


def shown(hotel: Document) -> Document:
    """What a searcher gets to see: not the fields that the projection keeps for itself."""
    return {field: value for field, value in hotel.items() if not field.startswith("_")}


def check(query: HotelQuery) -> None:
    """Raises InvalidCommand that names the field for what cannot be searched."""
    problems: list[tuple[str, str]] = []
    placed = query.latitude is not None and query.longitude is not None
    if (query.latitude is None) != (query.longitude is None):
        problems.append(("lat", "must be given together with lon"))
    if query.latitude is not None and not -90 <= query.latitude <= 90:  # noqa: PLR2004 - degrees
        problems.append(("lat", "must be between -90 and 90"))
    if query.longitude is not None and not -180 <= query.longitude <= 180:  # noqa: PLR2004 - degrees
        problems.append(("lon", "must be between -180 and 180"))
    if query.radius_km is not None and not (placed and 0 < query.radius_km <= math.pi * EARTH_RADIUS_KM):
        problems.append(("radius_km", "must be a positive distance around lat and lon"))
    if query.sort == "distance" and not placed:
        problems.append(("sort", "distance needs lat and lon"))
    amounts = {"price_min": query.price_min, "price_max": query.price_max, "min_rating": query.min_rating}
    problems += [(field, "must be a number") for field, value in amounts.items() if not math.isfinite(value or 0)]
    if not all(abs(number) <= MAX_NUMBER for number in (*query.stars, query.guests or 0)):
        problems.append(("stars" if query.stars else "guests", f"must be at most {MAX_NUMBER}"))
    if not 1 <= query.limit <= MAX_LIMIT:
        problems.append(("limit", f"must be between 1 and {MAX_LIMIT}"))
    if problems:
        raise InvalidCommand("; ".join(" ".join(problem) for problem in problems), errors=tuple(problems))


def scope_of(name: str, query: HotelQuery) -> str:
    """What a cursor belongs to: the order of the list. Filters may change under it."""
    by = {"relevance": query.text, "distance": (query.latitude, query.longitude)}.get(query.sort)
    return f"hotels {name} {query.sort} {by}"


def place_of(query: HotelQuery, tie: Kind) -> tuple[Kind, ...]:
    """Of what kinds the values are that say where in the list a hotel is; ``tie`` tells equal ones apart."""
    by: dict[str, tuple[Kind, ...]] = {"relevance": (NUMBER, NUMBER), "name": (str,)}
    return (*by.get(query.sort, (NUMBER,)), tie)


@dataclass(frozen=True, slots=True)
class Box:
    """The smallest rectangle around a circle; the longitudes are None where it meets a pole or the date line."""

    south: float
    north: float
    west: float | None
    east: float | None


def box_around(latitude: float, longitude: float, radius_km: float) -> Box:
    """The box in which everything within ``radius_km`` lies."""
    reach = radius_km / _KM_PER_DEGREE
    south, north = latitude - reach, latitude + reach
    if south <= -90 or north >= 90:  # noqa: PLR2004 - the poles
        return Box(south, north, None, None)
    across = math.degrees(math.asin(min(1.0, math.sin(math.radians(reach)) / math.cos(math.radians(latitude)))))
    west, east = longitude - across, longitude + across
    if west < -180 or east > 180:  # noqa: PLR2004 - the date line
        return Box(south, north, None, None)
    return Box(south, north, west, east)


def distance_km(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Great-circle distance (haversine)."""
    here, there = math.radians(latitude), math.radians(other_latitude)
    half = (
        math.sin((there - here) / 2) ** 2
        + math.cos(here) * math.cos(there) * math.sin(math.radians(other_longitude - longitude) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))


def ranked_suggestions(prefix: str, cities: Iterable[str], names: Iterable[str], limit: int) -> Sequence[str]:
    """Cities and names of hotels without repetition, the nearest first, cities before hotels.

    Nearest is what begins with ``prefix``, then what has a word that does, then what only resembles it.
    """
    wanted = fold(prefix)

    def rank(suggestion: tuple[int, str]) -> tuple[Any, ...]:
        kind, text = suggestion
        folded = fold(text)
        nearness = 0 if folded.startswith(wanted) else 1 if f" {wanted}" in folded else 2
        return nearness, kind, folded

    found = [*((0, city) for city in cities), *((1, name) for name in names)]
    return list(dict.fromkeys(text for _, text in sorted(found, key=rank)))[:limit]
