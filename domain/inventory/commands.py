"""What can be asked of the inventory of one room type.

``asked_by`` is the hotelier who asks; None stands for the system or an operator, who may do everything.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from domain.inventory.events import Restrictions
from domain.shared.messages import Command
from domain.shared.stay import Stay


class InventoryCommand(Command):
    """Fields that every command of the aggregate has; the stream is ``room_type_id``."""

    hotel_id: UUID
    room_type_id: UUID


class OpenRoomType(InventoryCommand, name="inventory.OpenRoomType"):
    """Start to sell a room type. Sent by the system after hotels.AddRoomType; a repetition changes nothing."""

    owner_id: UUID
    default_allotment: int


class SetAllotment(InventoryCommand, name="inventory.SetAllotment"):
    """Offer ``rooms`` rooms on each night from ``first_night`` to ``last_night``, both included."""

    first_night: dt.date
    last_night: dt.date
    rooms: int
    asked_by: UUID | None = None
    expected_version: int | None = None


class SetRestrictions(InventoryCommand, name="inventory.SetRestrictions"):
    """Replace the restrictions of each night from ``first_night`` to ``last_night``, both included."""

    first_night: dt.date
    last_night: dt.date
    restrictions: Restrictions
    asked_by: UUID | None = None
    expected_version: int | None = None


class HoldRooms(InventoryCommand, name="inventory.HoldRooms"):
    """Keep ``rooms`` rooms until ``expires_at``; answered by RoomsHeld or HoldRefused, once per ``hold_id``.

    ``replaces``: a hold that the booking has bought and gives up as soon as this one is sold; its rooms count as free.
    """

    hold_id: UUID
    booking_id: UUID
    stay: Stay
    rooms: int
    expires_at: dt.datetime
    replaces: UUID | None = None


class ConfirmHold(InventoryCommand, name="inventory.ConfirmHold"):
    """Sell what is held, and free what it replaces; answered by HoldConfirmed or HoldConfirmationRefused."""

    hold_id: UUID
    booking_id: UUID


class ReleaseHold(InventoryCommand, name="inventory.ReleaseHold"):
    """Free what is held or sold; answered by HoldReleased (HoldWithdrawn if the hold had not come yet), once.

    ``replaced_by``: the hold, of another room type, that the booking has bought instead.
    """

    hold_id: UUID
    booking_id: UUID
    reason: str
    replaced_by: UUID | None = None


class ExpireHold(InventoryCommand, name="inventory.ExpireHold"):
    """The time of a hold is over. Sent by its timer."""

    hold_id: UUID
