"""What happens to the rooms of one room type. The stream is the room type, with all its nights.

Every event that changes nights tells in ``nights`` how they stand *after* it, so that a reader needs no state.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.shared.messages import Event
from domain.shared.stay import Stay

RefusalReason = Literal["sold_out", "restricted", "withdrawn"]
ConfirmationRefusalReason = Literal["expired", "released", "refused", "unknown"]


class NightLeft(BaseModel):
    """How one night stands: ``rooms_left`` = ``allotment`` - sold - held; a closed night is not sold at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: dt.date
    rooms_left: int
    allotment: int
    closed: bool = False


class Restrictions(BaseModel):
    """What is forbidden although rooms are left.

    ``closed`` concerns each night of a stay; ``closed_to_arrival``, ``min_nights`` and ``max_nights`` those of the
    check-in date; ``closed_to_departure`` that of the check-out date.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    closed: bool = False
    closed_to_arrival: bool = False
    closed_to_departure: bool = False
    min_nights: int | None = None
    max_nights: int | None = None


class InventoryEvent(Event):
    """Fields that every event of the aggregate has."""

    hotel_id: UUID
    room_type_id: UUID


class RoomTypeOpened(InventoryEvent, topic="inventory.v1.RoomTypeOpened"):
    """The room type can be sold: ``default_allotment`` rooms on every night for which nothing else was set."""

    default_allotment: int
    owner_id: UUID | None = None


class AllotmentSet(InventoryEvent, topic="inventory.v1.AllotmentSet"):
    """``nights`` have the allotment that they carry."""

    nights: tuple[NightLeft, ...]


class RestrictionsSet(InventoryEvent, topic="inventory.v1.RestrictionsSet"):
    """``restrictions`` apply to each of ``nights``, in place of those before."""

    restrictions: Restrictions
    nights: tuple[NightLeft, ...]


class HoldEvent(InventoryEvent):
    """Fields that every event about a hold has."""

    hold_id: UUID
    booking_id: UUID


class RoomsHeld(HoldEvent, topic="inventory.v1.RoomsHeld"):
    """``rooms`` rooms are kept for a booking on each night of ``stay`` until ``expires_at``.

    ``replaces``: the hold, sold to the same booking, that this one is to take the place of. As long as both are there,
    a night of both has as many rooms taken as the larger of them.
    """

    stay: Stay
    rooms: int
    expires_at: dt.datetime
    nights: tuple[NightLeft, ...]
    replaces: UUID | None = None


class HoldRefused(HoldEvent, topic="inventory.v1.HoldRefused"):
    """Nothing was kept: too few rooms on ``sold_out_nights``, or a rule forbids it on ``restricted_nights``.

    Neither if the hold was ``withdrawn`` before it came.
    """

    stay: Stay
    rooms: int
    reason: RefusalReason
    sold_out_nights: tuple[dt.date, ...] = ()
    restricted_nights: tuple[dt.date, ...] = ()


class HoldConfirmed(HoldEvent, topic="inventory.v1.HoldConfirmed"):
    """The held rooms are sold; the hold does not expire any more. No night changes."""


class HoldConfirmationRefused(HoldEvent, topic="inventory.v1.HoldConfirmationRefused"):
    """There was nothing left to confirm; ``reason`` says how the hold had ended."""

    reason: ConfirmationRefusalReason


class HoldReleased(HoldEvent, topic="inventory.v1.HoldReleased"):
    """The rooms are free again; ``after_confirmation`` tells whether they had been sold.

    ``replaced_by``: the hold of the same booking that is sold in its place.
    """

    stay: Stay
    rooms: int
    nights: tuple[NightLeft, ...]
    after_confirmation: bool
    reason: str
    replaced_by: UUID | None = None


class HoldWithdrawn(HoldEvent, topic="inventory.v1.HoldWithdrawn"):
    """A release came before its hold: should the hold still come, it is not granted any more."""

    reason: str


class HoldExpired(HoldEvent, topic="inventory.v1.HoldExpired"):
    """Nobody confirmed in time; the rooms are free again."""

    stay: Stay
    rooms: int
    nights: tuple[NightLeft, ...]
