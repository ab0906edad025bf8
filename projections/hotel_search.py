"""Hotel search: one document per hotel, as ``SearchStore`` describes it.

Besides what is searched a document keeps, for itself, what that is made from: ``_prices`` (rate plan -> night -> minor
units), ``_default_rooms`` (room type -> rooms on every night that was not counted), ``_rooms_left`` (room type ->
night -> rooms, where it differs from the default) and ``_ratings`` (see ``projections.ratings``). Nights before an
event are forgotten when it is applied, so that a document does not grow for ever. ``listed`` is false until the hotel
itself is known, because inventory may be heard of first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from commands.ports import RecordedEvent
from domain.hotel.events import HotelDetailsChanged, HotelOpened, PricesSet, RoomTypeAdded
from domain.inventory.events import (
    AllotmentSet,
    HoldExpired,
    HoldReleased,
    RestrictionsSet,
    RoomsHeld,
    RoomTypeOpened,
)
from domain.review.events import ReviewHidden, ReviewShown, ReviewWritten
from domain.shared.money import exponent_of
from projections.hotel_pages import hotel_details
from projections.ports import Document
from projections.projection import DocumentProjection
from projections.ratings import RATED, rated


class HotelSearch(DocumentProjection):
    """Keyed by hotel_id."""

    name = "hotel_search"
    version = 2
    service = "hotels"
    takes = (
        HotelOpened,
        HotelDetailsChanged,
        RoomTypeAdded,
        PricesSet,
        RoomTypeOpened,
        AllotmentSet,
        RestrictionsSet,
        RoomsHeld,
        HoldReleased,
        HoldExpired,
        *RATED,
    )

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Events of hotels, inventory and reviews name their hotel."""
        event: Any = recorded.event
        return (str(event.hotel_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See Projection."""
        hotel = document or _unlisted()
        day = recorded.metadata.at.date()
        match recorded.event:
            case HotelOpened() as event:
                details = hotel_details(event) | {"hotel_id": str(event.hotel_id), "listed": True}
                return hotel | details | {"latitude": event.latitude, "longitude": event.longitude}
            case HotelDetailsChanged() as event:
                return hotel | hotel_details(event) | {"latitude": event.latitude, "longitude": event.longitude}
            case RoomTypeAdded() as event:
                return hotel | {"max_guests": max(hotel["max_guests"], event.max_adults + event.max_children)}
            case PricesSet() as event:
                return _priced(hotel, event, day)
            case RoomTypeOpened() as event:
                rooms = hotel["_default_rooms"] | {str(event.room_type_id): event.default_allotment}
                return _with_nights(hotel | {"_default_rooms": rooms})
            case AllotmentSet() | RestrictionsSet() | RoomsHeld() | HoldReleased() | HoldExpired() as event:
                return _counted(hotel, event, day)
            case ReviewWritten() | ReviewHidden() | ReviewShown() as event:
                return hotel | rated(hotel, event)
        return hotel


def _unlisted() -> Document:
    return {
        "listed": False,
        "rating": None,
        "from_price": None,
        "max_guests": 0,
        "sold_out": [],
        "open_by_default": False,
        "open_nights": [],
        "_prices": {},
        "_default_rooms": {},
        "_rooms_left": {},
    }


def _priced(hotel: Document, event: PricesSet, day: dt.date) -> Document:
    """``from_price`` is the lowest price of any night from the day on which prices were last set."""
    key, today = str(event.rate_plan_id), day.isoformat()
    changed = dict.fromkeys(event.model_dump(mode="json", include={"nights"})["nights"], event.amount_minor)
    prices = hotel["_prices"] | {key: hotel["_prices"].get(key, {}) | changed}
    prices = {plan: _from(today, nights) for plan, nights in prices.items()}
    lowest = min((min(nights.values()) for nights in prices.values() if nights), default=None)
    from_price = None if lowest is None else lowest / 10 ** exponent_of(event.currency)
    return hotel | {"_prices": prices, "from_price": from_price}


def _counted(hotel: Document, event: Any, day: dt.date) -> Document:
    key = str(event.room_type_id)
    default = hotel["_default_rooms"].get(key)
    counted = {night.date.isoformat(): 0 if night.closed else night.rooms_left for night in event.nights}
    left = hotel["_rooms_left"].get(key, {}) | counted
    left = {night: rooms for night, rooms in left.items() if rooms != default}
    return _with_nights(hotel | {"_rooms_left": hotel["_rooms_left"] | {key: _from(day.isoformat(), left)}})


def _with_nights(hotel: Document) -> Document:
    """The hotel with the nights on which no room type has a room, or, if none has rooms by default, those with one."""
    defaults: dict[str, int] = hotel["_default_rooms"]
    left: dict[str, dict[str, int]] = hotel["_rooms_left"]
    free = {night for by_night in left.values() for night, rooms in by_night.items() if rooms > 0}
    taken = set[str]().union(*left.values()) - free
    for key, rooms in defaults.items():
        if rooms > 0:
            taken &= left.get(key, {}).keys()
    open_by_default = any(rooms > 0 for rooms in defaults.values())
    return hotel | {
        "sold_out": sorted(taken),
        "open_by_default": open_by_default,
        "open_nights": [] if open_by_default else sorted(free),
    }


def _from(today: str, nights: dict[str, int]) -> dict[str, int]:
    if min(nights, default=today) >= today:  # mostly: prices are set for a year, and change daily
        return nights
    return {night: value for night, value in nights.items() if night >= today}
