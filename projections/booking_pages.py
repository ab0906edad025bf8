"""Booking pages and lists: one document per booking, as of the last event.

Shape: ``{booking_id, guest_id, account_id, hotel_id, room_type_id, rate_plan_id, status, reason, check_in, check_out,
rooms, adults, children, total: {amount, currency}, due_now, payment_policy, payment_id, charge, refund, created_at,
updated_at, version}``. ``version`` is that of the stream. A cancellation or a modification that is under way is not a
status of its own.
Names and addresses are not in it: they stay with the users service.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from commands.ports import RecordedEvent
from domain.booking.events import BookingCancelled, BookingDetails, BookingRejected
from domain.booking.state import ALL_EVENTS, STATUS_AFTER
from domain.shared.money import Money
from projections.ports import Document
from projections.projection import DocumentProjection

_IDENTIFIERS = {"booking_id", "guest_id", "account_id", "hotel_id", "room_type_id", "rate_plan_id", "payment_id"}
_AS_THEY_ARE = _IDENTIFIERS | {"rooms", "adults", "children", "payment_policy"}


def money(amount: Money) -> Document:
    """Money as the contract shows it."""
    return {"amount": amount.amount, "currency": amount.currency}


def instant(at: dt.datetime) -> str:
    """An instant as the contract shows it, in UTC and always equally long, so that texts sort like the instants."""
    return at.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class BookingPages(DocumentProjection):
    """Keyed by booking_id."""

    name = "booking_pages"
    version = 2
    service = "bookings"
    takes = ALL_EVENTS

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Every booking event names its booking."""
        event: Any = recorded.event
        return (str(event.booking_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See Projection."""
        at = instant(recorded.metadata.at)
        page: Document = {"reason": None, "charge": None, "refund": None, "created_at": at}
        page |= (document or {}) | {"updated_at": at, "version": recorded.version}
        if isinstance(recorded.event, BookingDetails):
            page |= _details(recorded.event)
        status = STATUS_AFTER.get(type(recorded.event))
        if status is not None:
            page |= {"status": status}
        match recorded.event:
            case BookingRejected() as event:
                page |= {"reason": event.reason}
            case BookingCancelled() as event:
                page |= {"charge": money(event.charge), "refund": money(event.refund)}
        return page


def _details(event: BookingDetails) -> Document:
    return event.model_dump(mode="json", include=_AS_THEY_ARE) | {
        "check_in": event.stay.check_in.isoformat(),
        "check_out": event.stay.check_out.isoformat(),
        "total": money(event.total),
        "due_now": money(event.due_now),
    }
