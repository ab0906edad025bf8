"""Reports, computed by the engine from the rows that the projection makes, written twice as after a crash."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from commands.handling import Dependencies
from commands.ports import CommandEnvelope, Metadata, RecordedEvent
from domain.booking.events import (
    BookingCancelled,
    BookingConfirmed,
    BookingModified,
    BookingRejected,
    BookingRequested,
)
from domain.shared.errors import InvalidCommand
from infra.stores.facts import ClickHouseFacts
from projections.booking_facts import BookingFacts
from projections.reports import REPORTS, Granularity, ReportName, RunReport, report_handlers
from projections.writers import FactWriter
from tests.fakes import NOW, FakeClock, FakeIds
from tests.unit.projections.booking_events import HOTEL, as_details, euros, recorded, told
from tests.unit.projections.recording import run_of

OTHER_HOTEL = UUID(int=77)
JULY, AUGUST, SEPTEMBER = dt.date(2015, 7, 1), dt.date(2015, 8, 1), dt.date(2015, 9, 1)


def history() -> list[RecordedEvent]:
    """In July one stay and one cancelled stay of two rooms each, one rejected; in August one at another hotel."""
    kept, cancelled, rejected, august = (UUID(int=number) for number in range(20, 24))
    asked: dict[str, Any] = {"payment_provider": "sandbox", "payment_token": "tok_ok"}
    return [
        recorded(told(BookingRequested, booking_id=kept, **asked), 1),
        recorded(told(BookingConfirmed, booking_id=kept), 2),
        recorded(told(BookingConfirmed, booking_id=cancelled), 2),
        recorded(told(BookingCancelled, booking_id=cancelled, charge=euros(10_000), refund=euros(0), reason="ill"), 4),
        recorded(told(BookingRejected, booking_id=rejected, reason="sold_out"), 2),
        recorded(told(BookingConfirmed, booking_id=august, hotel_id=OTHER_HOTEL, first=AUGUST, rooms=1), 2),
    ]


@pytest.fixture
async def facts(tmp_path: Path, fresh_name: Callable[..., str]) -> AsyncIterator[ClickHouseFacts]:
    store = ClickHouseFacts.embedded(tmp_path / "facts", fresh_name("facts"))
    writer = FactWriter(BookingFacts(), store)
    await writer.filling("booking_facts_1").begin(afresh=True)
    await writer.write("booking_facts_1", run_of(*history()))
    await writer.write("booking_facts_1", run_of(*history()[2:]))
    await store.point("booking_facts", "booking_facts_1")
    yield store
    await store.close()


async def test_a_modified_booking_counts_as_it_is_now(facts: ClickHouseFacts) -> None:
    """Three nights of one room in July become three of two rooms in August."""
    moved = UUID(int=30)
    before = told(BookingConfirmed, booking_id=moved, hotel_id=OTHER_HOTEL, rooms=1)
    after = told(
        BookingModified,
        booking_id=moved,
        hotel_id=OTHER_HOTEL,
        first=AUGUST,
        modification_id=UUID(int=31),
        before=as_details(before),
        charge=euros(33_000),
        refund=euros(0),
        paid=(),
    )
    writer = FactWriter(BookingFacts(), facts)
    for _ in range(2):
        await writer.write("booking_facts_1", run_of(recorded(before, 2), recorded(after, 4)))
    [august] = await report(facts, "monthly", OTHER_HOTEL)
    assert (august["month"], august["bookings"], august["nights"]) == ("2015-08-01", 2, 9)
    assert (august["revenue_minor"], august["kept_minor"]) == (33_000 + 66_000, 0)
    nights = await report(facts, "occupancy", OTHER_HOTEL)
    assert {row["night"]: row["rooms_sold"] for row in nights} == {f"2015-08-0{day}": 3 for day in (1, 2, 3)}


async def report(
    facts: ClickHouseFacts, name: ReportName, *hotels: UUID, granularity: Granularity | None = None
) -> list[dict[str, Any]]:
    command = RunReport(report=name, first=JULY, last=SEPTEMBER, hotels=hotels, granularity=granularity)
    envelope = CommandEnvelope(UUID(int=1), command, Metadata(correlation_id=UUID(int=1), at=NOW))
    dependencies = Dependencies(streams={}, clock=FakeClock(), new_id=FakeIds(), providers={})
    answer = await report_handlers(facts)[RunReport](dependencies, envelope)
    rows: list[dict[str, Any]] = answer.body["rows"]
    return rows


async def test_bookings_per_hotel_and_month_count_each_once(facts: ClickHouseFacts) -> None:
    rows = await report(facts, "monthly")
    assert rows == [
        {
            "hotel_id": str(HOTEL),
            "month": "2015-07-01",
            "currency": "EUR",
            "bookings": 2,
            "cancellations": 1,
            "nights": 12,
            "revenue_minor": 132_000,
            "kept_minor": 10_000,
        },
        {
            "hotel_id": str(OTHER_HOTEL),
            "month": "2015-08-01",
            "currency": "EUR",
            "bookings": 1,
            "cancellations": 0,
            "nights": 3,
            "revenue_minor": 33_000,
            "kept_minor": 0,
        },
    ]
    assert await report(facts, "monthly", OTHER_HOTEL) == rows[1:]


async def test_occupancy_counts_what_is_sold_now(facts: ClickHouseFacts) -> None:
    assert await report(facts, "occupancy", HOTEL) == [
        {
            "hotel_id": str(HOTEL),
            "night": f"2015-07-0{day}",
            "currency": "EUR",
            "rooms_sold": 2,
            "revenue_minor": 2 * price,
            "adr_minor": price,
        }
        for day, price in ((1, 10_000), (2, 11_000), (3, 12_000))
    ]


@pytest.mark.parametrize(
    ("granularity", "first_days"),
    [
        ("week", [("2015-06-29", 6, 66_000), ("2015-07-27", 2, 21_000), ("2015-08-03", 1, 12_000)]),
        ("month", [("2015-07-01", 6, 66_000), ("2015-08-01", 3, 33_000)]),
        ("year", [("2015-01-01", 9, 99_000)]),
    ],
)
async def test_occupancy_of_longer_periods_is_the_sum_of_their_nights(
    facts: ClickHouseFacts, granularity: Granularity, first_days: list[tuple[str, int, int]]
) -> None:
    """1 July 2015 was a Wednesday, 1 August a Saturday."""
    found: dict[str, tuple[int, int]] = {}
    for row in await report(facts, "occupancy", granularity=granularity):
        sold, revenue = found.get(row["night"], (0, 0))
        found[row["night"]] = (sold + row["rooms_sold"], revenue + row["revenue_minor"])
        assert row["adr_minor"] == row["revenue_minor"] // row["rooms_sold"]
    assert [(night, *sums) for night, sums in sorted(found.items())] == first_days


async def test_a_report_has_the_columns_that_it_says_it_has(facts: ClickHouseFacts) -> None:
    for name, known in REPORTS.items():
        for granularity in known.sql:
            for row in await report(facts, name, granularity=granularity):
                assert list(row) == list(known.columns)
                numbers = [column for column, value in row.items() if isinstance(value, int)]
                assert numbers == [column for column, kind in known.columns.items() if kind == "integer"]


async def test_months_are_not_told_by_week(facts: ClickHouseFacts) -> None:
    with pytest.raises(InvalidCommand):
        await report(facts, "monthly", granularity="week")
