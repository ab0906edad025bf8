"""What each event says about the days of a calendar."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest

from commands.ports import Metadata, Position, RecordedEvent
from domain.hotel.events import PricesSet
from domain.inventory.events import (
    AllotmentSet,
    HoldConfirmed,
    HoldExpired,
    HoldReleased,
    InventoryEvent,
    NightLeft,
    Restrictions,
    RestrictionsSet,
    RoomsHeld,
    RoomTypeOpened,
)
from domain.shared.messages import Event
from domain.shared.stay import Stay
from projections.calendars import Calendars
from projections.ports import CalendarWrite

HOTEL, ROOM_TYPE, PLAN, HOLD, BOOKING = (UUID(int=number) for number in range(1, 6))
FIRST, SECOND = dt.date(2026, 7, 1), dt.date(2026, 7, 2)
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
STAY = Stay(check_in=FIRST, check_out=dt.date(2026, 7, 3))
PLACE = Position(70, 7)
CALENDARS = Calendars()


def writes(event: Event) -> list[CalendarWrite]:
    recorded = RecordedEvent(
        event_id=UUID(int=99),
        context=event.topic.partition(".")[0],
        stream_id=ROOM_TYPE,
        version=3,
        event=event,
        metadata=Metadata(correlation_id=UUID(int=98), at=NOW),
        recorded_at=NOW,
        position=PLACE,
    )
    return list(CALENDARS.writes(recorded))


def nights(first: int, second: int, *, second_closed: bool = False) -> tuple[NightLeft, ...]:
    return (
        NightLeft(date=FIRST, rooms_left=first, allotment=10),
        NightLeft(date=SECOND, rooms_left=second, allotment=10, closed=second_closed),
    )


def inventory(kind: type[InventoryEvent], **more: Any) -> Event:
    return kind(hotel_id=HOTEL, room_type_id=ROOM_TYPE, **more)


def test_an_opened_room_type_has_its_allotment_on_every_night() -> None:
    opened = inventory(RoomTypeOpened, default_allotment=12)
    assert writes(opened) == [CalendarWrite("rooms", str(ROOM_TYPE), {}, "inventory", PLACE, 12)]


@pytest.mark.parametrize(
    "event",
    [
        inventory(AllotmentSet, nights=nights(4, 0)),
        inventory(RestrictionsSet, restrictions=Restrictions(min_nights=2), nights=nights(4, 0)),
        inventory(RoomsHeld, hold_id=HOLD, booking_id=BOOKING, stay=STAY, rooms=2, expires_at=NOW, nights=nights(4, 0)),
        inventory(
            HoldReleased,
            hold_id=HOLD,
            booking_id=BOOKING,
            stay=STAY,
            rooms=2,
            nights=nights(4, 0),
            after_confirmation=True,
            reason="cancelled",
        ),
        inventory(HoldExpired, hold_id=HOLD, booking_id=BOOKING, stay=STAY, rooms=2, nights=nights(4, 0)),
    ],
    ids=lambda event: type(event).__name__,
)
def test_whatever_changes_nights_says_what_is_left_of_them(event: Event) -> None:
    assert writes(event) == [CalendarWrite("rooms", str(ROOM_TYPE), {FIRST: 4, SECOND: 0}, "inventory", PLACE)]


def test_a_closed_night_has_less_than_no_rooms() -> None:
    (write,) = writes(inventory(AllotmentSet, nights=nights(4, 5, second_closed=True)))
    assert write.cells == {FIRST: 4, SECOND: -1}


def test_prices_are_kept_per_rate_plan() -> None:
    event = PricesSet(
        hotel_id=HOTEL,
        rate_plan_id=PLAN,
        room_type_id=ROOM_TYPE,
        nights=(FIRST, SECOND),
        amount_minor=10_000,
        currency="EUR",
    )
    assert writes(event) == [CalendarWrite("price", str(PLAN), {FIRST: 10_000, SECOND: 10_000}, "hotels", PLACE)]


def test_it_takes_every_event_that_tells_how_nights_stand_and_none_that_does_not() -> None:
    told = {kind for kind in _events_of("domain.inventory.events") if "nights" in kind.model_fields}
    assert set(CALENDARS.takes) == {*told, RoomTypeOpened, PricesSet}
    assert CALENDARS.contexts == ("inventory", "hotels")
    assert writes(inventory(HoldConfirmed, hold_id=HOLD, booking_id=BOOKING)) == []


def _events_of(module: str) -> list[type[Event]]:
    found: list[type[Event]] = []
    pending: list[type[Event]] = [Event]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind.__module__ == module and kind.topic:
            found.append(kind)
    return found
