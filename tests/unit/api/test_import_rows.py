"""Rows of the data set: what cannot be read is told with its line, and is no end of the import."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import typer

from api.cli.times import moment
from api.imports.rows import BrokenRow, read_rows

_FIELDS = {
    "hotel": "City Hotel",
    "is_canceled": "0",
    "lead_time": "10",
    "arrival_date_year": "2016",
    "arrival_date_month": "July",
    "arrival_date_day_of_month": "1",
    "stays_in_weekend_nights": "0",
    "stays_in_week_nights": "2",
    "adults": "2",
    "children": "0",
    "babies": "0",
    "reserved_room_type": "A",
    "deposit_type": "No Deposit",
    "adr": "80.5",
    "reservation_status": "Check-Out",
    "reservation_status_date": "2016-07-03",
}


@pytest.mark.parametrize(
    "odd",
    [
        {"lead_time": "999999999"},
        {"children": "inf"},
        {"adr": "1e999999"},
        {"adults": "x"},
        {"hotel": "x" * (csv.field_size_limit() + 1)},
    ],
)
def test_a_row_that_cannot_be_read_is_told_and_the_next_one_is_read(tmp_path: Path, odd: dict[str, str]) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _FIELDS)
        writer.writeheader()
        writer.writerows([_FIELDS | odd, _FIELDS])
    first, second = read_rows(path)
    assert isinstance(first, BrokenRow)
    assert first.line == 2
    assert not isinstance(second, BrokenRow), second


def test_a_time_before_any_calendar_is_a_wrong_option() -> None:
    with pytest.raises(typer.BadParameter):
        moment("999999w")
