"""Notifications: what guests are told about their bookings, one document per event that they are told of.

Shape: ``{notice_id, account_id, booking_id, hotel_id, kind, check_in, check_out, total, refund, charge, reason,
at}``; ``total``, ``refund`` and ``charge`` (None: nothing) are amounts with their currency. It names nobody. Imported
bookings have none.
"""

from __future__ import annotations

from collections.abc import Iterable

from commands.notices import TOLD, notice_of
from commands.ports import RecordedEvent
from domain.booking.events import BookingDetails
from projections.booking_pages import instant
from projections.ports import Document
from projections.projection import DocumentProjection


class Notices(DocumentProjection):
    """Keyed by the event's id."""

    name = "notices"
    version = 2
    service = "notifications"
    takes = tuple(TOLD)

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Each event is one document."""
        return () if recorded.metadata.historic else (str(recorded.event_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See Projection."""
        event = recorded.event
        if not isinstance(event, BookingDetails):
            return document
        notice = notice_of(event, "")
        return {
            "notice_id": str(recorded.event_id),
            "account_id": str(event.account_id),
            "booking_id": str(event.booking_id),
            "hotel_id": str(event.hotel_id),
            "kind": notice.kind,
            "check_in": notice.check_in.isoformat(),
            "check_out": notice.check_out.isoformat(),
            "total": notice.total,
            "refund": notice.refund,
            "charge": notice.charge,
            "reason": notice.reason,
            "at": instant(recorded.metadata.at),
        }
