"""What may be done to a hotel. Pure: the state and a command in, events out; a refusal is raised."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from domain.hotel.cancellation import policy
from domain.hotel.commands import (
    AddRatePlan,
    AddRoomType,
    Amount,
    ChangeHotelDetails,
    HotelCommand,
    OpenHotel,
    SetPrices,
)
from domain.hotel.events import (
    HotelDetailsChanged,
    HotelOpened,
    PricesSet,
    RatePlanAdded,
    RoomTypeAdded,
)
from domain.hotel.state import Details, HotelState, RatePlan
from domain.hotel.validation import check_details, check_rate_plan, check_room_type, price
from domain.shared.errors import (
    AlreadyExists,
    Forbidden,
    IllegalTransition,
    InvalidCommand,
    NotFound,
    require_version,
)
from domain.shared.messages import Event
from domain.shared.nights import nights_between

MAX_ROOM_TYPES = 200
MAX_RATE_PLANS = 500
_WEEKDAYS = frozenset(range(1, 8))


def decide_open(state: HotelState, command: OpenHotel) -> list[Event]:
    """Open a hotel, once. Raises AlreadyExists, Forbidden, InvalidCommand."""
    if state.details is not None:
        raise AlreadyExists(f"hotel {command.hotel_id} is open already")
    if command.asked_by not in {None, command.owner_id}:
        raise Forbidden("a hotelier opens hotels for nobody else")
    details = Details(
        name=command.hotel_name.strip(),
        city=command.city.strip(),
        country=command.country,
        latitude=command.latitude,
        longitude=command.longitude,
        time_zone=command.time_zone,
        currency=command.currency,
        stars=command.stars,
        amenities=_distinct(command.amenities),
        description=command.description,
        images=command.images,
    )
    check_details(details)
    return [HotelOpened(hotel_id=command.hotel_id, owner_id=command.owner_id, **dict(details))]


def decide_change_details(state: HotelState, command: ChangeHotelDetails) -> list[Event]:
    """Change what is given; nothing happens if nothing differs.

    Raises NotFound, Forbidden, VersionMismatch, InvalidCommand; IllegalTransition for a new currency once nights have
    prices in the old one.
    """
    before = _opened(state, command)
    require_version(f"hotel {command.hotel_id}", state.version, command.expected_version)
    given = {
        name: value
        for name in Details.model_fields
        if (value := getattr(command, "hotel_name" if name == "name" else name)) is not None
    }
    for stripped in {"name", "city"} & given.keys():
        given[stripped] = given[stripped].strip()
    if "amenities" in given:
        given["amenities"] = _distinct(given["amenities"])
    after = before.model_copy(update=given)
    check_details(after)
    if after.currency != before.currency and any(plan.currency for plan in state.rate_plans.values()):
        raise IllegalTransition(f"nights are priced in {before.currency}: the currency cannot change any more")
    return [] if after == before else [HotelDetailsChanged(hotel_id=command.hotel_id, **dict(after))]


def decide_add_room_type(state: HotelState, command: AddRoomType) -> list[Event]:
    """Add a room type. Raises NotFound, Forbidden, AlreadyExists, InvalidCommand."""
    _opened(state, command)
    if command.room_type_id in state.room_types:
        raise AlreadyExists(f"the hotel has room type {command.room_type_id} already")
    if len(state.room_types) >= MAX_ROOM_TYPES:
        raise InvalidCommand(f"a hotel has at most {MAX_ROOM_TYPES} room types")
    check_room_type(command)
    return [
        RoomTypeAdded(
            hotel_id=command.hotel_id,
            room_type_id=command.room_type_id,
            name=command.room_type_name.strip(),
            max_adults=command.max_adults,
            max_children=command.max_children,
            beds=command.beds,
            amenities=_distinct(command.amenities),
            rooms=command.rooms,
        )
    ]


def decide_add_rate_plan(state: HotelState, command: AddRatePlan) -> list[Event]:
    """Add a rate plan for one of the hotel's room types. Raises NotFound, Forbidden, AlreadyExists, InvalidCommand."""
    _opened(state, command)
    if command.room_type_id not in state.room_types:
        raise NotFound(f"the hotel has no room type {command.room_type_id}")
    if command.rate_plan_id in state.rate_plans:
        raise AlreadyExists(f"the hotel has rate plan {command.rate_plan_id} already")
    if len(state.rate_plans) >= MAX_RATE_PLANS:
        raise InvalidCommand(f"a hotel has at most {MAX_RATE_PLANS} rate plans")
    check_rate_plan(command)
    return [
        RatePlanAdded(
            hotel_id=command.hotel_id,
            rate_plan_id=command.rate_plan_id,
            room_type_id=command.room_type_id,
            name=command.rate_plan_name.strip(),
            board=command.board,
            cancellation=policy(command.cancellation),
            payment_policy=command.payment_policy,
        )
    ]


def decide_set_prices(state: HotelState, command: SetPrices) -> list[Event]:
    """Price nights of a rate plan. A supplement that is not given stays as it was (0 at first).

    Raises NotFound, Forbidden, VersionMismatch, InvalidCommand.
    """
    hotel = _opened(state, command)
    require_version(f"hotel {command.hotel_id}", state.version, command.expected_version)
    plan = state.rate_plans.get(command.rate_plan_id)
    if plan is None:
        raise NotFound(f"the hotel has no rate plan {command.rate_plan_id}")
    amount = price("amount", command.amount, hotel.currency, lowest=1)
    extra_adult, child = _supplements(plan, command, hotel.currency)
    return [
        PricesSet(
            hotel_id=command.hotel_id,
            rate_plan_id=command.rate_plan_id,
            room_type_id=plan.room_type_id,
            nights=_nights(command),
            amount_minor=amount,
            currency=hotel.currency,
            per_extra_adult_minor=extra_adult,
            per_child_minor=child,
        )
    ]


def _opened(state: HotelState, command: HotelCommand) -> Details:
    if state.details is None:
        raise NotFound(f"there is no hotel {command.hotel_id}")
    if command.asked_by not in {None, state.owner_id}:
        raise Forbidden("this hotel belongs to another hotelier")
    return state.details


def _supplements(plan: RatePlan, command: SetPrices, currency: str) -> tuple[int, int]:
    def given(field: str, amount: Amount | None, before: int) -> int:
        return before if amount is None else price(field, amount, currency, lowest=0)

    return (
        given("per_extra_adult", command.per_extra_adult, plan.per_extra_adult_minor),
        given("per_child", command.per_child, plan.per_child_minor),
    )


def _nights(command: SetPrices) -> tuple[dt.date, ...]:
    weekdays = _WEEKDAYS if command.weekdays is None else command.weekdays
    if not weekdays or not weekdays <= _WEEKDAYS:
        raise InvalidCommand("weekdays are 1 (Monday) to 7 (Sunday)", errors=(("weekdays", "must be 1 to 7"),))
    nights = tuple(
        night for night in nights_between(command.first_night, command.last_night) if night.isoweekday() in weekdays
    )
    if not nights:
        raise InvalidCommand(
            f"no night from {command.first_night} to {command.last_night} begins on these weekdays",
            errors=(("weekdays", "must occur between from and to"),),
        )
    return nights


def _distinct(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value.strip() for value in values))
