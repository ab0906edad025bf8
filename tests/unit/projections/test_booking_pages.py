"""Booking pages: the booking as of its last event."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest

from domain.booking.events import (
    BookingAwaitingPayment,
    BookingCancelled,
    BookingConfirmed,
    BookingRejected,
    BookingRequested,
    CancellationRequested,
    GuestCheckedIn,
    GuestCheckedOut,
    NoShowRecorded,
)
from domain.hotel.events import CancellationTier, NightPrice
from domain.shared.money import Money
from domain.shared.stay import Stay
from projections.booking_pages import BookingPages, instant
from tests.unit.projections.recording import NOON, folded, recorded

BOOKING, PAYMENT, HOTEL, ROOM_TYPE = (UUID(int=number) for number in (10, 11, 12, 13))
DETAILS: dict[str, Any] = {
    "booking_id": BOOKING,
    "guest_id": UUID(int=1),
    "account_id": UUID(int=2),
    "hotel_id": HOTEL,
    "room_type_id": ROOM_TYPE,
    "rate_plan_id": UUID(int=14),
    "stay": Stay(check_in=dt.date(2026, 7, 1), check_out=dt.date(2026, 7, 3)),
    "check_in_at": dt.datetime(2026, 7, 1, 13, tzinfo=dt.UTC),
    "rooms": 2,
    "adults": 3,
    "children": 1,
    "nightly": tuple(NightPrice(date=dt.date(2026, 7, day), amount_minor=5000) for day in (1, 2)),
    "total": Money(minor=20000, currency="EUR"),
    "due_now": Money(minor=6000, currency="EUR"),
    "payment_id": PAYMENT,
    "payment_policy": "deposit",
    "cancellation": (CancellationTier(hours_before=0, percent_charged=100),),
}
REQUESTED = BookingRequested(**DETAILS, payment_provider="sandbox", payment_token="tok_ok")
AWAITING = BookingAwaitingPayment(booking_id=BOOKING, payment_id=PAYMENT)
CONFIRMED = BookingConfirmed(**DETAILS)
SETTLED: dict[str, Any] = {
    "charge": Money(minor=1000, currency="EUR"),
    "refund": Money(minor=5000, currency="EUR"),
    "reason": "ill",
}
CANCELLATION = CancellationRequested(
    booking_id=BOOKING, hotel_id=HOTEL, room_type_id=ROOM_TYPE, payment_id=PAYMENT, **SETTLED
)
CANCELLED = BookingCancelled(**DETAILS, **SETTLED)


def test_a_requested_booking_is_pending_and_shows_everything_but_names() -> None:
    assert folded(BookingPages(), REQUESTED) == {
        "booking_id": str(BOOKING),
        "guest_id": str(UUID(int=1)),
        "account_id": str(UUID(int=2)),
        "hotel_id": str(HOTEL),
        "room_type_id": str(ROOM_TYPE),
        "rate_plan_id": str(UUID(int=14)),
        "payment_id": str(PAYMENT),
        "status": "pending",
        "reason": None,
        "check_in": "2026-07-01",
        "check_out": "2026-07-03",
        "rooms": 2,
        "adults": 3,
        "children": 1,
        "total": {"amount": "200.00", "currency": "EUR"},
        "due_now": {"amount": "60.00", "currency": "EUR"},
        "payment_policy": "deposit",
        "charge": None,
        "refund": None,
        "created_at": "2026-06-01T12:00:00.000000Z",
        "updated_at": "2026-06-01T12:00:00.000000Z",
        "version": 1,
    }


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ((REQUESTED, AWAITING), "awaiting_payment"),
        ((REQUESTED, AWAITING, CONFIRMED), "confirmed"),
        ((REQUESTED, CONFIRMED, CANCELLATION), "confirmed"),
        ((REQUESTED, CONFIRMED, CANCELLATION, CANCELLED), "cancelled"),
        ((REQUESTED, CONFIRMED, GuestCheckedIn(**DETAILS)), "checked_in"),
        ((REQUESTED, CONFIRMED, GuestCheckedIn(**DETAILS), GuestCheckedOut(**DETAILS)), "checked_out"),
        ((REQUESTED, CONFIRMED, NoShowRecorded(**DETAILS)), "no_show"),
    ],
)
def test_the_status_follows_the_events(events: tuple[Any, ...], status: str) -> None:
    page = folded(BookingPages(), *events)
    assert (page["status"], page["version"], page["payment_id"]) == (status, len(events), str(PAYMENT))


def test_a_rejected_booking_says_why() -> None:
    page = folded(BookingPages(), REQUESTED, BookingRejected(**DETAILS, reason="sold_out"))
    assert (page["status"], page["reason"]) == ("rejected", "sold_out")


def test_a_cancelled_booking_says_what_it_cost_only_when_that_is_settled() -> None:
    under_way = folded(BookingPages(), REQUESTED, CONFIRMED, CANCELLATION)
    assert (under_way["charge"], under_way["refund"]) == (None, None)
    page = folded(BookingPages(), REQUESTED, CONFIRMED, CANCELLATION, CANCELLED)
    assert page["charge"] == {"amount": "10.00", "currency": "EUR"}
    assert page["refund"] == {"amount": "50.00", "currency": "EUR"}


def test_it_was_created_once_and_updated_last() -> None:
    later = NOON + dt.timedelta(hours=1)
    page = folded(BookingPages(), REQUESTED, CONFIRMED, at=(NOON, later))
    assert (page["created_at"], page["updated_at"]) == ("2026-06-01T12:00:00.000000Z", "2026-06-01T13:00:00.000000Z")


def test_an_event_changes_no_document_that_is_there() -> None:
    before = folded(BookingPages(), REQUESTED)
    copy = dict(before)
    BookingPages().apply(before, recorded(CONFIRMED, 2))
    assert before == copy


def test_the_key_is_the_booking() -> None:
    assert {key for event in (REQUESTED, AWAITING, CANCELLATION) for key in BookingPages().keys(recorded(event))} == {
        str(BOOKING)
    }


def test_instants_sort_as_texts_and_are_in_utc() -> None:
    first = dt.datetime(2026, 6, 1, 14, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    second = first + dt.timedelta(milliseconds=1)
    assert instant(first) == "2026-06-01T12:00:00.000000Z"
    assert instant(first) < instant(second) < instant(first + dt.timedelta(seconds=1))
