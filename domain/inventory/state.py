"""The rooms of one room type, night by night. Kept small: a busy room type has thousands of holds in its life."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.inventory.events import (
    AllotmentSet,
    HoldConfirmationRefused,
    HoldConfirmed,
    HoldEvent,
    HoldExpired,
    HoldRefused,
    HoldReleased,
    HoldWithdrawn,
    NightLeft,
    Restrictions,
    RestrictionsSet,
    RoomsHeld,
    RoomTypeOpened,
)
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Event
from domain.shared.stay import Stay

HoldEnd = Literal["refused", "released", "expired", "withdrawn"]


class Taken(NamedTuple):
    """Rooms that are not free on a night."""

    held: int
    sold: int

    @property
    def rooms(self) -> int:
        """Both together."""
        return self.held + self.sold


class Hold(NamedTuple):
    """What a booking holds or has bought. ``replaces``: what it had bought before, and gives up for this."""

    booking_id: UUID
    check_in: dt.date
    check_out: dt.date
    rooms: int
    replaces: UUID | None = None

    @property
    def stay(self) -> Stay:
        """The nights that it is for."""
        return Stay(check_in=self.check_in, check_out=self.check_out)


Nights = Mapping[dt.date, int]
"""Numbers of rooms, by night."""
NO_NIGHTS: Nights = {}
FREE = Taken(0, 0)
UNRESTRICTED = Restrictions()


class InventoryState(BaseModel):
    """``version`` counts the stream's events; ``hotel_id`` is None until the room type is opened.

    ``allotments``, ``restrictions`` and ``taken`` have only nights that differ from the default, no restrictions and
    nothing taken. A hold is in exactly one of ``held``, ``sold`` and ``ended``; what has ended is remembered by how it
    ended, so that a repeated command is recognised. ``unconfirmed`` are holds whose confirmation was refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 0
    hotel_id: UUID | None = None
    owner_id: UUID | None = None
    default_allotment: int = 0
    allotments: dict[dt.date, int] = {}
    restrictions: dict[dt.date, Restrictions] = {}
    taken: dict[dt.date, Taken] = {}
    held: dict[UUID, Hold] = {}
    sold: dict[UUID, Hold] = {}
    ended: dict[UUID, HoldEnd] = {}
    unconfirmed: frozenset[UUID] = frozenset()

    def allotment(self, night: dt.date) -> int:
        """Rooms offered on ``night``."""
        return self.allotments.get(night, self.default_allotment)

    def taken_on(self, night: dt.date) -> Taken:
        """Rooms held and sold on ``night``."""
        return self.taken.get(night, FREE)

    def restrictions_on(self, night: dt.date) -> Restrictions:
        """What is forbidden on ``night``."""
        return self.restrictions.get(night, UNRESTRICTED)

    def rooms_left(self, night: dt.date) -> int:
        """Rooms that can still be held on ``night``, if no restriction forbids it."""
        return self.allotment(night) - self.taken_on(night).rooms

    def taken_by(self, hold: Hold) -> dict[dt.date, int]:
        """Rooms that ``hold`` takes on each of its nights, beside what it replaces as long as that is there."""
        replaced = None if hold.replaces is None else self.sold.get(hold.replaces)
        shared = frozenset[dt.date]() if replaced is None else frozenset(replaced.stay.nights)
        beyond = hold.rooms if replaced is None else max(0, hold.rooms - replaced.rooms)
        return {night: beyond if night in shared else hold.rooms for night in hold.stay.nights}

    def replacement_of(self, hold_id: UUID) -> Hold | None:
        """What is held to take the place of a hold that was sold."""
        return next((hold for hold in self.held.values() if hold.replaces == hold_id), None)

    def night(self, night: dt.date) -> NightLeft:
        """How ``night`` stands, as events tell it."""
        return NightLeft(
            date=night,
            rooms_left=self.rooms_left(night),
            allotment=self.allotment(night),
            closed=self.restrictions_on(night).closed,
        )


def evolve(state: InventoryState, event: Event) -> InventoryState:
    """The state after ``event``."""
    return state.model_copy(update={"version": state.version + 1, **_changes(state, event)})


def _changes(state: InventoryState, event: Event) -> dict[str, Any]:
    match event:
        case RoomTypeOpened():
            return {
                "hotel_id": event.hotel_id,
                "owner_id": event.owner_id,
                "default_allotment": event.default_allotment,
            }
        case AllotmentSet():
            return {"allotments": {**state.allotments, **{night.date: night.allotment for night in event.nights}}}
        case RestrictionsSet():
            restricted = {**state.restrictions, **{night.date: event.restrictions for night in event.nights}}
            return {"restrictions": {night: rule for night, rule in restricted.items() if rule != UNRESTRICTED}}
        case HoldEvent():
            return _changes_by_hold(state, event)
    return {}


def _changes_by_hold(state: InventoryState, event: HoldEvent) -> dict[str, Any]:
    match event:
        case RoomsHeld():
            hold = Hold(event.booking_id, event.stay.check_in, event.stay.check_out, event.rooms, event.replaces)
            return {"held": {**state.held, event.hold_id: hold}, "taken": _moved(state, held=state.taken_by(hold))}
        case HoldConfirmed():
            hold = state.held[event.hold_id]
            return {
                "held": _without(state.held, event.hold_id),
                "sold": {**state.sold, event.hold_id: hold},
                "taken": _moved(state, held=_less(state.taken_by(hold)), sold=state.taken_by(hold)),
            }
        case HoldReleased() if event.after_confirmation:
            hold = state.sold[event.hold_id]
            sold = _without(state.sold, event.hold_id)
            following = state.replacement_of(event.hold_id)
            # What is held in its place counts in full from now on.
            more = {} if following is None else _grown(state, state.model_copy(update={"sold": sold}), following)
            return {
                "sold": sold,
                "taken": _moved(state, held=more, sold=_less(state.taken_by(hold))),
                "ended": {**state.ended, event.hold_id: "released"},
            }
        case HoldReleased() | HoldExpired():
            hold = state.held[event.hold_id]
            return {
                "held": _without(state.held, event.hold_id),
                "taken": _moved(state, held=_less(state.taken_by(hold))),
                "ended": {**state.ended, event.hold_id: "released" if isinstance(event, HoldReleased) else "expired"},
            }
        case HoldRefused():
            return {"ended": {**state.ended, event.hold_id: "refused"}}
        case HoldWithdrawn():
            return {"ended": {**state.ended, event.hold_id: "withdrawn"}}
        case HoldConfirmationRefused():
            return {"unconfirmed": state.unconfirmed | {event.hold_id}}
    return {}


def _moved(state: InventoryState, held: Nights = NO_NIGHTS, sold: Nights = NO_NIGHTS) -> dict[dt.date, Taken]:
    """Rooms taken, with so many more (less, if negative) held and sold on each night."""
    changed = dict(state.taken)
    for night in {*held, *sold}:
        before = changed.get(night, FREE)
        after = Taken(before.held + held.get(night, 0), before.sold + sold.get(night, 0))
        if after == FREE:
            changed.pop(night, None)
        else:
            changed[night] = after
    return changed


def _less(nights: Nights) -> Nights:
    return {night: -rooms for night, rooms in nights.items()}


def _grown(before: InventoryState, after: InventoryState, hold: Hold) -> Nights:
    """How many rooms more a hold takes."""
    less = before.taken_by(hold)
    return {night: rooms - less[night] for night, rooms in after.taken_by(hold).items()}


def _without(holds: dict[UUID, Hold], hold_id: UUID) -> dict[UUID, Hold]:
    rest = dict(holds)
    del rest[hold_id]
    return rest


INVENTORY = Aggregate(
    name="inventory",
    context="inventory",
    initial=InventoryState(),
    evolve=evolve,
    snapshot_every=500,
    snapshot_version=2,
)
