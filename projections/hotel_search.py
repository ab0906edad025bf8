"""Hotel search: one document per hotel, as ``SearchStore`` describes it.

Besides what is searched a document keeps ``rooms_left`` (room type -> night -> rooms, only where it differs from the
room type's default) and ``default_rooms``, from which ``sold_out`` is made: the nights on which no room type has a
room. ``listed`` is false until the hotel itself is known, because inventory may be heard of first.
"""

from __future__ import annotations

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
from domain.shared.money import exponent_of
from projections.hotel_pages import hotel_details
from projections.ports import Document
from projections.projection import DocumentProjection


class HotelSearch(DocumentProjection):
    """Keyed by hotel_id."""

    name = "hotel_search"
    version = 1
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
    )

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Hotel and inventory events name their hotel."""
        event: Any = recorded.event
        return (str(event.hotel_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See Projection."""
        hotel = document or _unlisted()
        match recorded.event:
            case HotelOpened() as event:
                details = hotel_details(event) | {"hotel_id": str(event.hotel_id), "listed": True}
                return hotel | details | {"latitude": event.latitude, "longitude": event.longitude}
            case HotelDetailsChanged() as event:
                return hotel | hotel_details(event) | {"latitude": event.latitude, "longitude": event.longitude}
            case RoomTypeAdded() as event:
                return hotel | {"max_guests": max(hotel["max_guests"], event.max_adults + event.max_children)}
            case PricesSet() as event:
                return _priced(hotel, event)
            case RoomTypeOpened() as event:
                rooms = hotel["default_rooms"] | {str(event.room_type_id): event.default_allotment}
                return _with_sold_out(hotel | {"default_rooms": rooms}, None)
            case AllotmentSet() | RestrictionsSet() | RoomsHeld() | HoldReleased() | HoldExpired() as event:
                return _counted(hotel, event)
        return hotel


def _unlisted() -> Document:
    return {
        "listed": False,
        "rating": None,
        "from_price": None,
        "max_guests": 0,
        "lowest": {},
        "default_rooms": {},
        "rooms_left": {},
        "sold_out": [],
    }


def _priced(hotel: Document, event: PricesSet) -> Document:
    """``from_price`` is the lowest nightly price of any rate plan, as of the last time that its prices were set."""
    lowest = min((night.amount_minor for night in event.nights), default=None)
    if lowest is None:
        return hotel
    by_plan = hotel["lowest"] | {str(event.rate_plan_id): lowest / 10 ** exponent_of(event.currency)}
    return hotel | {"lowest": by_plan, "from_price": min(by_plan.values())}


def _counted(hotel: Document, event: Any) -> Document:
    room_type = str(event.room_type_id)
    left = dict(hotel["rooms_left"].get(room_type, {}))
    default = hotel["default_rooms"].get(room_type)
    for night in event.nights:
        rooms = 0 if night.closed else night.rooms_left
        if rooms == default:
            left.pop(night.date.isoformat(), None)
        else:
            left[night.date.isoformat()] = rooms
    changed = hotel | {"rooms_left": hotel["rooms_left"] | {room_type: left}}
    return _with_sold_out(changed, {night.date.isoformat() for night in event.nights})


def _with_sold_out(hotel: Document, nights: set[str] | None) -> Document:
    """``sold_out`` again for ``nights`` (None: for all that differ from the default)."""
    left: dict[str, dict[str, int]] = hotel["rooms_left"]
    if nights is None:
        nights = {night for by_night in left.values() for night in by_night}
        sold_out: set[str] = set()
    else:
        sold_out = set(hotel["sold_out"]) - nights
    room_types = hotel["default_rooms"].keys() | left.keys()
    for night in nights:
        rooms = (left.get(key, {}).get(night, hotel["default_rooms"].get(key, 0)) for key in room_types)
        if all(count <= 0 for count in rooms):
            sold_out.add(night)
    return hotel | {"sold_out": sorted(sold_out)}
