"""Limits of what can be said about a hotel. Fields are named as clients know them."""

from __future__ import annotations

from collections.abc import Sequence

from domain.hotel.commands import AddRatePlan, AddRoomType, Amount
from domain.hotel.places import COUNTRIES, CURRENCIES, time_zones
from domain.hotel.state import Details
from domain.shared.errors import InvalidCommand
from domain.shared.money import Money
from domain.shared.validation import Problems

MAX_ROOMS = 10_000
MAX_GUESTS_PER_ROOM = 20
MAX_TAGS = 50
MAX_NAME = 200
MAX_PRICE_MINOR = 2**31 - 1
"""Price calendars keep 32 bits per night."""


def check_details(details: Details) -> None:
    """Raises InvalidCommand that names every field that is out of its bounds."""
    problems = Problems()
    problems.text("name", details.name, MAX_NAME)
    problems.text("city", details.city, 100)
    problems.require(details.country in COUNTRIES, "country", "must be an ISO 3166 code of two capital letters")
    problems.between("location.lat", details.latitude, -90, 90)
    problems.between("location.lon", details.longitude, -180, 180)
    problems.require(details.time_zone in time_zones(), "time_zone", "must be an IANA name such as Europe/Lisbon")
    problems.require(details.currency in CURRENCIES, "currency", "must be an ISO 4217 code of three capital letters")
    problems.between("stars", details.stars, 1, 5)
    problems.text("description", details.description, 10_000, shortest=0, lines=True)
    _tags(problems, details.amenities)
    problems.require(len(details.images) <= MAX_TAGS, "images", f"must be at most {MAX_TAGS}")
    for image in details.images[:MAX_TAGS]:
        problems.text("images", image, 2_000)
        problems.require(image.startswith(("https://", "http://", "/")), "images", "must be http(s) URLs or paths")
    problems.refuse()


def check_room_type(command: AddRoomType) -> None:
    """Raises InvalidCommand that names every field that is out of its bounds."""
    problems = Problems()
    problems.text("name", command.room_type_name, MAX_NAME)
    problems.between("max_adults", command.max_adults, 1, MAX_GUESTS_PER_ROOM)
    problems.between("max_children", command.max_children, 0, MAX_GUESTS_PER_ROOM)
    problems.text("beds", command.beds, MAX_NAME, shortest=0)
    _tags(problems, command.amenities)
    problems.between("rooms", command.rooms, 0, MAX_ROOMS)
    problems.refuse()


def check_rate_plan(command: AddRatePlan) -> None:
    """Raises InvalidCommand that names every field that is out of its bounds."""
    problems = Problems()
    problems.text("name", command.rate_plan_name, MAX_NAME)
    problems.refuse()


def price(field: str, amount: Amount, currency: str, *, lowest: int) -> int:
    """``amount`` in minor units of the hotel's ``currency``, at least ``lowest``. Raises InvalidCommand."""
    money = amount if isinstance(amount, Money) else _parsed(field, amount, currency)
    problems = Problems()
    problems.require(money.currency == currency, field, f"must be in {currency}, the hotel's currency")
    problems.require(
        lowest <= money.minor <= MAX_PRICE_MINOR,
        field,
        f"must be between {Money(minor=lowest, currency=currency).amount} and "
        f"{Money(minor=MAX_PRICE_MINOR, currency=currency).amount}",
    )
    problems.refuse()
    return money.minor


def _parsed(field: str, amount: str, currency: str) -> Money:
    try:
        return Money.parse(amount, currency)
    except InvalidCommand as error:
        raise InvalidCommand(error.detail, errors=((field, error.detail),)) from error


def _tags(problems: Problems, amenities: Sequence[str]) -> None:
    problems.require(len(amenities) <= MAX_TAGS, "amenities", f"must be at most {MAX_TAGS}")
    for amenity in amenities[:MAX_TAGS]:
        problems.text("amenities", amenity, 50)
