"""What a stay costs for a party of guests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.hotel.events import NightPrice
from domain.shared.money import Money

ADULTS_INCLUDED = 2


@dataclass(frozen=True, slots=True)
class Quote:
    """``nightly`` is the price of one room for each night; ``total`` is for all rooms and nights."""

    nightly: tuple[NightPrice, ...]
    total: Money


def fits(*, adults: int, children: int, rooms: int, max_adults: int, max_children: int) -> bool:
    """Whether ``rooms`` rooms have beds for the party: adults may take the places of children, not the reverse."""
    adult_places, places = max_adults * rooms, (max_adults + max_children) * rooms
    return rooms >= 1 and adults >= rooms and adults <= adult_places and adults + children <= places


def quote(
    nights: Sequence[NightPrice],
    currency: str,
    *,
    adults: int,
    children: int,
    rooms: int,
    per_extra_adult_minor: int = 0,
    per_child_minor: int = 0,
) -> Quote:
    """Price ``rooms`` equal rooms for the whole party, given the base prices of one room with up to two adults.

    The party spreads over the rooms as evenly as it can, and each room is priced like the fullest one: so one nightly
    price stands for every room, and the total is exactly nights times rooms.
    """
    extra_adults = max(0, _fullest(adults, rooms) - ADULTS_INCLUDED)
    supplement = extra_adults * per_extra_adult_minor + _fullest(children, rooms) * per_child_minor
    nightly = tuple(NightPrice(date=night.date, amount_minor=night.amount_minor + supplement) for night in nights)
    return Quote(nightly, total_of(nightly, rooms, currency))


def total_of(nightly: Sequence[NightPrice], rooms: int, currency: str) -> Money:
    """The total of ``rooms`` rooms at these nightly prices."""
    return Money(minor=sum(night.amount_minor for night in nightly) * rooms, currency=currency)


def _fullest(people: int, rooms: int) -> int:
    return -(-people // rooms)
