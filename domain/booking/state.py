"""A booking as its decisions, and those who look at one booking, need it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from domain.booking.events import (
    BookingAwaitingPayment,
    BookingCancelled,
    BookingConfirmed,
    BookingDetails,
    BookingRejected,
    BookingRequested,
    CancellationRequested,
    GuestCheckedIn,
    GuestCheckedOut,
    NoShowRecorded,
    RejectionReason,
)
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
    GuestCheckedIn: "checked_in",
    GuestCheckedOut: "checked_out",
    NoShowRecorded: "no_show",
}
"""The status that an event leads to; all others leave it as it is."""


class Settlement(BaseModel):
    """What a cancellation keeps and gives back, and the guest's reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    charge: Money
    refund: Money
    reason: str


class BookingState(BaseModel):
    """``version`` counts the stream's events; ``status`` and ``details`` are None until the booking is requested.

    A booking whose cancellation is under way is still ``confirmed``, and has a ``settlement``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 0
    status: BookingStatus | None = None
    details: BookingDetails | None = None
    payment_provider: str = ""
    rejection: RejectionReason | None = None
    settlement: Settlement | None = None


def evolve(state: BookingState, event: Event) -> BookingState:
    """The state after ``event``."""
    changes: dict[str, Any] = {"version": state.version + 1, "status": STATUS_AFTER.get(type(event), state.status)}
    match event:
        case BookingRequested():
            changes["details"] = BookingDetails(**details_of(event))
            changes["payment_provider"] = event.payment_provider
        case BookingRejected():
            changes["rejection"] = event.reason
        case CancellationRequested():
            changes["settlement"] = Settlement(charge=event.charge, refund=event.refund, reason=event.reason)
    return state.model_copy(update=changes)


def details_of(details: BookingDetails) -> dict[str, Any]:
    """The fields that all events with the whole booking share."""
    return {name: getattr(details, name) for name in BookingDetails.model_fields}


BOOKING = Aggregate(name="booking", context="bookings", initial=BookingState(), evolve=evolve)
