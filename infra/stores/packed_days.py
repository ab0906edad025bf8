"""Values per day in packed strings: one string per calendar year, four bytes per day, so that a stay is one slice.

A value ``v`` is stored as the unsigned big-endian number ``v + 2**31``. So bytes that were never written (Redis fills
gaps with zeros) read as the one number that no value has: unknown.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

WIDTH = 4
_BIAS = 2**31
LOWEST = 1 - _BIAS
HIGHEST = _BIAS - 1


class Slice(NamedTuple):
    """``days`` days of ``year``, from byte ``offset`` of the year's string."""

    year: int
    offset: int
    days: int

    @property
    def last(self) -> int:
        """The last byte, inclusive."""
        return self.offset + self.days * WIDTH - 1


class Run(NamedTuple):
    """Packed values of consecutive days: ``data`` belongs at byte ``offset`` of the string of ``year``."""

    year: int
    offset: int
    data: bytes


def pack(values: Sequence[int]) -> bytes:
    """Raises ValueError for a value beyond ``LOWEST`` to ``HIGHEST``."""
    if values and not LOWEST <= min(values) <= max(values) <= HIGHEST:
        value = next(value for value in values if not LOWEST <= value <= HIGHEST)
        raise ValueError(f"{value} does not fit into a calendar: values are between {LOWEST} and {HIGHEST}")
    return struct.pack(f">{len(values)}I", *(value + _BIAS for value in values))


def unpack(data: bytes, days: int) -> list[int | None]:
    """The values of ``days`` days; None for what was never written, also beyond the end of ``data``."""
    stored = struct.unpack(f">{days}I", data.ljust(days * WIDTH, b"\0"))
    return [value - _BIAS if value else None for value in stored]


def slices(first: dt.date, days: int) -> list[Slice]:
    """Where ``days`` days from ``first`` on are: one slice, or one more for each turn of the year."""
    found: list[Slice] = []
    while days > 0:
        begin = _day_of_year(first)
        count = min(days, _day_of_year(dt.date(first.year, 12, 31)) - begin + 1)
        found.append(Slice(first.year, begin * WIDTH, count))
        days -= count
        if days:
            first = dt.date(first.year + 1, 1, 1)
    return found


def runs(cells: Mapping[dt.date, int]) -> Iterator[Run]:
    """Pack ``cells`` into as few runs as possible. Raises ValueError, see ``pack``."""
    for year, of_year in groupby(sorted(cells), key=attrgetter("year")):
        days = list(of_year)
        while days:
            count = _consecutive(days)
            yield Run(year, _day_of_year(days[0]) * WIDTH, pack([cells[day] for day in days[:count]]))
            del days[:count]


def _consecutive(days: Sequence[dt.date]) -> int:
    """How many of the first of ``days``, which are in order, follow each other without a gap."""
    first = days[0].toordinal()
    if days[-1].toordinal() - first == len(days) - 1:
        return len(days)
    return next(count for count, day in enumerate(days) if day.toordinal() - first != count)


def _day_of_year(day: dt.date) -> int:
    return day.timetuple().tm_yday - 1
