"""What may be done to a hotel."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.hotel.cancellation import POLICIES
from domain.hotel.commands import AddRatePlan, AddRoomType, ChangeHotelDetails, OpenHotel, SetPrices
from domain.hotel.decide import (
    decide_add_rate_plan,
    decide_add_room_type,
    decide_change_details,
    decide_open,
    decide_set_prices,
)
from domain.hotel.events import (
    CancellationTier,
    HotelDetailsChanged,
    HotelOpened,
    PricesSet,
    RatePlanAdded,
    RoomTypeAdded,
)
from domain.hotel.state import HOTEL, HotelState
from domain.hotel.validation import MAX_PRICE_MINOR
from domain.shared.errors import AlreadyExists, Forbidden, IllegalTransition, InvalidCommand, NotFound, VersionMismatch
from domain.shared.money import Money
from tests.unit.spec import Outcome, given

HOTEL_ID, ROOM_TYPE_ID, RATE_PLAN_ID, OWNER = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
DETAILS: dict[str, Any] = {
    "city": "Lisbon",
    "country": "PT",
    "latitude": 38.7,
    "longitude": -9.1,
    "time_zone": "Europe/Lisbon",
    "currency": "EUR",
    "stars": 4,
    "amenities": ("wifi", "pool"),
    "description": "By the river.\nQuiet.",
    "images": ("https://example.org/front.jpg",),
}
OPENED = HotelOpened(hotel_id=HOTEL_ID, owner_id=OWNER, name="Belle Vue", **DETAILS)
ROOM_TYPE = RoomTypeAdded(
    hotel_id=HOTEL_ID,
    room_type_id=ROOM_TYPE_ID,
    name="Double",
    max_adults=2,
    max_children=1,
    beds="1 double bed",
    amenities=("minibar",),
    rooms=10,
)
RATE_PLAN = RatePlanAdded(
    hotel_id=HOTEL_ID,
    rate_plan_id=RATE_PLAN_ID,
    room_type_id=ROOM_TYPE_ID,
    name="Flexible",
    board="breakfast",
    cancellation=POLICIES["flexible"],
    payment_policy="prepaid",
)
WEDNESDAY = dt.date(2026, 7, 1)
PRICES = PricesSet(
    hotel_id=HOTEL_ID,
    rate_plan_id=RATE_PLAN_ID,
    room_type_id=ROOM_TYPE_ID,
    nights=(WEDNESDAY,),
    amount_minor=12_000,
    currency="EUR",
    per_extra_adult_minor=2_000,
    per_child_minor=1_000,
)


def opening(**changes: Any) -> OpenHotel:
    return OpenHotel(**{"hotel_id": HOTEL_ID, "owner_id": OWNER, "hotel_name": "Belle Vue", **DETAILS, **changes})


def room_type(**changes: Any) -> AddRoomType:
    asked = {
        "hotel_id": HOTEL_ID,
        "room_type_id": ROOM_TYPE_ID,
        "room_type_name": "Double",
        "max_adults": 2,
        "max_children": 1,
        "beds": "1 double bed",
        "amenities": ("minibar",),
        "rooms": 10,
    }
    return AddRoomType(**asked | changes)


def rate_plan(**changes: Any) -> AddRatePlan:
    asked = {
        "hotel_id": HOTEL_ID,
        "rate_plan_id": RATE_PLAN_ID,
        "room_type_id": ROOM_TYPE_ID,
        "rate_plan_name": "Flexible",
        "board": "breakfast",
    }
    return AddRatePlan(**asked | changes)


def prices(**changes: Any) -> SetPrices:
    asked = {
        "hotel_id": HOTEL_ID,
        "rate_plan_id": RATE_PLAN_ID,
        "first_night": WEDNESDAY,
        "last_night": WEDNESDAY,
        "amount": "120.00",
    }
    return SetPrices(**asked | changes)


class TestOpening:
    def test_a_hotel_is_opened_for_its_owner(self) -> None:
        given(HOTEL).when(lambda state: decide_open(state, opening(asked_by=OWNER))).then(OPENED)

    def test_it_is_opened_once(self) -> None:
        given(HOTEL, OPENED).when(lambda state: decide_open(state, opening())).then_refused(AlreadyExists)

    def test_nobody_opens_a_hotel_for_somebody_else(self) -> None:
        given(HOTEL).when(lambda state: decide_open(state, opening(asked_by=uuid4()))).then_refused(Forbidden)

    def test_names_are_trimmed_and_amenities_kept_once(self) -> None:
        asked = opening(hotel_name="  Belle Vue ", amenities=("wifi", "pool ", "wifi"))
        given(HOTEL).when(lambda state: decide_open(state, asked)).then(OPENED)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"hotel_name": ""}, "name"),
            ({"hotel_name": "   "}, "name"),
            ({"hotel_name": "x" * 201}, "name"),
            ({"hotel_name": "Belle\x00Vue"}, "name"),
            ({"hotel_name": "Belle\nVue"}, "name"),
            ({"hotel_name": "\ud800"}, "name"),
            ({"city": ""}, "city"),
            ({"city": "x" * 101}, "city"),
            ({"country": "pt"}, "country"),
            ({"country": "XX"}, "country"),
            ({"country": "PRT"}, "country"),
            ({"latitude": 90.1}, "location.lat"),
            ({"latitude": float("nan")}, "location.lat"),
            ({"longitude": -180.1}, "location.lon"),
            ({"longitude": float("inf")}, "location.lon"),
            ({"time_zone": "Mars/Olympus"}, "time_zone"),
            ({"time_zone": "../../etc/passwd"}, "time_zone"),
            ({"time_zone": ""}, "time_zone"),
            ({"currency": "eur"}, "currency"),
            ({"currency": "XXX"}, "currency"),
            ({"stars": 0}, "stars"),
            ({"stars": 6}, "stars"),
            ({"amenities": ("x" * 51,)}, "amenities"),
            ({"amenities": ("",)}, "amenities"),
            ({"amenities": tuple(map(str, range(51)))}, "amenities"),
            ({"description": "x" * 10_001}, "description"),
            ({"description": "\x07"}, "description"),
            ({"images": ("javascript:alert(1)",)}, "images"),
            ({"images": ("https://example.org/" + "x" * 2_000,)}, "images"),
            ({"images": ("/x",) * 51}, "images"),
        ],
    )
    def test_every_field_has_its_bounds(self, changes: dict[str, Any], field: str) -> None:
        given(HOTEL).when(lambda state: decide_open(state, opening(**changes))).then_refused(InvalidCommand, field)

    def test_all_that_is_wrong_is_told_at_once(self) -> None:
        wrong = opening(stars=9, country="?", hotel_name="")
        given(HOTEL).when(lambda state: decide_open(state, wrong)).then_refused(
            InvalidCommand, "stars", "country", "name"
        )


class TestChangingDetails:
    @staticmethod
    def changing(*history: Any, **changes: Any) -> Outcome[HotelState]:
        command = ChangeHotelDetails(hotel_id=HOTEL_ID, **changes)
        return given(HOTEL, *history).when(lambda state: decide_change_details(state, command))

    def test_what_is_given_changes_and_the_rest_stays(self) -> None:
        expected = HotelDetailsChanged(hotel_id=HOTEL_ID, name="Bella Vista", **DETAILS | {"stars": 5})
        self.changing(OPENED, hotel_name="Bella Vista", stars=5, asked_by=OWNER).then(expected)

    def test_what_is_the_same_changes_nothing(self) -> None:
        self.changing(OPENED, hotel_name=" Belle Vue ", amenities=("wifi", "wifi", "pool")).then_nothing()

    def test_lists_can_be_emptied(self) -> None:
        [changed] = self.changing(OPENED, amenities=(), description="").then_events()
        assert isinstance(changed, HotelDetailsChanged)
        assert (changed.amenities, changed.description) == ((), "")

    def test_the_hotel_must_not_have_changed_since_it_was_seen(self) -> None:
        assert self.changing(OPENED, stars=5, expected_version=1).then_events()
        refusal = self.changing(OPENED, ROOM_TYPE, stars=5, expected_version=1).then_refused(VersionMismatch)
        assert refusal.status == 412

    def test_only_the_owner_and_the_system_may(self) -> None:
        self.changing(OPENED, stars=5, asked_by=uuid4()).then_refused(Forbidden)

    def test_the_hotel_must_be_there(self) -> None:
        self.changing(stars=5).then_refused(NotFound)

    def test_fields_have_the_same_bounds_as_at_the_opening(self) -> None:
        self.changing(OPENED, stars=6, time_zone="Nowhere").then_refused(InvalidCommand, "stars", "time_zone")

    def test_the_currency_stays_once_nights_are_priced_in_it(self) -> None:
        assert self.changing(OPENED, ROOM_TYPE, RATE_PLAN, currency="USD").then_events()
        self.changing(OPENED, ROOM_TYPE, RATE_PLAN, PRICES, currency="USD").then_refused(IllegalTransition)


class TestRoomTypes:
    def test_a_room_type_is_added(self) -> None:
        given(HOTEL, OPENED).when(lambda state: decide_add_room_type(state, room_type(asked_by=OWNER))).then(ROOM_TYPE)

    def test_once(self) -> None:
        history = given(HOTEL, OPENED, ROOM_TYPE)
        history.when(lambda state: decide_add_room_type(state, room_type())).then_refused(AlreadyExists)

    def test_to_ones_own_hotel(self) -> None:
        given(HOTEL).when(lambda state: decide_add_room_type(state, room_type())).then_refused(NotFound)
        history = given(HOTEL, OPENED)
        history.when(lambda state: decide_add_room_type(state, room_type(asked_by=uuid4()))).then_refused(Forbidden)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"room_type_name": ""}, "name"),
            ({"max_adults": 0}, "max_adults"),
            ({"max_adults": 21}, "max_adults"),
            ({"max_children": -1}, "max_children"),
            ({"beds": "x" * 201}, "beds"),
            ({"amenities": ("\n",)}, "amenities"),
            ({"rooms": -1}, "rooms"),
            ({"rooms": 10_001}, "rooms"),
        ],
    )
    def test_every_field_has_its_bounds(self, changes: dict[str, Any], field: str) -> None:
        history = given(HOTEL, OPENED)
        history.when(lambda state: decide_add_room_type(state, room_type(**changes))).then_refused(
            InvalidCommand, field
        )

    def test_a_hotel_has_at_most_200(self) -> None:
        many = [ROOM_TYPE.model_copy(update={"room_type_id": uuid4()}) for _ in range(200)]
        history = given(HOTEL, OPENED, *many)
        history.when(lambda state: decide_add_room_type(state, room_type())).then_refused(InvalidCommand)


class TestRatePlans:
    def test_a_rate_plan_is_added_with_the_tiers_of_its_named_policy(self) -> None:
        history = given(HOTEL, OPENED, ROOM_TYPE)
        history.when(lambda state: decide_add_rate_plan(state, rate_plan(asked_by=OWNER))).then(RATE_PLAN)

    def test_explicit_tiers_are_put_in_order(self) -> None:
        late = CancellationTier(hours_before=0, percent_charged=80)
        early = CancellationTier(hours_before=48, percent_charged=10)
        history = given(HOTEL, OPENED, ROOM_TYPE)
        asked = rate_plan(cancellation=(late, early))
        history.when(lambda state: decide_add_rate_plan(state, asked)).then(
            RATE_PLAN.model_copy(update={"cancellation": (early, late)})
        )

    def test_tiers_must_make_sense(self) -> None:
        history = given(HOTEL, OPENED, ROOM_TYPE)
        asked = rate_plan(cancellation=(CancellationTier(hours_before=5, percent_charged=80),))
        history.when(lambda state: decide_add_rate_plan(state, asked)).then_refused(
            InvalidCommand, "cancellation_policy"
        )

    def test_its_room_type_must_be_there(self) -> None:
        given(HOTEL, OPENED).when(lambda state: decide_add_rate_plan(state, rate_plan())).then_refused(NotFound)

    def test_it_is_added_once_by_the_owner_under_a_proper_name(self) -> None:
        history = given(HOTEL, OPENED, ROOM_TYPE)
        again = given(HOTEL, OPENED, ROOM_TYPE, RATE_PLAN)
        again.when(lambda state: decide_add_rate_plan(state, rate_plan())).then_refused(AlreadyExists)
        history.when(lambda state: decide_add_rate_plan(state, rate_plan(asked_by=uuid4()))).then_refused(Forbidden)
        unnamed = rate_plan(rate_plan_name=" ")
        history.when(lambda state: decide_add_rate_plan(state, unnamed)).then_refused(InvalidCommand, "name")

    def test_a_hotel_has_at_most_500(self) -> None:
        many = [RATE_PLAN.model_copy(update={"rate_plan_id": uuid4()}) for _ in range(500)]
        history = given(HOTEL, OPENED, ROOM_TYPE, *many)
        history.when(lambda state: decide_add_rate_plan(state, rate_plan())).then_refused(InvalidCommand)


class TestPrices:
    history = given(HOTEL, OPENED, ROOM_TYPE, RATE_PLAN)

    def test_nights_are_priced_in_the_currency_of_the_hotel(self) -> None:
        asked = prices(per_extra_adult="20", per_child=Money(minor=1_000, currency="EUR"), asked_by=OWNER)
        self.history.when(lambda state: decide_set_prices(state, asked)).then(PRICES)

    def test_supplements_that_are_not_given_stay(self) -> None:
        at_first = PRICES.model_copy(update={"per_extra_adult_minor": 0, "per_child_minor": 0})
        self.history.when(lambda state: decide_set_prices(state, prices())).then(at_first)
        given(HOTEL, OPENED, ROOM_TYPE, RATE_PLAN, PRICES).when(lambda state: decide_set_prices(state, prices())).then(
            PRICES
        )

    def test_only_the_chosen_weekdays_are_priced(self) -> None:
        weekend = prices(last_night=WEDNESDAY + dt.timedelta(days=13), weekdays=frozenset({5, 6}))
        [event] = self.history.when(lambda state: decide_set_prices(state, weekend)).then_events()
        assert isinstance(event, PricesSet)
        assert [night.isoformat() for night in event.nights] == [
            "2026-07-03",
            "2026-07-04",
            "2026-07-10",
            "2026-07-11",
        ]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"amount": "0"}, "amount"),
            ({"amount": "-1"}, "amount"),
            ({"amount": "1.234"}, "amount"),
            ({"amount": "NaN"}, "amount"),
            ({"amount": "Infinity"}, "amount"),
            ({"amount": "1e999999"}, "amount"),
            ({"amount": "1e999999999"}, "amount"),
            ({"amount": "9" * 5_000}, "amount"),
            ({"amount": ""}, "amount"),
            ({"amount": Money(minor=100, currency="USD")}, "amount"),
            ({"amount": Money(minor=MAX_PRICE_MINOR + 1, currency="EUR")}, "amount"),
            ({"per_extra_adult": "-0.01"}, "per_extra_adult"),
            ({"per_child": "x"}, "per_child"),
            ({"weekdays": frozenset[int]()}, "weekdays"),
            ({"weekdays": frozenset({0})}, "weekdays"),
            ({"weekdays": frozenset({7})}, "weekdays"),
            ({"last_night": WEDNESDAY - dt.timedelta(days=1)}, "to"),
            ({"last_night": WEDNESDAY + dt.timedelta(days=750)}, "to"),
            ({"first_night": dt.date(1999, 12, 31)}, "from"),
        ],
    )
    def test_every_field_has_its_bounds(self, changes: dict[str, Any], field: str) -> None:
        self.history.when(lambda state: decide_set_prices(state, prices(**changes))).then_refused(InvalidCommand, field)

    def test_the_rate_plan_must_be_there_and_the_asker_its_owner(self) -> None:
        given(HOTEL, OPENED).when(lambda state: decide_set_prices(state, prices())).then_refused(NotFound)
        self.history.when(lambda state: decide_set_prices(state, prices(asked_by=uuid4()))).then_refused(Forbidden)


def test_the_state_counts_its_events() -> None:
    assert given(HOTEL, OPENED, ROOM_TYPE, RATE_PLAN, PRICES).state.version == 4
