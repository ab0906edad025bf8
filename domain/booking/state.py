"""A booking as its decisions, and those who look at one booking, need it."""

from __future__ import annotations

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
    RejectionReason,
)
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Event
from domain.shared.money import Money

BookingStatus = Literal["pending", "awaiting_payment", "confirmed", "rejected", "cancelled"]


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
    return state.model_copy(update={"version": state.version + 1, **_changes(event)})


def _changes(event: Event) -> dict[str, Any]:
    match event:
        case BookingRequested():
            return {
                "status": "pending",
                "details": BookingDetails(**details_of(event)),
                "payment_provider": event.payment_provider,
            }
        case BookingAwaitingPayment():
            return {"status": "awaiting_payment"}
        case BookingConfirmed():
            return {"status": "confirmed"}
        case BookingRejected():
            return {"status": "rejected", "rejection": event.reason}
        case CancellationRequested():
            return {"settlement": Settlement(charge=event.charge, refund=event.refund, reason=event.reason)}
        case BookingCancelled():
            return {"status": "cancelled"}
    return {}


def details_of(details: BookingDetails) -> dict[str, Any]:
    """The fields that all events with the whole booking share."""
    return {name: getattr(details, name) for name in BookingDetails.model_fields}


BOOKING = Aggregate(name="booking", context="bookings", initial=BookingState(), evolve=evolve)
