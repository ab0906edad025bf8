"""Specifications of sagas that read like sentences, and the events and commands that they speak of.

``given(BOOKING_SAGA, requested(), held()).when(authorised()).then("confirming_hold", confirm_hold(), within=30)``.
What is given or happens is an event, or ``Deadline("holding")``. Time stands still at ``AT`` unless told.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from domain.booking.commands import AwaitPayment, CompleteCancellation, ConfirmBooking, RejectBooking
from domain.booking.events import (
    BookingAwaitingPayment,
    BookingCancelled,
    BookingConfirmed,
    BookingDetails,
    BookingRejected,
    BookingRequested,
    CancellationRequested,
    RejectionReason,
)
from domain.booking.identity import hold_id_of, payment_id_of
from domain.hotel.events import CancellationTier, NightPrice
from domain.inventory.commands import ConfirmHold, HoldRooms, ReleaseHold
from domain.inventory.events import (
    ConfirmationRefusalReason,
    HoldConfirmationRefused,
    HoldConfirmed,
    HoldExpired,
    HoldRefused,
    HoldReleased,
    HoldWithdrawn,
    RefusalReason,
    RoomsHeld,
)
from domain.payment.commands import AuthorisePayment, CapturePayment, RefundPayment, VoidPayment
from domain.payment.events import (
    AuthorisationOutcomeUnknown,
    DeclineReason,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from domain.shared.messages import Command, Event
from domain.shared.money import Money
from domain.shared.stay import Stay
from sagas.saga import Happening, Reaction, Saga, SagaState

S = TypeVar("S", bound=SagaState)

AT = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
BOOKING_ID = UUID(int=1)
PAYMENT_ID = payment_id_of(BOOKING_ID)
TOTAL = Money(minor=20_000, currency="EUR")
NOTHING = Money.zero("EUR")
STAY = Stay(check_in=dt.date(2026, 7, 1), check_out=dt.date(2026, 7, 3))
HOLD: dict[str, UUID] = {
    "hotel_id": UUID(int=3),
    "room_type_id": UUID(int=4),
    "hold_id": hold_id_of(BOOKING_ID),
    "booking_id": BOOKING_ID,
}
PAYMENT: dict[str, UUID] = {"payment_id": PAYMENT_ID, "booking_id": BOOKING_ID}
EXPIRES_AT = AT + dt.timedelta(minutes=15)


@dataclass(frozen=True)
class Deadline:
    """The deadline of ``step`` passes, ``after`` seconds since ``AT``."""

    step: str
    after: float = 0


@dataclass(frozen=True)
class Outcome(Generic[S]):
    """How the saga reacted."""

    before: S | None
    reaction: Reaction[S]

    def then(
        self, step: str, *commands: tuple[str, Command], within: float | None = None, status: str = "running"
    ) -> None:
        """It goes to ``step``, issues exactly these commands, and waits for an answer ``within`` seconds."""
        assert self.reaction.state is not None, "it was ignored"
        assert (self.reaction.state.step, self.reaction.state.status) == (step, status)
        assert [(issue.purpose, issue.command) for issue in self.reaction.commands] == list(commands)
        assert not self.reaction.keep_deadline
        assert self.reaction.deadline == (None if within is None else AT + dt.timedelta(seconds=within))

    def then_ignored(self) -> None:
        """Nothing changes."""
        assert self.reaction == Reaction(None)

    def then_noted(self, *commands: tuple[str, Command]) -> None:
        """It remembers something, issues these commands, and waits for the same thing as before."""
        assert self.reaction.state is not None
        assert self.before is not None
        assert self.reaction.state != self.before
        assert (self.reaction.state.step, self.reaction.state.status) == (self.before.step, self.before.status)
        assert [(issue.purpose, issue.command) for issue in self.reaction.commands] == list(commands)
        assert self.reaction.keep_deadline


@dataclass(frozen=True)
class History(Generic[S]):
    """What has happened so far."""

    saga: Saga[S]
    state: S | None

    def when(self, what: Event | Deadline) -> Outcome[S]:
        """And then this happens."""
        reaction = self.saga.react(self.state, told(what))
        for issue in reaction.commands:
            assert type(issue.command) in self.saga.commands
            assert type(issue.command).model_validate_json(issue.command.model_dump_json()) == issue.command
        if reaction.state is not None:
            assert type(reaction.state).model_validate_json(reaction.state.model_dump_json()) == reaction.state
        return Outcome(self.state, reaction)


def told(what: Event | Deadline) -> Happening:
    """What the runtime tells the saga."""
    if isinstance(what, Deadline):
        return Happening(AT + dt.timedelta(seconds=what.after), deadline=what.step)
    return Happening(AT, what)


def given(saga: Saga[S], *history: Event | Deadline) -> History[S]:
    """All of this has happened; none of it was ignored, or the specification says less than it seems to."""
    state: S | None = None
    for what in history:
        reaction = saga.react(state, told(what))
        assert reaction.state is not None, f"{what} was ignored"
        state = reaction.state
    return History(saga, state)


def booking_details(due_now: Money = TOTAL) -> BookingDetails:
    """What was booked, without what happened to it."""
    return BookingDetails(
        booking_id=BOOKING_ID,
        guest_id=UUID(int=5),
        account_id=UUID(int=5),
        hotel_id=HOLD["hotel_id"],
        room_type_id=HOLD["room_type_id"],
        rate_plan_id=UUID(int=6),
        stay=STAY,
        check_in_at=dt.datetime(2026, 7, 1, 13, tzinfo=dt.UTC),
        rooms=1,
        adults=2,
        children=0,
        nightly=tuple(NightPrice(date=night, amount_minor=10_000) for night in STAY.nights),
        total=TOTAL,
        due_now=due_now,
        payment_id=PAYMENT_ID,
        payment_policy="prepaid" if due_now.minor else "at_hotel",
        cancellation=(CancellationTier(hours_before=0, percent_charged=0),),
    )


def requested(due_now: Money = TOTAL) -> Event:
    return BookingRequested(**dict(booking_details(due_now)), payment_provider="sandbox", payment_token="tok_ok")


def awaiting_payment() -> Event:
    return BookingAwaitingPayment(booking_id=BOOKING_ID, payment_id=PAYMENT_ID)


def booking_confirmed() -> Event:
    return BookingConfirmed(**dict(booking_details(TOTAL)))


def booking_rejected(reason: RejectionReason = "sold_out") -> Event:
    return BookingRejected(**dict(booking_details(TOTAL)), reason=reason)


def cancellation_requested(refund: Money = TOTAL) -> Event:
    names = ("booking_id", "hotel_id", "room_type_id")
    known = {name: HOLD[name] for name in names}
    return CancellationRequested(**known, payment_id=PAYMENT_ID, charge=TOTAL - refund, refund=refund, reason="")


def booking_cancelled() -> Event:
    return BookingCancelled(**dict(booking_details(TOTAL)), charge=NOTHING, refund=TOTAL, reason="")


def held() -> Event:
    return RoomsHeld(**HOLD, stay=STAY, rooms=1, expires_at=EXPIRES_AT, nights=())


def hold_refused(reason: RefusalReason = "sold_out") -> Event:
    return HoldRefused(**HOLD, stay=STAY, rooms=1, reason=reason)


def hold_confirmed() -> Event:
    return HoldConfirmed(**HOLD)


def confirmation_refused(reason: ConfirmationRefusalReason) -> Event:
    return HoldConfirmationRefused(**HOLD, reason=reason)


def released(*, sold: bool = False) -> Event:
    return HoldReleased(**HOLD, stay=STAY, rooms=1, nights=(), after_confirmation=sold, reason="")


def withdrawn() -> Event:
    return HoldWithdrawn(**HOLD, reason="")


def expired() -> Event:
    return HoldExpired(**HOLD, stay=STAY, rooms=1, nights=())


def action_required() -> Event:
    return PaymentActionRequired(**PAYMENT, reference="ref")


def authorised() -> Event:
    return PaymentAuthorised(**PAYMENT, amount=TOTAL, reference="ref")


def declined(reason: DeclineReason = "declined") -> Event:
    return PaymentDeclined(**PAYMENT, reason=reason)


def unknown(attempt: int = 1) -> Event:
    return AuthorisationOutcomeUnknown(**PAYMENT, attempt=attempt)


def captured() -> Event:
    return PaymentCaptured(**PAYMENT, amount=TOTAL)


def voided() -> Event:
    return PaymentVoided(**PAYMENT, reason="")


def refunded(refund_id: UUID, amount: Money = TOTAL) -> Event:
    return PaymentRefunded(**PAYMENT, refund_id=refund_id, amount=amount, reason="")


def hold_rooms(attempt: int = 1) -> tuple[str, Command]:
    return _nth("hold", attempt), HoldRooms(**HOLD, stay=STAY, rooms=1, expires_at=EXPIRES_AT)


def authorise(attempt: int = 1) -> tuple[str, Command]:
    command = AuthorisePayment(**PAYMENT, amount=TOTAL, provider="sandbox", token="tok_ok")
    return _nth("authorise", attempt), command


def await_payment(attempt: int = 1) -> tuple[str, Command]:
    return _nth("await_payment", attempt), AwaitPayment(booking_id=BOOKING_ID, payment_id=PAYMENT_ID)


def confirm_hold(attempt: int = 1) -> tuple[str, Command]:
    return _nth("confirm_hold", attempt), ConfirmHold(**HOLD)


def capture(attempt: int = 1) -> tuple[str, Command]:
    return _nth("capture", attempt), CapturePayment(**PAYMENT, amount=TOTAL)


def confirm_booking(attempt: int = 1) -> tuple[str, Command]:
    return _nth("confirm", attempt), ConfirmBooking(booking_id=BOOKING_ID)


def void(reason: str, attempt: int = 1) -> tuple[str, Command]:
    return _nth("void", attempt), VoidPayment(**PAYMENT, reason=reason)


def late_void(reason: str) -> tuple[str, Command]:
    return "void:late", VoidPayment(**PAYMENT, reason=reason)


def release(reason: str, attempt: int = 1) -> tuple[str, Command]:
    return _nth("release", attempt), ReleaseHold(**HOLD, reason=reason)


def late_release(reason: str) -> tuple[str, Command]:
    return "release:late", ReleaseHold(**HOLD, reason=reason)


def reject(reason: RejectionReason, attempt: int = 1) -> tuple[str, Command]:
    return _nth("reject", attempt), RejectBooking(booking_id=BOOKING_ID, reason=reason)


def refund(refund_id: UUID, amount: Money = TOTAL, attempt: int = 1) -> tuple[str, Command]:
    command = RefundPayment(**PAYMENT, refund_id=refund_id, amount=amount, reason="cancelled")
    return _nth("refund", attempt), command


def complete(attempt: int = 1) -> tuple[str, Command]:
    return _nth("complete", attempt), CompleteCancellation(booking_id=BOOKING_ID)


def _nth(purpose: str, attempt: int) -> str:
    return purpose if attempt == 1 else f"{purpose}:{attempt}"


def state_after(saga: Saga[S], *history: Any) -> S:
    """The state that a history leads to."""
    state = given(saga, *history).state
    assert state is not None
    return state


def of_booking(event: Event, booking_id: UUID) -> Event:
    """The event, about another booking."""
    changes: dict[str, Any] = {"booking_id": booking_id}
    if "hold_id" in type(event).model_fields:
        changes["hold_id"] = hold_id_of(booking_id)
    if "payment_id" in type(event).model_fields:
        changes["payment_id"] = payment_id_of(booking_id)
    return event.model_copy(update=changes)
