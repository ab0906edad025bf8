"""Handlers of the hotels service."""

from __future__ import annotations

from typing import Any

from commands.handling import Dependencies, Handlers, expect
from commands.ports import Answer, CommandEnvelope, Decide
from domain.hotel.commands import AddRatePlan, AddRoomType, ChangeHotelDetails, HotelCommand, OpenHotel, SetPrices
from domain.hotel.decide import (
    decide_add_rate_plan,
    decide_add_room_type,
    decide_change_details,
    decide_open,
    decide_set_prices,
)
from domain.hotel.state import HOTEL, HotelState


async def open_hotel(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {hotel_id, version}."""
    command = expect(OpenHotel, envelope)
    return await _execute(
        deps, envelope, command, lambda state: decide_open(state, command), hotel_id=str(command.hotel_id)
    )


async def change_details(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {version}."""
    command = expect(ChangeHotelDetails, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_change_details(state, command))


async def add_room_type(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {room_type_id, version}."""
    command = expect(AddRoomType, envelope)
    return await _execute(
        deps,
        envelope,
        command,
        lambda state: decide_add_room_type(state, command),
        room_type_id=str(command.room_type_id),
    )


async def add_rate_plan(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {rate_plan_id, version}."""
    command = expect(AddRatePlan, envelope)
    return await _execute(
        deps,
        envelope,
        command,
        lambda state: decide_add_rate_plan(state, command),
        rate_plan_id=str(command.rate_plan_id),
    )


async def set_prices(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {version}."""
    command = expect(SetPrices, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_set_prices(state, command))


async def _execute(
    deps: Dependencies, envelope: CommandEnvelope, command: HotelCommand, decide: Decide[HotelState], **body: Any
) -> Answer:
    return await deps.streams["hotels"].execute(
        HOTEL, command.hotel_id, decide, envelope, body=lambda state: body | {"version": state.version}
    )


HANDLERS: Handlers = {
    OpenHotel: open_hotel,
    ChangeHotelDetails: change_details,
    AddRoomType: add_room_type,
    AddRatePlan: add_rate_plan,
    SetPrices: set_prices,
}
