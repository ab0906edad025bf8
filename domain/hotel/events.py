"""What happens to a hotel: its details, room types, rate plans and prices. The stream is the hotel."""

from __future__ import annotations

import datetime as dt
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.shared.messages import Event

Board = Literal["room_only", "breakfast", "half_board", "full_board"]
PaymentPolicy = Literal["prepaid", "deposit", "at_hotel"]


class CancellationTier(BaseModel):
    """Cancelling with at least ``hours_before`` hours left to check-in costs ``percent_charged`` % of the total.

    Of several tiers the one with the most hours that still fits applies; a policy always has one for 0 hours, and
    after check-in everything is charged (``domain.hotel.cancellation.percent_charged``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hours_before: int
    percent_charged: int


class NightPrice(BaseModel):
    """The price of one room for one night, in minor units of the currency that goes with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: dt.date
    amount_minor: int


class HotelEvent(Event):
    """Fields that every event of the aggregate has."""

    hotel_id: UUID


class HotelDetails(HotelEvent):
    """What a hotel tells about itself; both events that carry it carry all of it."""

    name: str
    city: str
    country: str
    latitude: float
    longitude: float
    time_zone: str
    currency: str
    stars: int
    amenities: tuple[str, ...]
    description: str
    images: tuple[str, ...]


class HotelOpened(HotelDetails, topic="hotels.v1.HotelOpened"):
    """The hotel is on the platform; ``owner_id`` is the hotelier who may change it."""

    owner_id: UUID


class HotelDetailsChanged(HotelDetails, topic="hotels.v1.HotelDetailsChanged"):
    """The details are now these (all of them, not only what changed)."""


class RoomTypeAdded(HotelEvent, topic="hotels.v1.RoomTypeAdded"):
    """The hotel has ``rooms`` rooms of a new type."""

    room_type_id: UUID
    name: str
    max_adults: int
    max_children: int
    beds: str
    amenities: tuple[str, ...]
    rooms: int


class RatePlanAdded(HotelEvent, topic="hotels.v1.RatePlanAdded"):
    """A room type can be booked on these terms; ``cancellation`` has the most hours first."""

    rate_plan_id: UUID
    room_type_id: UUID
    name: str
    board: Board
    cancellation: tuple[CancellationTier, ...]
    payment_policy: PaymentPolicy


class PricesSet(HotelEvent, topic="hotels.v1.PricesSet"):
    """Each of ``nights`` costs ``amount_minor`` on the rate plan: per room and night, for up to two adults.

    Each further adult costs ``per_extra_adult_minor`` and each child ``per_child_minor`` more, per night.
    """

    rate_plan_id: UUID
    room_type_id: UUID
    nights: tuple[dt.date, ...]
    amount_minor: int
    currency: str
    per_extra_adult_minor: int = 0
    per_child_minor: int = 0
