"""Handlers of the inventory service. A hold sets the timer that ends it; confirming or releasing cancels the timer."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid5

from commands.handling import Dependencies, Handlers, expect
from commands.ports import Answer, CancelTimer, CommandEnvelope, Decide, SetTimer, caused_by, due
from domain.inventory.commands import (
    ConfirmHold,
    ExpireHold,
    HoldRooms,
    InventoryCommand,
    OpenRoomType,
    ReleaseHold,
    SetAllotment,
    SetRestrictions,
)
from domain.inventory.decide import (
    decide_confirm,
    decide_expire,
    decide_hold,
    decide_open,
    decide_release,
    decide_set_allotment,
    decide_set_restrictions,
)
from domain.inventory.events import HoldConfirmed, HoldReleased, RoomsHeld
from domain.inventory.state import INVENTORY, InventoryState
from domain.shared.messages import Event


async def open_room_type(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {version}."""
    command = expect(OpenRoomType, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_open(state, command))


async def set_allotment(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {version}."""
    command = expect(SetAllotment, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_set_allotment(state, command))


async def set_restrictions(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {version}."""
    command = expect(SetRestrictions, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_set_restrictions(state, command))


async def hold_rooms(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {version}; whether the rooms are held is told by the event."""
    command = expect(HoldRooms, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_hold(state, command))


async def confirm_hold(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {version}; whether the rooms are sold is told by the event."""
    command = expect(ConfirmHold, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_confirm(state, command))


async def release_hold(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {version}."""
    command = expect(ReleaseHold, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_release(state, command))


async def expire_hold(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {version}."""
    command = expect(ExpireHold, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_expire(state, command))


def expiry_timer(hold_id: UUID) -> UUID:
    """The id of the timer that ends a hold."""
    return uuid5(hold_id, "expiry")


async def _execute(
    deps: Dependencies, envelope: CommandEnvelope, command: InventoryCommand, decide: Decide[InventoryState]
) -> Answer:
    return await deps.streams["inventory"].execute(
        INVENTORY,
        command.room_type_id,
        decide,
        envelope,
        body=lambda state: {"version": state.version},
        timers=lambda _, events: [timer for event in events for timer in _timers(deps, envelope, event)],
    )


def _timers(deps: Dependencies, envelope: CommandEnvelope, event: Event) -> Sequence[SetTimer | CancelTimer]:
    match event:
        case RoomsHeld():
            expiry = CommandEnvelope(
                command_id=uuid5(event.hold_id, "expire"),
                command=ExpireHold(hotel_id=event.hotel_id, room_type_id=event.room_type_id, hold_id=event.hold_id),
                metadata=caused_by(envelope.metadata, envelope.command_id, "timer", event.expires_at),
            )
            return [SetTimer(expiry_timer(event.hold_id), due(deps.clock, envelope.metadata, event.expires_at), expiry)]
        case HoldConfirmed() | HoldReleased():
            return [CancelTimer(expiry_timer(event.hold_id))]
    return []


HANDLERS: Handlers = {
    OpenRoomType: open_room_type,
    SetAllotment: set_allotment,
    SetRestrictions: set_restrictions,
    HoldRooms: hold_rooms,
    ConfirmHold: confirm_hold,
    ReleaseHold: release_hold,
    ExpireHold: expire_hold,
}
