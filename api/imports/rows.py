"""Rows of the "Hotel booking demand datasets" (Antonio, de Almeida and Nunes, Data in Brief 22, 2019), as bookings.

A row is one room of one of two hotels in Portugal. It was booked at arrival minus lead time, for ``adr`` a night; a row
with ``is_canceled`` = 1 was cancelled on its ``reservation_status_date`` (or the guest did not come on that day).
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel, ConfigDict

from domain.shared.stay import MAX_NIGHTS

CURRENCY = "EUR"
_MONTHS = tuple(dt.date(2000, month, 1).strftime("%B") for month in range(1, 13))
_NOON = dt.time(12, tzinfo=dt.UTC)


class ImportedBooking(BaseModel):
    """One row. ``line`` is its line in the file (the header is line 1); ``nightly_minor`` is in cents of EUR."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: int
    hotel: str
    room_type: str
    check_in: dt.date
    check_out: dt.date
    adults: int
    children: int
    nightly_minor: int
    non_refundable: bool
    booked_at: dt.datetime
    cancelled_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that is no booking, and why."""

    line: int
    reason: str


class NotTheDataset(Exception):
    """The file cannot be read as the dataset; the text says why."""


def read_rows(path: Path) -> Iterator[ImportedBooking | BrokenRow]:
    """All rows in the order of the file (CSV, or a ZIP that holds one). Raises NotTheDataset."""
    with _opened(path) as file:
        reader = csv.DictReader(file)
        missing = {"hotel", "is_canceled", "lead_time", "adr", "reserved_room_type"} - set(reader.fieldnames or ())
        if missing:
            raise NotTheDataset(f"{path}: no column {', '.join(sorted(missing))}")
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BrokenRow(reader.reader.line_num, f"unreadable: {error}")
                continue
            try:
                yield _booking(reader.line_num, row)
            except _BrokenError as broken:
                yield BrokenRow(reader.line_num, str(broken))
            except (KeyError, ValueError, TypeError, ArithmeticError) as error:
                yield BrokenRow(reader.line_num, f"unreadable: {error}")


def allotments(rows: Iterable[ImportedBooking]) -> Mapping[tuple[str, str], int]:
    """How many rooms of each (hotel, room type) it takes to have room for all rows, the cancelled ones included."""
    taken: defaultdict[tuple[str, str], Counter[dt.date]] = defaultdict(Counter)
    for row in rows:
        nights = taken[row.hotel, row.room_type]
        for day in range((row.check_out - row.check_in).days):
            nights[row.check_in + dt.timedelta(days=day)] += 1
    return {key: max(nights.values()) for key, nights in taken.items()}


class _BrokenError(Exception):
    pass


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        if path.suffix != ".zip":
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield file
            return
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".csv") and not name.startswith("__MACOSX")]
            if len(names) != 1:
                raise NotTheDataset(f"{path}: holds {len(names)} CSV files, not one")
            with archive.open(names[0]) as raw:
                yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise NotTheDataset(f"{path}: {error}") from error


def _booking(line: int, row: Mapping[str, str]) -> ImportedBooking:
    adults = int(row["adults"])
    children = sum(int(float(row[name])) for name in ("children", "babies") if row[name] not in {"", "NA", "NULL"})
    nights = int(row["stays_in_weekend_nights"]) + int(row["stays_in_week_nights"])
    rate = Decimal(row["adr"])
    if adults + children <= 0:
        raise _BrokenError("no guests")
    if not 1 <= nights <= MAX_NIGHTS:
        raise _BrokenError("zero nights" if nights == 0 else f"{nights} nights")
    if rate < 0:
        raise _BrokenError(f"negative adr {rate}")
    check_in = dt.date(
        int(row["arrival_date_year"]),
        _MONTHS.index(row["arrival_date_month"]) + 1,
        int(row["arrival_date_day_of_month"]),
    )
    booked_at = dt.datetime.combine(check_in - dt.timedelta(days=int(row["lead_time"])), _NOON)
    ended_at = dt.datetime.combine(dt.date.fromisoformat(row["reservation_status_date"]), _NOON)
    return ImportedBooking(
        line=line,
        hotel=row["hotel"],
        room_type=row["reserved_room_type"].strip(),
        check_in=check_in,
        check_out=check_in + dt.timedelta(days=nights),
        adults=adults,
        children=children,
        nightly_minor=int((rate * 100).to_integral_value()),
        non_refundable=row["deposit_type"].strip() == "Non Refund",
        booked_at=booked_at,
        # A status date before the booking would be an error of the file; nothing is cancelled before it was booked.
        cancelled_at=max(ended_at, booked_at) if row["is_canceled"] == "1" else None,
    )
