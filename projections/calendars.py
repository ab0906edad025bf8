"""Availability and price calendars: rooms left per room type and night, price per rate plan and night.

A closed night has -1 rooms. Prices are minor units of the hotel's currency for the plan's standard occupancy.
"""

from __future__ import annotations

from collections.abc import Sequence

from commands.ports import RecordedEvent
from domain.hotel.events import PricesSet
from domain.inventory.events import (
    AllotmentSet,
    HoldExpired,
    HoldReleased,
    RestrictionsSet,
    RoomsHeld,
    RoomTypeOpened,
)
from projections.ports import CalendarWrite
from projections.projection import CalendarProjection


class Calendars(CalendarProjection):
    """Keys are room_type_id (``rooms``) and rate_plan_id (``price``)."""

    name = "calendars"
    version = 1
    service = "inventory"
    takes = (RoomTypeOpened, AllotmentSet, RestrictionsSet, RoomsHeld, HoldReleased, HoldExpired, PricesSet)

    def writes(self, recorded: RecordedEvent) -> Sequence[CalendarWrite]:
        """See Projection."""
        place = recorded.context, recorded.position
        match recorded.event:
            case RoomTypeOpened() as opened:
                return (CalendarWrite("rooms", str(opened.room_type_id), {}, *place, opened.default_allotment),)
            case AllotmentSet() | RestrictionsSet() | RoomsHeld() | HoldReleased() | HoldExpired() as counted:
                cells = {night.date: -1 if night.closed else night.rooms_left for night in counted.nights}
                return (CalendarWrite("rooms", str(counted.room_type_id), cells, *place),)
            case PricesSet() as prices:
                cells = dict.fromkeys(prices.nights, prices.amount_minor)
                return (CalendarWrite("price", str(prices.rate_plan_id), cells, *place),)
        return ()
