"""Hotel pages: everything that a guest sees of a hotel."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from domain.hotel.events import (
    CancellationTier,
    HotelDetailsChanged,
    HotelOpened,
    PricesSet,
    RatePlanAdded,
    RoomTypeAdded,
)
from projections.hotel_pages import HotelPages
from tests.unit.projections.recording import folded, recorded

HOTEL, OWNER, ROOM_TYPE, PLAN = (UUID(int=number) for number in (1, 2, 3, 4))
DETAILS: dict[str, Any] = {
    "hotel_id": HOTEL,
    "name": "Adlon",
    "city": "Berlin",
    "country": "DE",
    "latitude": 52.5,
    "longitude": 13.4,
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "stars": 5,
    "amenities": ("wifi",),
    "description": "Quiet",
    "images": ("/a.jpg",),
}
OPENED = HotelOpened(**DETAILS, owner_id=OWNER)
ADDED = RoomTypeAdded(
    hotel_id=HOTEL,
    room_type_id=ROOM_TYPE,
    name="Double",
    max_adults=2,
    max_children=1,
    beds="1 king",
    amenities=("tv",),
    rooms=4,
)
PRICED = PricesSet(
    hotel_id=HOTEL,
    rate_plan_id=PLAN,
    room_type_id=ROOM_TYPE,
    nights=(dt.date(2026, 7, 1),),
    amount_minor=9900,
    currency="EUR",
    per_extra_adult_minor=1500,
    per_child_minor=500,
)


def plan(plan_id: UUID = PLAN) -> RatePlanAdded:
    return RatePlanAdded(
        hotel_id=HOTEL,
        rate_plan_id=plan_id,
        room_type_id=ROOM_TYPE,
        name="Flexible",
        board="breakfast",
        cancellation=(CancellationTier(hours_before=24, percent_charged=0),),
        payment_policy="prepaid",
    )


def test_an_opened_hotel_shows_its_details() -> None:
    assert folded(HotelPages(), OPENED) == {
        "hotel_id": str(HOTEL),
        "owner_id": str(OWNER),
        "name": "Adlon",
        "city": "Berlin",
        "country": "DE",
        "location": {"lat": 52.5, "lon": 13.4},
        "time_zone": "Europe/Berlin",
        "currency": "EUR",
        "stars": 5,
        "amenities": ["wifi"],
        "description": "Quiet",
        "images": ["/a.jpg"],
        "room_types": [],
        "rate_plans": [],
        "version": 1,
    }


def test_changed_details_replace_all_but_the_owner() -> None:
    moved = HotelDetailsChanged(**DETAILS | {"name": "Adlon II", "latitude": 1.0, "amenities": ()})
    page = folded(HotelPages(), OPENED, ADDED, moved)
    assert (page["name"], page["location"]["lat"], page["amenities"]) == ("Adlon II", 1.0, [])
    assert (page["owner_id"], len(page["room_types"]), page["version"]) == (str(OWNER), 1, 3)


def test_room_types_and_rate_plans_are_listed() -> None:
    page = folded(HotelPages(), OPENED, ADDED, plan())
    assert page["room_types"] == [
        {
            "room_type_id": str(ROOM_TYPE),
            "name": "Double",
            "max_adults": 2,
            "max_children": 1,
            "beds": "1 king",
            "amenities": ["tv"],
            "rooms": 4,
        }
    ]
    assert page["rate_plans"] == [
        {
            "rate_plan_id": str(PLAN),
            "room_type_id": str(ROOM_TYPE),
            "name": "Flexible",
            "board": "breakfast",
            "cancellation": [{"hours_before": 24, "percent": 0}],
            "payment_policy": "prepaid",
            "per_extra_adult_minor": 0,
            "per_child_minor": 0,
        }
    ]


def test_prices_set_the_supplements_of_their_plan_alone() -> None:
    page = folded(HotelPages(), OPENED, ADDED, plan(), plan(UUID(int=5)), PRICED)
    supplements = {
        one["rate_plan_id"]: (one["per_extra_adult_minor"], one["per_child_minor"]) for one in page["rate_plans"]
    }
    assert supplements == {str(PLAN): (1500, 500), str(UUID(int=5)): (0, 0)}


def test_an_event_changes_no_document_that_is_there() -> None:
    before = folded(HotelPages(), OPENED, ADDED, plan())
    text = repr(before)
    for event in (ADDED, plan(UUID(int=5)), PRICED, OPENED):
        HotelPages().apply(before, recorded(event, 4))
    assert repr(before) == text


def test_the_key_is_the_hotel() -> None:
    assert {key for event in (OPENED, ADDED, PRICED) for key in HotelPages().keys(recorded(event))} == {str(HOTEL)}
