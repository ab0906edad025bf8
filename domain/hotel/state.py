"""A hotel as its decisions need it. Nightly prices are not kept: each PricesSet says all that readers need."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.hotel.events import (
    Board,
    CancellationTier,
    HotelDetails,
    HotelDetailsChanged,
    HotelOpened,
    PaymentPolicy,
    PricesSet,
    RatePlanAdded,
    RoomTypeAdded,
)
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Event


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Details(_Frozen):
    """What a hotel tells about itself."""

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

    @classmethod
    def of(cls, event: HotelDetails) -> Details:
        """The details that an event carries."""
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class RoomType(_Frozen):
    """A kind of room and how many people fit in."""

    name: str
    max_adults: int
    max_children: int
    rooms: int


class RatePlan(_Frozen):
    """Terms on which a room type is sold. ``currency`` is None until nights have prices."""

    room_type_id: UUID
    name: str
    board: Board
    cancellation: tuple[CancellationTier, ...]
    payment_policy: PaymentPolicy
    currency: str | None = None
    per_extra_adult_minor: int = 0
    per_child_minor: int = 0


class HotelState(_Frozen):
    """``version`` counts the stream's events; ``details`` and ``owner_id`` are None until the hotel is opened."""

    version: int = 0
    hotel_id: UUID | None = None
    owner_id: UUID | None = None
    details: Details | None = None
    room_types: dict[UUID, RoomType] = {}
    rate_plans: dict[UUID, RatePlan] = {}


def evolve(state: HotelState, event: Event) -> HotelState:
    """The state after ``event``."""
    return state.model_copy(update={"version": state.version + 1, **_changes(state, event)})


def _changes(state: HotelState, event: Event) -> dict[str, Any]:
    match event:
        case HotelOpened():
            return {"hotel_id": event.hotel_id, "owner_id": event.owner_id, "details": Details.of(event)}
        case HotelDetailsChanged():
            return {"details": Details.of(event)}
        case RoomTypeAdded():
            added = RoomType(
                name=event.name, max_adults=event.max_adults, max_children=event.max_children, rooms=event.rooms
            )
            return {"room_types": {**state.room_types, event.room_type_id: added}}
        case RatePlanAdded():
            plan = RatePlan(
                room_type_id=event.room_type_id,
                name=event.name,
                board=event.board,
                cancellation=event.cancellation,
                payment_policy=event.payment_policy,
            )
            return {"rate_plans": {**state.rate_plans, event.rate_plan_id: plan}}
        case PricesSet():
            priced = state.rate_plans[event.rate_plan_id].model_copy(
                update={
                    "currency": event.currency,
                    "per_extra_adult_minor": event.per_extra_adult_minor,
                    "per_child_minor": event.per_child_minor,
                }
            )
            return {"rate_plans": {**state.rate_plans, event.rate_plan_id: priced}}
    return {}


HOTEL = Aggregate(name="hotel", context="hotels", initial=HotelState(), evolve=evolve)
