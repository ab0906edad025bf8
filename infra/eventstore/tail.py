"""The newest part of the log, read from PostgreSQL once for all feeds of the process that follow it.

What a reader may take never changes, and nothing comes to lie before it later: so a part without gaps can be kept.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable

import asyncpg

from commands.ports import Position

_CHUNK = 1_000
_KEPT = 4_000
_KEPT_BYTES = 16_000_000
"""Of the rows' ``state``. An event about hundreds of nights has 50 kB of it: ``_KEPT`` of them would be 200 MB."""

Fetch = Callable[[Position, int], Awaitable[list[asyncpg.Record]]]


class LogTail:
    """All rows between two positions, of which the second follows the log's head while somebody reads there."""

    def __init__(self, fetch: Fetch) -> None:
        """``fetch(position, limit)`` reads the next rows: they begin with their position and have a ``state``."""
        self._fetch = fetch
        self._start: Position | None = None
        self._places: list[Position] = []
        self._rows: list[asyncpg.Record] = []
        self._bytes = 0
        self._growing = asyncio.Lock()

    def begin_at(self, position: Position) -> None:
        """A reader has found nothing after ``position``: from here on rows are kept, unless that is done already."""
        if self._start is None or self._end < position:
            self._start, self._places, self._rows, self._bytes = position, [], [], 0

    async def after(self, position: Position) -> list[asyncpg.Record] | None:
        """Rows after ``position``, none if it is the head; None if ``position`` is not in this part of the log.

        It may have been in it until just now: rows that are read on, too many or too large to keep, push it out.
        """
        if self._start is None or not self._start <= position <= self._end:
            return None
        if position == self._end:
            async with self._growing:
                if position == self._end:  # else somebody else has read on meanwhile
                    await self._grow()
        if not self._start <= position:
            return None
        return self._rows[bisect_right(self._places, position) :]

    @property
    def _end(self) -> Position:
        return self._places[-1] if self._places else self._start or Position(0, 0)

    async def _grow(self) -> None:
        end = self._end
        rows = await self._fetch(end, _CHUNK)
        if end != self._end:  # begun elsewhere meanwhile
            return
        self._rows += rows
        self._places += [Position(row[0], row[1]) for row in rows]
        self._bytes += sum(len(row["state"]) for row in rows)
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Keep to the bounds, if need be with no row left: then the end of the log is all that is known."""
        surplus = 0
        while len(self._rows) - surplus > _KEPT or self._bytes > _KEPT_BYTES:
            self._bytes -= len(self._rows[surplus]["state"])
            surplus += 1
        if surplus:
            self._start = self._places[surplus - 1]
            del self._rows[:surplus], self._places[:surplus]
