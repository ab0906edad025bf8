"""Handlers of the bookings service."""

from __future__ import annotations

from typing import Any

from commands.handling import Dependencies, Handlers, expect
from commands.ports import Answer, CommandEnvelope, Decide
from domain.booking.commands import (
    AwaitModificationPayment,
    AwaitPayment,
    BookingCommand,
    CheckIn,
    CheckOut,
    CompleteCancellation,
    CompleteModification,
    ConfirmBooking,
    RecordNoShow,
    RejectBooking,
    RejectModification,
    RequestBooking,
    RequestCancellation,
    RequestModification,
)
from domain.booking.decide import (
    decide_await_payment,
    decide_check_in,
    decide_check_out,
    decide_complete_cancellation,
    decide_confirm,
    decide_no_show,
    decide_reject,
    decide_request,
    decide_request_cancellation,
)
from domain.booking.identity import payment_id_of
from domain.booking.modification import (
    decide_await_modification_payment,
    decide_complete_modification,
    decide_reject_modification,
    decide_request_modification,
)
from domain.booking.state import BOOKING, BookingState
from domain.shared.money import Money


async def request_booking(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, payment_id, status, version}."""
    command = expect(RequestBooking, envelope)
    payment_id = str(payment_id_of(command.booking_id))
    return await _execute(deps, envelope, command, lambda state: decide_request(state, command), payment_id=payment_id)


async def await_payment(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, version}."""
    command = expect(AwaitPayment, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_await_payment(state, command))


async def confirm_booking(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, version}."""
    command = expect(ConfirmBooking, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_confirm(state, command))


async def reject_booking(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, version}."""
    command = expect(RejectBooking, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_reject(state, command))


async def request_cancellation(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, charge, refund, version}; the price is that of the time of asking."""
    command = expect(RequestCancellation, envelope)
    at = envelope.metadata.at
    return await _execute(deps, envelope, command, lambda state: decide_request_cancellation(state, command, at))


async def complete_cancellation(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, charge, refund, version}."""
    command = expect(CompleteCancellation, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_complete_cancellation(state, command))


async def request_modification(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, modification_id, status, version}; what may be given up is decided at the time of asking."""
    command = expect(RequestModification, envelope)
    at, name = envelope.metadata.at, str(command.modification_id)
    return await _execute(
        deps,
        envelope,
        command,
        lambda state: decide_request_modification(state, command, at),
        modification_id=name,
    )


async def await_modification_payment(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, version}."""
    command = expect(AwaitModificationPayment, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_await_modification_payment(state, command))


async def complete_modification(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, version}."""
    command = expect(CompleteModification, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_complete_modification(state, command))


async def reject_modification(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, version}."""
    command = expect(RejectModification, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_reject_modification(state, command))


async def check_in(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, version}."""
    command = expect(CheckIn, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_check_in(state, command))


async def check_out(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, version}."""
    command = expect(CheckOut, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_check_out(state, command))


async def record_no_show(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {booking_id, status, version}; whether the stay has begun is judged by the time of asking."""
    command = expect(RecordNoShow, envelope)
    at = envelope.metadata.at
    return await _execute(deps, envelope, command, lambda state: decide_no_show(state, command, at))


async def _execute(
    deps: Dependencies, envelope: CommandEnvelope, command: BookingCommand, decide: Decide[BookingState], **more: Any
) -> Answer:
    def body(state: BookingState) -> dict[str, Any]:
        return (
            {"booking_id": str(command.booking_id), "status": state.status, "version": state.version}
            | more
            | (_settlement(state))
        )

    return await deps.streams["bookings"].execute(BOOKING, command.booking_id, decide, envelope, body=body)


def _settlement(state: BookingState) -> dict[str, Any]:
    if state.settlement is None:
        return {}
    return {"charge": _shown(state.settlement.charge), "refund": _shown(state.settlement.refund)}


def _shown(money: Money) -> dict[str, str]:
    return {"amount": money.amount, "currency": money.currency}


HANDLERS: Handlers = {
    RequestBooking: request_booking,
    AwaitPayment: await_payment,
    ConfirmBooking: confirm_booking,
    RejectBooking: reject_booking,
    RequestCancellation: request_cancellation,
    CompleteCancellation: complete_cancellation,
    RequestModification: request_modification,
    AwaitModificationPayment: await_modification_payment,
    CompleteModification: complete_modification,
    RejectModification: reject_modification,
    CheckIn: check_in,
    CheckOut: check_out,
    RecordNoShow: record_no_show,
}
