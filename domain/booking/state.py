"""A booking as its decisions, and those who look at one booking, need it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.booking.events import (
    BookingAwaitingPayment,
    BookingCancelled,
    BookingConfirmed,
    BookingDetails,
    BookingModified,
    BookingRejected,
    BookingRequested,
    CancellationRequested,
    GuestCheckedIn,
    GuestCheckedOut,
    ModificationAwaitingPayment,
    ModificationRejected,
    ModificationRequested,
    NoShowRecorded,
    Paid,
    RejectionReason,
)
from domain.booking.identity import hold_id_of
from domain.booking.paid import Ledger, given_back, taken, to_give_back
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Event
from domain.shared.money import Money

BookingStatus = Literal[
    "pending", "awaiting_payment", "confirmed", "rejected", "cancelled", "checked_in", "checked_out", "no_show"
]
STANDING: frozenset[BookingStatus] = frozenset({"confirmed", "checked_in", "checked_out", "no_show"})
"""A booking that was confirmed and not cancelled: the rooms are sold to it, and what it paid is kept."""
WAS_CONFIRMED: frozenset[BookingStatus] = STANDING | {"cancelled"}
PAST_CANCELLING: frozenset[BookingStatus] = WAS_CONFIRMED - {"confirmed"}
"""No cancellation can give money back any more."""
OUTCOMES: frozenset[BookingStatus] = WAS_CONFIRMED | {"rejected"}
"""What the sagas bring about, and what follows from it."""
STATUS_AFTER: Mapping[type[Event], BookingStatus] = {
    BookingRequested: "pending",
    BookingAwaitingPayment: "awaiting_payment",
    BookingConfirmed: "confirmed",
    BookingRejected: "rejected",
    BookingCancelled: "cancelled",
    BookingModified: "confirmed",
    ModificationRejected: "confirmed",
    GuestCheckedIn: "checked_in",
    GuestCheckedOut: "checked_out",
    NoShowRecorded: "no_show",
}
"""The status that an event leads to; all others leave it as it is."""
ALL_EVENTS: tuple[type[Event], ...] = (
    *STATUS_AFTER,
    CancellationRequested,
    ModificationRequested,
    ModificationAwaitingPayment,
)
"""All that can happen to a booking."""


class Settlement(BaseModel):
    """What a cancellation keeps and gives back, and the guest's reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    charge: Money
    refund: Money
    reason: str


ModificationOutcome = Literal["pending", "awaiting_payment", "modified", "rejected"]


class Modification(BaseModel):
    """The last modification that was asked for; ``reason`` is why it was rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: ModificationRequested
    outcome: ModificationOutcome = "pending"
    reason: RejectionReason | None = None


class BookingState(BaseModel):
    """``version`` counts the stream's events; ``status`` and ``details`` are None until the booking is requested.

    A booking whose cancellation is under way is still ``confirmed``, and has a ``settlement``; so is one that is being
    modified, whose ``modification`` is pending or waits for a payment; how earlier ones ended is remembered, so that a
    repeated command is recognised. ``hold_id`` is the hold that its rooms are sold by, and ``paid`` what each payment
    keeps, but for goodwill.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 0
    status: BookingStatus | None = None
    details: BookingDetails | None = None
    payment_provider: str = ""
    rejection: RejectionReason | None = None
    settlement: Settlement | None = None
    hold_id: UUID | None = None
    paid: Ledger = ()
    modification: Modification | None = None
    ended_modifications: dict[UUID, ModificationOutcome] = {}

    @property
    def is_modifying(self) -> bool:
        """Whether a modification is under way."""
        return self.modification is not None and self.modification.outcome not in {"modified", "rejected"}


def evolve(state: BookingState, event: Event) -> BookingState:
    """The state after ``event``."""
    changes: dict[str, Any] = {"version": state.version + 1, "status": STATUS_AFTER.get(type(event), state.status)}
    match event:
        case BookingRequested():
            changes["details"] = BookingDetails(**details_of(event))
            changes["payment_provider"] = event.payment_provider
        case BookingConfirmed():
            changes["hold_id"] = hold_id_of(event.booking_id)
            changes["paid"] = taken((), Paid(payment_id=event.payment_id, amount=event.due_now))
        case BookingRejected():
            changes["rejection"] = event.reason
        case BookingCancelled():
            changes["paid"] = given_back(state.paid, to_give_back(state.paid, event.refund))
        case CancellationRequested():
            changes["settlement"] = Settlement(charge=event.charge, refund=event.refund, reason=event.reason)
        case ModificationRequested() | ModificationAwaitingPayment() | BookingModified() | ModificationRejected():
            changes |= _modified(state, event)
    return state.model_copy(update=changes)


def _modified(state: BookingState, event: Event) -> dict[str, Any]:
    match event:
        case ModificationRequested():
            return {"modification": Modification(asked=event)}
        case ModificationAwaitingPayment():
            return {"modification": _outcome(state, "awaiting_payment")}
        case BookingModified():
            return {
                "details": BookingDetails(**details_of(event)),
                "hold_id": event.modification_id,
                "paid": event.paid,
                "modification": _outcome(state, "modified"),
                "ended_modifications": {**state.ended_modifications, event.modification_id: "modified"},
            }
        case ModificationRejected():
            return {
                "modification": _outcome(state, "rejected", event.reason),
                "ended_modifications": {**state.ended_modifications, event.modification_id: "rejected"},
            }
    return {}


def _outcome(
    state: BookingState, outcome: ModificationOutcome, reason: RejectionReason | None = None
) -> Modification | None:
    """None if none was asked for, as nothing but a forged log can have it."""
    if state.modification is None:
        return None
    return state.modification.model_copy(update={"outcome": outcome, "reason": reason})


def details_of(details: BookingDetails) -> dict[str, Any]:
    """The fields that all events with the whole booking share."""
    return {name: getattr(details, name) for name in BookingDetails.model_fields}


BOOKING = Aggregate(name="booking", context="bookings", initial=BookingState(), evolve=evolve, snapshot_version=2)
