"""The rows that analysts find of each event of a booking."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Any
from uuid import UUID

import pytest

from domain.booking.events import (
    BookingCancelled,
    BookingConfirmed,
    BookingDetails,
    BookingModified,
    BookingRejected,
    BookingRequested,
    GuestCheckedIn,
    GuestCheckedOut,
    NoShowRecorded,
)
from domain.booking.state import details_of
from projections.booking_facts import BOOKING_EVENTS, ROOM_NIGHTS, BookingFacts
from tests.unit.projections.booking_events import (
    AT,
    BOOKING,
    FIRST,
    HOTEL,
    PLAN,
    ROOM_TYPE,
    as_details,
    euros,
    recorded,
    told,
)

FACTS = BookingFacts()
REQUESTED = told(BookingRequested, payment_provider="sandbox", payment_token="tok_ok")
CONFIRMED = told(BookingConfirmed)
REJECTED = told(BookingRejected, reason="sold_out")
CANCELLED = told(BookingCancelled, charge=euros(20_000), refund=euros(46_000), reason="ill")


def rows(event: BookingDetails, version: int = 1) -> dict[str, list[dict[str, Any]]]:
    """By table, with the names of the columns."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for table, row in FACTS.rows(recorded(event, version)):
        found[table.name].append(dict(zip((name for name, _ in table.columns), row, strict=True)))
    return dict(found)


def test_an_event_is_one_row_with_all_that_was_agreed() -> None:
    assert rows(REQUESTED) == {
        "booking_events": [
            {
                "event_id": recorded(REQUESTED, 1).event_id,
                "type": "BookingRequested",
                "at": AT,
                "booking_id": BOOKING,
                "hotel_id": HOTEL,
                "room_type_id": ROOM_TYPE,
                "rate_plan_id": PLAN,
                "check_in": FIRST,
                "check_out": dt.date(2015, 7, 4),
                "nights": 3,
                "rooms": 2,
                "adults": 3,
                "children": 1,
                "total_minor": 66_000,
                "charge_minor": 0,
                "refund_minor": 0,
                "currency": "EUR",
                "reason": "",
                "version": 1,
            }
        ]
    }


def test_a_rejection_tells_why_and_sells_no_night() -> None:
    found = rows(REJECTED)
    assert list(found) == ["booking_events"]
    assert found["booking_events"][0]["reason"] == "sold_out"


def test_a_cancellation_tells_what_is_kept_and_what_goes_back() -> None:
    (row,) = rows(CANCELLED, 9)["booking_events"]
    assert (row["charge_minor"], row["refund_minor"], row["reason"], row["version"]) == (20_000, 46_000, "ill", 9)


def test_a_confirmation_sells_every_night_of_every_room_at_its_price() -> None:
    sold = rows(CONFIRMED, 2)["room_nights"]
    assert [(row["night"].day, row["room"], row["amount_minor"]) for row in sold] == [
        (1, 0, 10_000),
        (1, 1, 10_000),
        (2, 0, 11_000),
        (2, 1, 11_000),
        (3, 0, 12_000),
        (3, 1, 12_000),
    ]
    assert sum(row["amount_minor"] for row in sold) == CONFIRMED.total.minor
    assert {(row["status"], row["currency"], row["version"], row["booking_id"]) for row in sold} == {
        ("confirmed", "EUR", 2, BOOKING)
    }


def test_a_cancellation_replaces_exactly_the_nights_that_were_sold() -> None:
    def keys(event: BookingDetails, version: int) -> list[tuple[Any, ...]]:
        return [tuple(row[name] for name in ROOM_NIGHTS.key) for row in rows(event, version)["room_nights"]]

    assert keys(CANCELLED, 9) == keys(CONFIRMED, 2)
    assert {(row["status"], row["version"]) for row in rows(CANCELLED, 9)["room_nights"]} == {("cancelled", 9)}


def test_a_modification_replaces_the_nights_that_are_kept_and_cancels_those_that_are_given_up() -> None:
    before = told(BookingConfirmed)
    shorter = told(BookingConfirmed, first=before.stay.nights[1], rooms=1)
    after = BookingModified(
        **details_of(shorter),
        modification_id=UUID(int=20),
        before=as_details(before),
        charge=euros(0),
        refund=euros(33_000),
        paid=(),
    )
    found = rows(after, 9)
    [event] = found["booking_events"]
    assert (event["type"], event["rooms"], event["refund_minor"]) == ("BookingModified", 1, 33_000)
    nights = {(row["night"], row["room"]): (row["status"], row["amount_minor"]) for row in found["room_nights"]}
    first, second, third = before.stay.nights
    assert nights == {
        (first, 0): ("cancelled", 10_000),
        (first, 1): ("cancelled", 10_000),
        (second, 0): ("confirmed", 10_000),
        (second, 1): ("cancelled", 11_000),
        (third, 0): ("confirmed", 11_000),
        (third, 1): ("cancelled", 12_000),
        (third + dt.timedelta(days=1), 0): ("confirmed", 12_000),
    }


def test_the_same_event_makes_the_same_rows_again() -> None:
    assert rows(CANCELLED, 9) == rows(CANCELLED, 9)


@pytest.mark.parametrize("table", [BOOKING_EVENTS, ROOM_NIGHTS], ids=lambda table: table.name)
def test_keys_and_versions_are_columns(table: Any) -> None:
    assert {*table.key, table.version} <= {name for name, _ in table.columns}


def test_it_takes_every_event_that_settles_what_was_booked() -> None:
    assert set(BookingDetails.__subclasses__()) <= set(FACTS.takes)


@pytest.mark.parametrize("kind", [GuestCheckedIn, GuestCheckedOut, NoShowRecorded])
def test_what_happens_at_the_hotel_is_a_row_and_its_nights_stay_sold(kind: type[BookingDetails]) -> None:
    found = rows(told(kind), 3)
    assert [row["type"] for row in found["booking_events"]] == [kind.__name__]
    assert "room_nights" not in found
