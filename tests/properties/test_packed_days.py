"""Packing days into strings loses nothing, however the days lie."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.stores.packed_days import HIGHEST, LOWEST, WIDTH, pack, runs, slices, unpack

DAYS = st.dates(dt.date(1999, 12, 1), dt.date(2030, 1, 31))
VALUES = st.integers(LOWEST, HIGHEST)


def stored(cells: dict[dt.date, int]) -> dict[int, bytes]:
    """One string per year, written as Redis's SETRANGE does: gaps are zeros."""
    years: defaultdict[int, bytes] = defaultdict(bytes)
    for run in runs(cells):
        end = run.offset + len(run.data)
        text = years[run.year].ljust(end, b"\0")
        years[run.year] = text[: run.offset] + run.data + text[end:]
    return years


def read(years: dict[int, bytes], first: dt.date, days: int) -> list[int | None]:
    """As GETRANGE does: what is beyond the end is missing."""
    values: list[int | None] = []
    for part in slices(first, days):
        values += unpack(years.get(part.year, b"")[part.offset : part.last + 1], part.days)
    return values


@given(st.lists(VALUES))
@example([LOWEST, -1, 0, 1, HIGHEST])
def test_values_come_back(values: list[int]) -> None:
    assert unpack(pack(values), len(values)) == values
    assert len(pack(values)) == len(values) * WIDTH


@given(st.dictionaries(DAYS, VALUES, max_size=60), DAYS, st.integers(0, 800))
@example({dt.date(2024, 12, 31): 5, dt.date(2025, 1, 1): 6}, dt.date(2024, 12, 30), 4)
@example({dt.date(2024, 2, 29): 0}, dt.date(2024, 2, 28), 3)
def test_any_range_reads_exactly_what_was_written_on_its_days(
    cells: dict[dt.date, int], first: dt.date, days: int
) -> None:
    expected = [cells.get(first + dt.timedelta(days=day)) for day in range(days)]
    assert read(stored(cells), first, days) == expected


@given(st.dictionaries(DAYS, VALUES, max_size=60))
def test_consecutive_days_of_a_year_are_one_run(cells: dict[dt.date, int]) -> None:
    found = list(runs(cells))
    assert sum(len(run.data) for run in found) == len(cells) * WIDTH
    for one, following in pairwise(found):
        assert (one.year, one.offset + len(one.data)) < (following.year, following.offset)


@given(DAYS, st.integers(1, 800))
def test_slices_cover_the_range_once_one_per_year(first: dt.date, days: int) -> None:
    found = slices(first, days)
    assert sum(part.days for part in found) == days
    last = first + dt.timedelta(days=days - 1)
    assert [part.year for part in found] == list(range(first.year, last.year + 1))


@pytest.mark.parametrize("value", [LOWEST - 1, HIGHEST + 1])
def test_a_value_beyond_32_bits_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=f"^{value} does not fit"):
        pack([0, value])
