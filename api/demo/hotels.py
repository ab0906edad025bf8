"""Two hundred demo hotels in twenty real cities: the same ones on every machine, from a fixed seed.

Names, prices and coordinates are made up around the centres of real cities; nothing here depends on a clock.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid5

from domain.shared.money import exponent_of

NAMESPACE = UUID("5f7f4a4e-7f0e-4f6b-9d55-2f7f9c2a1f00")
HOTELS_PER_CITY = 10
SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class City:
    """``level`` scales prices (in EUR, then by ``per_euro`` into the local currency)."""

    name: str
    country: str
    latitude: float
    longitude: float
    time_zone: str
    currency: str
    per_euro: float
    level: float


CITIES = (
    City("Lisbon", "PT", 38.7223, -9.1393, "Europe/Lisbon", "EUR", 1, 1.0),
    City("Porto", "PT", 41.1579, -8.6291, "Europe/Lisbon", "EUR", 1, 0.9),
    City("Madrid", "ES", 40.4168, -3.7038, "Europe/Madrid", "EUR", 1, 1.0),
    City("Barcelona", "ES", 41.3874, 2.1686, "Europe/Madrid", "EUR", 1, 1.2),
    City("Paris", "FR", 48.8566, 2.3522, "Europe/Paris", "EUR", 1, 1.6),
    City("London", "GB", 51.5072, -0.1276, "Europe/London", "GBP", 0.86, 1.7),
    City("Amsterdam", "NL", 52.3676, 4.9041, "Europe/Amsterdam", "EUR", 1, 1.4),
    City("Berlin", "DE", 52.52, 13.405, "Europe/Berlin", "EUR", 1, 1.0),
    City("Munich", "DE", 48.1351, 11.582, "Europe/Berlin", "EUR", 1, 1.2),
    City("Vienna", "AT", 48.2082, 16.3738, "Europe/Vienna", "EUR", 1, 1.1),
    City("Prague", "CZ", 50.0755, 14.4378, "Europe/Prague", "CZK", 25, 0.8),
    City("Budapest", "HU", 47.4979, 19.0402, "Europe/Budapest", "EUR", 1, 0.8),
    City("Rome", "IT", 41.9028, 12.4964, "Europe/Rome", "EUR", 1, 1.2),
    City("Athens", "GR", 37.9838, 23.7275, "Europe/Athens", "EUR", 1, 0.9),
    City("Istanbul", "TR", 41.0082, 28.9784, "Europe/Istanbul", "EUR", 1, 0.8),
    City("Moscow", "RU", 55.7558, 37.6173, "Europe/Moscow", "EUR", 1, 0.9),
    City("Stockholm", "SE", 59.3293, 18.0686, "Europe/Stockholm", "SEK", 11.3, 1.3),
    City("New York", "US", 40.7128, -74.006, "America/New_York", "USD", 1.08, 1.9),
    City("Tokyo", "JP", 35.6762, 139.6503, "Asia/Tokyo", "JPY", 165, 1.2),
    City("Sydney", "AU", -33.8688, 151.2093, "Australia/Sydney", "AUD", 1.64, 1.3),
)
_FIRST = ("Grand", "Royal", "Old Town", "Riverside", "Garden", "Central", "Harbour", "Park", "Belle Vue", "Golden")
_SECOND = ("Palace", "House", "Lodge", "Residence", "Inn", "Suites", "Court", "Hotel", "Rooms", "Terrace")
_AMENITIES = ("wifi", "breakfast", "pool", "spa", "gym", "parking", "restaurant", "bar", "pets", "airport_shuttle")
_ROOM_TYPES = (
    ("Single", 1, 0, "1 single bed", 0.75),
    ("Double", 2, 1, "1 double bed", 1.0),
    ("Twin", 2, 1, "2 single beds", 1.0),
    ("Family", 3, 2, "1 double bed, 2 single beds", 1.5),
    ("Suite", 2, 2, "1 king-size bed, 1 sofa bed", 2.2),
)


@dataclass(frozen=True, slots=True)
class DemoRatePlan:
    """``weekday`` and ``weekend`` are nightly prices as decimal strings in the hotel's currency."""

    rate_plan_id: UUID
    name: str
    board: str
    cancellation: str
    payment_policy: str
    weekday: str
    weekend: str


@dataclass(frozen=True, slots=True)
class DemoRoomType:
    """A room type and what it is sold at."""

    room_type_id: UUID
    name: str
    max_adults: int
    max_children: int
    beds: str
    rooms: int
    rate_plans: tuple[DemoRatePlan, ...]


@dataclass(frozen=True, slots=True)
class DemoHotel:
    """A hotel as it is to be opened."""

    hotel_id: UUID
    name: str
    city: City
    latitude: float
    longitude: float
    stars: int
    amenities: tuple[str, ...]
    description: str
    room_types: tuple[DemoRoomType, ...]


def demo_hotels() -> Iterator[DemoHotel]:
    """All demo hotels, always the same."""
    chance = random.Random(SEED)  # noqa: S311 - demo data, not secrets
    for city in CITIES:
        names = chance.sample([f"{first} {second}" for first in _FIRST for second in _SECOND], HOTELS_PER_CITY)
        for name in names:
            yield _hotel(city, f"{name} {city.name}", chance)


def _hotel(city: City, name: str, chance: random.Random) -> DemoHotel:
    hotel_id = uuid5(NAMESPACE, name)
    stars = chance.choice((2, 3, 3, 4, 4, 5))
    amenities = tuple(sorted({"wifi", *chance.sample(_AMENITIES, chance.randint(2, 7))}))
    kinds = sorted(chance.sample(_ROOM_TYPES, chance.randint(2, 3)), key=lambda kind: kind[4])
    base = city.level * (35 + 22 * stars) * chance.uniform(0.85, 1.2)
    return DemoHotel(
        hotel_id=hotel_id,
        name=name,
        city=city,
        latitude=round(city.latitude + chance.uniform(-0.04, 0.04), 5),
        longitude=round(city.longitude + chance.uniform(-0.05, 0.05), 5),
        stars=stars,
        amenities=amenities,
        description=f"A {stars}-star hotel in {city.name} with {', '.join(amenities).replace('_', ' ')}.",
        room_types=tuple(_room_type(hotel_id, kind, city, base, chance) for kind in kinds),
    )


def _room_type(
    hotel_id: UUID, kind: tuple[str, int, int, str, float], city: City, base: float, chance: random.Random
) -> DemoRoomType:
    name, adults, children, beds, factor = kind
    room_type_id = uuid5(hotel_id, name)
    price = base * factor
    flexible = _plan(room_type_id, name="Flexible", board="room_only", cancellation="flexible", euros=price, city=city)
    saver = _plan(
        room_type_id, name="Saver", board="breakfast", cancellation="non_refundable", euros=price * 0.92, city=city
    )
    plans = (flexible, saver) if chance.random() < 0.5 else (flexible,)  # noqa: PLR2004 - every other room type
    return DemoRoomType(room_type_id, name, adults, children, beds, chance.randint(4, 24), plans)


def _plan(room_type_id: UUID, *, name: str, board: str, cancellation: str, euros: float, city: City) -> DemoRatePlan:
    def shown(amount: float) -> str:
        whole = round(amount * city.per_euro)
        return str(whole) if exponent_of(city.currency) == 0 else f"{whole}.00"

    return DemoRatePlan(
        uuid5(room_type_id, name), name, board, cancellation, "prepaid", shown(euros), shown(euros * 1.25)
    )
