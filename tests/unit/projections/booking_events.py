"""Bookings as the log has them, for tests of what is made of them."""

from __future__ import annotations

import datetime as dt
from typing import Any, TypeVar
from uuid import UUID, uuid5

from commands.ports import Metadata, Position, RecordedEvent
from domain.booking.events import BookingDetails
from domain.booking.state import details_of
from domain.hotel.events import CancellationTier, NightPrice
from domain.shared.money import Money
from domain.shared.stay import Stay

B = TypeVar("B", bound=BookingDetails)

HOTEL, ROOM_TYPE, PLAN, PAYMENT, GUEST = (UUID(int=number) for number in range(1, 6))
BOOKING = UUID(int=10)
AT = dt.datetime(2015, 6, 1, 9, 30, tzinfo=dt.UTC)
FIRST = dt.date(2015, 7, 1)


def euros(minor: int) -> Money:
    return Money(minor=minor, currency="EUR")


def told(kind: type[B], *, booking_id: UUID = BOOKING, first: dt.date = FIRST, rooms: int = 2, **more: Any) -> B:
    """An event about a stay of three nights at 100, 110 and 120 euros per room."""
    nightly = tuple(
        NightPrice(date=first + dt.timedelta(days=day), amount_minor=10_000 + 1_000 * day) for day in range(3)
    )
    details = {
        "booking_id": booking_id,
        "guest_id": GUEST,
        "account_id": GUEST,
        "hotel_id": HOTEL,
        "room_type_id": ROOM_TYPE,
        "rate_plan_id": PLAN,
        "stay": Stay(check_in=first, check_out=first + dt.timedelta(days=3)),
        "check_in_at": dt.datetime.combine(first, dt.time(14), dt.UTC),
        "rooms": rooms,
        "adults": 3,
        "children": 1,
        "nightly": nightly,
        "total": euros(33_000 * rooms),
        "due_now": euros(0),
        "payment_id": PAYMENT,
        "payment_policy": "at_hotel",
        "cancellation": (CancellationTier(hours_before=0, percent_charged=100),),
    }
    return kind(**{**details, **more})


def as_details(event: BookingDetails) -> BookingDetails:
    """The booking of an event, without what happened to it."""
    return BookingDetails(**details_of(event))


def recorded(event: BookingDetails, version: int) -> RecordedEvent:
    return RecordedEvent(
        event_id=uuid5(event.booking_id, str(version)),
        context="bookings",
        stream_id=event.booking_id,
        version=version,
        event=event,
        metadata=Metadata(correlation_id=event.booking_id, at=AT, historic=True),
        recorded_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        position=Position(version, version),
    )
