"""Booking pages and lists: one document per booking, as of the last event.

Shape: ``{booking_id, guest_id, account_id, hotel_id, room_type_id, rate_plan_id, status, reason, check_in, check_out,
rooms, adults, children, total: {amount, currency}, charge, refund, payment_id, created_at, updated_at, version}``.
Names and addresses are not in it: they stay with the users service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from commands.ports import RecordedEvent
from domain.booking.events import (
    BookingAwaitingPayment,
    BookingCancelled,
    BookingConfirmed,
    BookingRejected,
    BookingRequested,
)
from domain.shared.money import Money
from projections.ports import Document
from projections.projection import DocumentProjection


def money(amount: Money) -> Document:
    """Money as the contract shows it."""
    return {"amount": amount.amount, "currency": amount.currency}


class BookingPages(DocumentProjection):
    """Keyed by booking_id."""

    name = "booking_pages"
    version = 1
    service = "bookings"
    takes = (BookingRequested, BookingAwaitingPayment, BookingConfirmed, BookingRejected, BookingCancelled)

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Every booking event names its booking."""
        event: Any = recorded.event
        return (str(event.booking_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See Projection."""
        at = recorded.metadata.at.isoformat()
        page = (document or {}) | {"updated_at": at, "version": recorded.version}
        match recorded.event:
            case BookingRequested() as event:
                return page | _requested(event) | {"created_at": at}
            case BookingAwaitingPayment():
                return page | {"status": "awaiting_payment"}
            case BookingConfirmed():
                return page | {"status": "confirmed"}
            case BookingRejected() as event:
                return page | {"status": "rejected", "reason": event.reason}
            case BookingCancelled() as event:
                return page | {"status": "cancelled", "charge": money(event.charge), "refund": money(event.refund)}
        return page


def _requested(event: BookingRequested) -> Document:
    identifiers = ("booking_id", "guest_id", "account_id", "hotel_id", "room_type_id", "rate_plan_id")
    return {name: str(getattr(event, name)) for name in identifiers} | {
        "status": "pending",
        "reason": None,
        "check_in": event.stay.check_in.isoformat(),
        "check_out": event.stay.check_out.isoformat(),
        "rooms": event.rooms,
        "adults": event.adults,
        "children": event.children,
        "total": money(event.total),
        "charge": None,
        "refund": None,
        "payment_id": None,
    }
