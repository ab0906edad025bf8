"""The cancellation saga: free the rooms, give the money back, end the booking.

Only a confirmed booking can be cancelled, and a booking is confirmed after the capture: so there is money to refund or
there is none, and never a mere authorisation to void. A cancellation does not turn back: every command is issued again
at its deadline until it is answered.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from uuid import UUID, uuid5

from domain.booking.commands import CompleteCancellation
from domain.booking.events import BookingCancelled, CancellationRequested, Paid
from domain.booking.identity import hold_id_of
from domain.inventory.commands import ReleaseHold
from domain.inventory.events import HoldExpired, HoldReleased, HoldWithdrawn
from domain.payment.commands import RefundPayment
from domain.payment.events import PaymentRefunded
from domain.shared.messages import Command
from domain.shared.money import Money
from sagas.saga import Happening, Issue, Reaction, Saga, SagaState, booking_of, finished, purpose, retry_at

REASON = "cancelled"


class CancellationSaga(SagaState):
    """One cancellation; ``refund`` is what goes back (0: nothing), ``refunded`` how many payments have given back.

    ``hold_id`` and ``refunds`` are as in CancellationRequested.
    """

    booking_id: UUID
    hotel_id: UUID
    room_type_id: UUID
    payment_id: UUID
    refund: Money
    hold_id: UUID | None = None
    refunds: tuple[Paid, ...] = ()
    refunded: int = 0

    @property
    def hold(self) -> UUID:
        """The hold to release."""
        return self.hold_id or hold_id_of(self.booking_id)

    @property
    def to_refund(self) -> tuple[Paid, ...]:
        """What is left to give back, by payment."""
        first = (Paid(payment_id=self.payment_id, amount=self.refund),) if self.refund.minor > 0 else ()
        return (self.refunds or first)[self.refunded :]


Told = Reaction[CancellationSaga]
IGNORED: Told = Reaction(None)


def refund_id(booking_id: UUID) -> UUID:
    """The id of the refund that a booking's cancellation asks for."""
    return uuid5(booking_id, "cancellation")


def _release(state: CancellationSaga) -> Command:
    return ReleaseHold(
        hotel_id=state.hotel_id,
        room_type_id=state.room_type_id,
        hold_id=state.hold,
        booking_id=state.booking_id,
        reason=REASON,
    )


def _refund(state: CancellationSaga) -> Command:
    part = state.to_refund[0]
    return RefundPayment(
        payment_id=part.payment_id,
        booking_id=state.booking_id,
        refund_id=refund_id(state.booking_id),
        amount=part.amount,
        reason=REASON,
    )


def _complete(state: CancellationSaga) -> Command:
    return CompleteCancellation(booking_id=state.booking_id)


STEPS: Mapping[str, tuple[str, Callable[[CancellationSaga], Command]]] = {
    "releasing": ("release", _release),
    "refunding": ("refund", _refund),
    "completing": ("complete", _complete),
}


def _enter(state: CancellationSaga, step: str, at: dt.datetime, attempt: int = 1) -> Told:
    name, command = STEPS[step]
    after = state.model_copy(update={"step": step, "attempts": attempt})
    part = f"{name}-{state.refunded}" if step == "refunding" and state.refunded else name
    return Reaction(after, (Issue(purpose(part, attempt), command(after)),), retry_at(at, attempt))


def _next(state: CancellationSaga, at: dt.datetime) -> Told:
    """The rooms are free: what is left is money, if any."""
    return _enter(state, "refunding" if state.to_refund else "completing", at)


def _begin(event: CancellationRequested, at: dt.datetime) -> Told:
    state = CancellationSaga(
        saga_id=CANCELLATION_SAGA.saga_id(event.booking_id),
        step="releasing",
        booking_id=event.booking_id,
        hotel_id=event.hotel_id,
        room_type_id=event.room_type_id,
        payment_id=event.payment_id,
        refund=event.refund,
        hold_id=event.hold_id,
        refunds=event.refunds,
    )
    return _enter(state, "releasing", at)


def _is_ours(state: CancellationSaga, event: PaymentRefunded) -> bool:
    """Whether it is the refund that is being waited for; there are others, out of goodwill for instance."""
    return (event.refund_id, event.payment_id) == (refund_id(state.booking_id), state.to_refund[0].payment_id)


def react(state: CancellationSaga | None, happening: Happening) -> Told:
    """See Saga."""
    event, at = happening.event, happening.at
    if state is None:
        return _begin(event, at) if isinstance(event, CancellationRequested) else IGNORED
    if happening.deadline is not None:
        again = happening.deadline == state.step and state.status == "running"
        return _enter(state, state.step, at, state.attempts + 1) if again else IGNORED
    match event:
        case HoldReleased() | HoldWithdrawn() | HoldExpired() if state.step == "releasing":
            return _next(state, at) if event.hold_id == state.hold else IGNORED
        case PaymentRefunded() if state.step == "refunding" and _is_ours(state, event):
            return _next(state.model_copy(update={"refunded": state.refunded + 1}), at)
        case BookingCancelled() if state.step == "completing":
            return finished(state, "cancelled")
    return IGNORED


CANCELLATION_SAGA: Saga[CancellationSaga] = Saga(
    name="cancellation",
    state_type=CancellationSaga,
    starts=frozenset({CancellationRequested}),
    routes=dict.fromkeys(
        (CancellationRequested, HoldReleased, HoldWithdrawn, HoldExpired, PaymentRefunded, BookingCancelled), booking_of
    ),
    react=react,
    commands=frozenset({ReleaseHold, RefundPayment, CompleteCancellation}),
)
