"""Facts for analysts: one row per booking event, one per room-night.

``booking_events``: everything that happened to bookings. ``room_nights``: one row per booking, room and night, with
whether it is sold now: ``status`` is ``confirmed`` or ``cancelled`` (with the booking, or given up by a modification);
nights that a guest has not used stay sold. Money is in minor units. Revenue of a night is what the guest agreed to pay
for it. ``booking_events.charge_minor`` is what a cancellation kept, or a modification cost more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from commands.ports import RecordedEvent
from domain.booking.events import (
    BookingCancelled,
    BookingConfirmed,
    BookingDetails,
    BookingModified,
    BookingRejected,
    BookingRequested,
    GuestCheckedIn,
    GuestCheckedOut,
    ModificationRejected,
    NoShowRecorded,
)
from projections.ports import FactTable
from projections.projection import FactProjection

BOOKING_EVENTS = FactTable(
    "booking_events",
    (
        ("event_id", "UUID"),
        ("type", "LowCardinality(String)"),
        ("at", "DateTime64(3, 'UTC')"),
        ("booking_id", "UUID"),
        ("hotel_id", "UUID"),
        ("room_type_id", "UUID"),
        ("rate_plan_id", "UUID"),
        ("check_in", "Date32"),
        ("check_out", "Date32"),
        ("nights", "UInt16"),
        ("rooms", "UInt16"),
        ("adults", "UInt16"),
        ("children", "UInt16"),
        ("total_minor", "Int64"),
        ("charge_minor", "Int64"),
        ("refund_minor", "Int64"),
        ("currency", "LowCardinality(String)"),
        ("reason", "LowCardinality(String)"),
        ("version", "UInt64"),
    ),
    ("hotel_id", "booking_id", "event_id"),
    "version",
)
ROOM_NIGHTS = FactTable(
    "room_nights",
    (
        ("hotel_id", "UUID"),
        ("night", "Date32"),
        ("booking_id", "UUID"),
        ("room", "UInt16"),
        ("room_type_id", "UUID"),
        ("rate_plan_id", "UUID"),
        ("amount_minor", "Int64"),
        ("currency", "LowCardinality(String)"),
        ("status", "LowCardinality(String)"),
        ("version", "UInt64"),
    ),
    ("hotel_id", "night", "booking_id", "room"),
    "version",
)
_STATUS: dict[type[Any], str] = {
    BookingConfirmed: "confirmed",
    BookingModified: "confirmed",
    BookingCancelled: "cancelled",
}


class BookingFacts(FactProjection):
    """A pure function of each event: ReplacingMergeTree keeps the newest row of a key."""

    name = "booking_facts"
    version = 2
    service = "analytics"
    takes = (
        BookingRequested,
        BookingConfirmed,
        BookingRejected,
        BookingCancelled,
        BookingModified,
        ModificationRejected,
        GuestCheckedIn,
        GuestCheckedOut,
        NoShowRecorded,
    )
    tables = (BOOKING_EVENTS, ROOM_NIGHTS)

    def rows(self, recorded: RecordedEvent) -> Iterable[tuple[FactTable, Sequence[Any]]]:
        """See FactProjection."""
        event: Any = recorded.event
        yield BOOKING_EVENTS, _event_row(recorded, event)
        status = _STATUS.get(type(event))
        if status is None:
            return
        kept = _room_nights(event, status, recorded.version)
        if isinstance(event, BookingModified):
            for key, row in _room_nights(event.before, "cancelled", recorded.version).items():
                if key not in kept:
                    yield ROOM_NIGHTS, row
        for row in kept.values():
            yield ROOM_NIGHTS, row


def _room_nights(details: BookingDetails, status: str, version: int) -> dict[tuple[dt.date, int], Sequence[Any]]:
    """The rows of a booking's room-nights, by what tells them apart."""
    return {
        (night.date, room): (
            details.hotel_id,
            night.date,
            details.booking_id,
            room,
            details.room_type_id,
            details.rate_plan_id,
            night.amount_minor,
            details.total.currency,
            status,
            version,
        )
        for night in details.nightly
        for room in range(details.rooms)
    }


def _event_row(recorded: RecordedEvent, event: Any) -> Sequence[Any]:
    settled = event if isinstance(event, BookingCancelled | BookingModified) else None
    return (
        recorded.event_id,
        event.topic.rpartition(".")[2],
        recorded.metadata.at,
        event.booking_id,
        event.hotel_id,
        event.room_type_id,
        event.rate_plan_id,
        event.stay.check_in,
        event.stay.check_out,
        len(event.stay.nights),
        event.rooms,
        event.adults,
        event.children,
        event.total.minor,
        settled.charge.minor if settled else 0,
        settled.refund.minor if settled else 0,
        event.total.currency,
        getattr(event, "reason", None) or "",
        recorded.version,
    )
