"""What can be asked of a hotel.

``asked_by`` is the hotelier who asks; None stands for the system or an operator, who may do everything.
The name of a thing is ``<thing>_name`` here, because ``Command.name`` is the wire name of the command.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal
from uuid import UUID

from domain.hotel.events import Board, CancellationTier, PaymentPolicy
from domain.shared.messages import Command
from domain.shared.money import Money

CancellationPolicyName = Literal["flexible", "moderate", "non_refundable"]

# A bare decimal string ("120.00") is in the hotel's currency.
Amount = Money | str


class HotelCommand(Command):
    """Fields that every command of the aggregate has; the stream is ``hotel_id``."""

    hotel_id: UUID
    asked_by: UUID | None = None


class OpenHotel(HotelCommand, name="hotels.OpenHotel"):
    """Bring a hotel onto the platform for ``owner_id``."""

    owner_id: UUID
    hotel_name: str
    city: str
    country: str
    latitude: float
    longitude: float
    time_zone: str
    currency: str
    stars: int
    amenities: tuple[str, ...] = ()
    description: str = ""
    images: tuple[str, ...] = ()


class ChangeHotelDetails(HotelCommand, name="hotels.ChangeHotelDetails"):
    """Change the details that are given; None leaves one as it is.

    With ``expected_version`` (the stream's, as in the ETag) the hotel must not have changed since.
    """

    hotel_name: str | None = None
    city: str | None = None
    country: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    time_zone: str | None = None
    currency: str | None = None
    stars: int | None = None
    amenities: tuple[str, ...] | None = None
    description: str | None = None
    images: tuple[str, ...] | None = None
    expected_version: int | None = None


class AddRoomType(HotelCommand, name="hotels.AddRoomType"):
    """Add a room type. Its inventory is opened by inventory.OpenRoomType afterwards."""

    room_type_id: UUID
    room_type_name: str
    max_adults: int
    max_children: int = 0
    beds: str = ""
    amenities: tuple[str, ...] = ()
    rooms: int


class AddRatePlan(HotelCommand, name="hotels.AddRatePlan"):
    """Add terms on which a room type can be booked."""

    rate_plan_id: UUID
    room_type_id: UUID
    rate_plan_name: str
    board: Board = "room_only"
    cancellation: CancellationPolicyName | tuple[CancellationTier, ...] = "flexible"
    payment_policy: PaymentPolicy = "prepaid"


class SetPrices(HotelCommand, name="hotels.SetPrices"):
    """Price each night from ``first_night`` to ``last_night``, both included.

    ``weekdays`` (ISO: 1 is Monday, 7 is Sunday) picks the nights that begin on those days; None means all.
    """

    rate_plan_id: UUID
    first_night: dt.date
    last_night: dt.date
    amount: Amount
    weekdays: frozenset[int] | None = None
    per_extra_adult: Amount | None = None
    per_child: Amount | None = None
    expected_version: int | None = None
