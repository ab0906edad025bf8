"""Hotel search: what a hotel is found by, whichever context is heard of first."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any
from uuid import UUID

import pytest

from domain.hotel.events import HotelDetailsChanged, HotelOpened, PricesSet, RoomTypeAdded
from domain.inventory.events import (
    AllotmentSet,
    HoldExpired,
    HoldReleased,
    NightLeft,
    Restrictions,
    RestrictionsSet,
    RoomsHeld,
    RoomTypeOpened,
)
from domain.shared.stay import Stay
from projections.hotel_search import HotelSearch
from tests.unit.projections.recording import NOON, folded, recorded
from tests.unit.projections.test_hotel_pages import DETAILS, HOTEL, OWNER

DOUBLE, SINGLE, PLAN, OTHER_PLAN = (UUID(int=number) for number in (3, 4, 5, 6))
JULY = [dt.date(2026, 7, day) for day in range(1, 32)]
OPENED = HotelOpened(**DETAILS, owner_id=OWNER)


def opened(room_type: UUID, rooms: int) -> RoomTypeOpened:
    return RoomTypeOpened(hotel_id=HOTEL, room_type_id=room_type, default_allotment=rooms)


def left(rooms: dict[int, int], *, closed: bool = False) -> tuple[NightLeft, ...]:
    """Nights of July with so many rooms left."""
    return tuple(
        NightLeft(date=JULY[day - 1], rooms_left=count, allotment=max(count, 0), closed=closed)
        for day, count in rooms.items()
    )


def allotted(room_type: UUID, rooms: dict[int, int]) -> AllotmentSet:
    return AllotmentSet(hotel_id=HOTEL, room_type_id=room_type, nights=left(rooms))


def restricted(room_type: UUID, rooms: dict[int, int], *, closed: bool) -> RestrictionsSet:
    nights = left(rooms, closed=closed)
    return RestrictionsSet(
        hotel_id=HOTEL, room_type_id=room_type, restrictions=Restrictions(closed=closed), nights=nights
    )


def hold(kind: type[Any], room_type: UUID, rooms: dict[int, int], **more: Any) -> Any:
    return kind(
        hotel_id=HOTEL,
        room_type_id=room_type,
        hold_id=UUID(int=8),
        booking_id=UUID(int=9),
        stay=Stay(check_in=JULY[0], check_out=JULY[2]),
        rooms=1,
        nights=left(rooms),
        **more,
    )


def priced(plan: UUID, minor: int, *days: int, currency: str = "EUR") -> PricesSet:
    nights = tuple(JULY[day - 1] for day in days)
    priced = {"nights": nights, "amount_minor": minor, "currency": currency}
    return PricesSet(hotel_id=HOTEL, rate_plan_id=plan, room_type_id=DOUBLE, **priced)


def test_an_opened_hotel_is_listed_with_what_it_is_found_by() -> None:
    hotel = folded(HotelSearch(), OPENED)
    assert {name: value for name, value in hotel.items() if not name.startswith("_")} == {
        "hotel_id": str(HOTEL),
        "listed": True,
        "name": "Adlon",
        "city": "Berlin",
        "country": "DE",
        "latitude": 52.5,
        "longitude": 13.4,
        "time_zone": "Europe/Berlin",
        "currency": "EUR",
        "stars": 5,
        "amenities": ["wifi"],
        "description": "Quiet",
        "images": ["/a.jpg"],
        "rating": None,
        "from_price": None,
        "max_guests": 0,
        "sold_out": [],
        "open_by_default": False,
        "open_nights": [],
    }


def test_changed_details_change_what_it_is_found_by() -> None:
    hotel = folded(HotelSearch(), OPENED, HotelDetailsChanged(**DETAILS | {"city": "Bonn", "longitude": 7.1}))
    assert (hotel["city"], hotel["longitude"], hotel["listed"]) == ("Bonn", 7.1, True)


def test_a_hotel_takes_as_many_guests_as_its_largest_room() -> None:
    room = {"hotel_id": HOTEL, "name": "x", "beds": "", "amenities": (), "rooms": 1}
    large = RoomTypeAdded(**room, room_type_id=DOUBLE, max_adults=3, max_children=2)
    small = RoomTypeAdded(**room, room_type_id=SINGLE, max_adults=1, max_children=0)
    assert folded(HotelSearch(), OPENED, large, small)["max_guests"] == 5


def test_the_order_in_which_contexts_are_heard_does_not_matter() -> None:
    hotels = (OPENED, priced(PLAN, 9900, 1))
    inventory = (opened(DOUBLE, 2), hold(RoomsHeld, DOUBLE, {1: 0, 2: 1}, expires_at=NOON))
    expected = folded(HotelSearch(), *hotels, *inventory)
    assert expected["sold_out"] == ["2026-07-01"]
    for order in itertools.permutations((0, 0, 1, 1)):
        streams = [list(hotels), list(inventory)]
        assert folded(HotelSearch(), *(streams[which].pop(0) for which in order)) == expected
    assert folded(HotelSearch(), *inventory)["listed"] is False


def test_a_night_is_sold_out_when_no_room_type_has_a_room() -> None:
    events: list[Any] = [OPENED, opened(DOUBLE, 2), opened(SINGLE, 1)]
    events.append(hold(RoomsHeld, DOUBLE, {1: 0, 2: 0}, expires_at=NOON))
    assert folded(HotelSearch(), *events)["sold_out"] == []
    events.append(hold(RoomsHeld, SINGLE, {2: 0, 3: 0}, expires_at=NOON))
    assert folded(HotelSearch(), *events)["sold_out"] == ["2026-07-02"]


@pytest.mark.parametrize(
    "freed",
    [
        hold(HoldReleased, DOUBLE, {1: 1}, after_confirmation=True, reason="cancelled"),
        hold(HoldExpired, DOUBLE, {1: 1}),
        allotted(DOUBLE, {1: 2}),
        restricted(DOUBLE, {1: 1}, closed=False),
        opened(SINGLE, 1),
    ],
)
def test_a_night_is_free_again_when_a_room_is(freed: Any) -> None:
    sold = (OPENED, opened(DOUBLE, 1), hold(RoomsHeld, DOUBLE, {1: 0, 2: 1}, expires_at=NOON))
    assert folded(HotelSearch(), *sold)["sold_out"] == ["2026-07-01"]
    assert folded(HotelSearch(), *sold, freed)["sold_out"] == []


def test_a_closed_night_is_sold_out_whatever_is_left() -> None:
    events = (OPENED, opened(DOUBLE, 5), restricted(DOUBLE, {1: 5, 2: 5}, closed=True))
    assert folded(HotelSearch(), *events)["sold_out"] == ["2026-07-01", "2026-07-02"]


def test_a_hotel_without_rooms_by_default_is_open_only_where_it_has_some() -> None:
    hotel = folded(HotelSearch(), OPENED, opened(DOUBLE, 0), allotted(DOUBLE, {3: 2, 4: 1}))
    assert (hotel["open_by_default"], hotel["open_nights"]) == (False, ["2026-07-03", "2026-07-04"])
    sold = folded(HotelSearch(), OPENED, opened(DOUBLE, 0), allotted(DOUBLE, {3: 2, 4: 1}), allotted(DOUBLE, {4: 0}))
    assert sold["open_nights"] == ["2026-07-03"]
    other = folded(HotelSearch(), OPENED, opened(DOUBLE, 0), allotted(DOUBLE, {3: 2}), opened(SINGLE, 1))
    assert (other["open_by_default"], other["open_nights"]) == (True, [])


def test_the_price_from_which_it_starts_is_the_lowest_of_any_night_and_plan() -> None:
    events: list[Any] = [OPENED, priced(PLAN, 9900, 1), priced(PLAN, 8000, 2), priced(OTHER_PLAN, 12000, 5)]
    assert folded(HotelSearch(), *events)["from_price"] == 80.0
    events.append(priced(PLAN, 30000, 3))
    assert folded(HotelSearch(), *events)["from_price"] == 80.0, "other nights keep their prices"
    events.append(priced(PLAN, 15000, 1, 2))
    assert folded(HotelSearch(), *events)["from_price"] == 120.0


def test_prices_are_in_major_units_of_their_currency() -> None:
    assert folded(HotelSearch(), OPENED, priced(PLAN, 9900, 1, currency="JPY"))["from_price"] == 9900.0


def test_nights_that_are_over_are_forgotten() -> None:
    events = (
        opened(DOUBLE, 1),
        priced(PLAN, 100, 1),
        priced(PLAN, 9900, 20),
        hold(RoomsHeld, DOUBLE, {1: 0, 20: 0}, expires_at=NOON),
        priced(OTHER_PLAN, 20000, 25),
        hold(RoomsHeld, DOUBLE, {21: 0}, expires_at=NOON),
    )
    times = [NOON] * 4 + [dt.datetime(2026, 7, 10, tzinfo=dt.UTC)] * 2
    hotel = folded(HotelSearch(), *events, at=times)
    assert hotel["from_price"] == 99.0
    assert hotel["sold_out"] == ["2026-07-20", "2026-07-21"]
    assert set(hotel["_rooms_left"][str(DOUBLE)]) == {"2026-07-20", "2026-07-21"}
    assert set(hotel["_prices"][str(PLAN)]) == {"2026-07-20"}


def test_only_nights_that_differ_from_the_default_are_kept() -> None:
    hotel = folded(HotelSearch(), opened(DOUBLE, 2), allotted(DOUBLE, {1: 5, 2: 2, 3: 0}), allotted(DOUBLE, {3: 2}))
    assert hotel["_rooms_left"] == {str(DOUBLE): {"2026-07-01": 5}}


def test_an_event_changes_no_document_that_is_there() -> None:
    before = folded(HotelSearch(), OPENED, opened(DOUBLE, 2), priced(PLAN, 100, 1), allotted(DOUBLE, {1: 0}))
    text = repr(before)
    for event in (priced(PLAN, 50, 2), allotted(DOUBLE, {2: 0}), opened(SINGLE, 1)):
        HotelSearch().apply(before, recorded(event, 9))
    assert repr(before) == text


def test_the_key_is_the_hotel() -> None:
    for event in (OPENED, opened(DOUBLE, 1), priced(PLAN, 1, 1)):
        assert tuple(HotelSearch().keys(recorded(event))) == (str(HOTEL),)
