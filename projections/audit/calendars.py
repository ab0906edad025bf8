"""Calendars, day by day, against what the log says of them.

A calendar does not tell up to where it was written. So a day may show what the log says at the cut, or anything that
the log says of that day since.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from commands.ports import RecordedEvent
from projections.audit.findings import Findings, Period, Place
from projections.audit.read_models import SAMPLED, Logs, ReadModelAudit, compare_live
from projections.ports import CalendarKind, CalendarStore
from projections.projection import CalendarProjection

_ONE_DAY = dt.timedelta(days=1)
_TOLD = 5
_PROVEN_BY = 20


@dataclass(slots=True)
class Calendar:
    """One calendar as the log makes it: values with the version that told them, and the stream's version at the cut."""

    kind: CalendarKind
    key: str
    context: str
    stream_id: UUID
    version: int = 0
    default: int | None = None
    defaulted: int = 0
    cells: dict[dt.date, tuple[int, int]] = field(default_factory=dict)
    judged: bool = False


class CalendarAudit(ReadModelAudit):
    """Folds a sample of the calendars of one projection, or all of them."""

    def __init__(
        self, projection: CalendarProjection, store: CalendarStore, period: Period, *, full: bool, salt: UUID
    ) -> None:
        super().__init__(projection, period, full=full, salt=salt)
        self._projection = projection
        self._store = store
        self._calendars: dict[str, Calendar] = {}

    @property
    def projection(self) -> CalendarProjection:
        """See ReadModelAudit."""
        return self._projection

    def fold(self, recorded: RecordedEvent) -> None:
        """See ReadModelAudit."""
        for write in self._projection.writes(recorded):
            name = f"{write.kind} {write.key}"
            wanted, leaving = self.sample.meet(name)
            if leaving is not None:
                self._calendars.pop(leaving, None)
            if not wanted:
                continue
            calendar = self._calendars.get(name)
            if calendar is None:
                calendar = Calendar(write.kind, write.key, recorded.context, recorded.stream_id)
                self._calendars[name] = calendar
            calendar.judged = calendar.judged or self.period.has(recorded.metadata.at)
            calendar.version = recorded.version
            if write.default is not None:
                calendar.default, calendar.defaulted = write.default, recorded.version
            calendar.cells |= {day: (value, recorded.version) for day, value in write.cells.items()}

    async def judge(self, logs: Logs) -> None:
        """See ReadModelAudit."""
        judged = [calendar for calendar in self._calendars.values() if calendar.judged]
        chosen = judged if self.full else judged[:SAMPLED]

        async def compare(build: str) -> Findings:
            del build  # readers are answered from the live one
            found = Findings(self.findings.name, self.findings.about)
            for calendar in chosen:
                await self._compare(calendar, logs, found)
            return found

        await compare_live(self, partial(self._store.pointed, self._projection.name), logs, compare)

    async def _compare(self, calendar: Calendar, logs: Logs, found: Findings) -> None:
        days = _days(calendar)
        shown = await self._store.read(
            self._projection.name, calendar.kind, [calendar.key], days[0], (days[-1] - days[0]).days + 1
        )
        values = dict(zip(days, shown[calendar.key], strict=True))
        found.checked += len(days)
        nothing = calendar.default, calendar.defaulted
        wrong = {day for day, value in values.items() if value != calendar.cells.get(day, nothing)[0]}
        if not wrong:
            return
        since = await self._since(calendar, logs)
        different = [day for day in sorted(wrong) if values[day] not in since.get(day, ())]
        if not different:
            return
        expected = {day: calendar.cells.get(day, nothing) for day in different}
        told = [f"{day} shows {values[day]} and should show {expected[day][0]}" for day in different[:_TOLD]]
        more = f" and {len(different) - _TOLD} more days" if len(different) > _TOLD else ""
        versions = sorted({version for _, version in expected.values() if version})[:_PROVEN_BY]
        found.violation(
            f"calendar of {calendar.kind} {calendar.key}: {', '.join(told)}{more}",
            *(Place(calendar.context, calendar.stream_id, version) for version in versions),
        )

    async def _since(self, calendar: Calendar, logs: Logs) -> Mapping[dt.date, Sequence[int]]:
        """What the log has said of each day after the cut."""
        later: dict[dt.date, list[int]] = {}
        source = logs.by_context[calendar.context]
        for recorded in await source.read_stream(calendar.stream_id, after=calendar.version):
            if not isinstance(recorded.event, self._projection.takes):
                continue
            for write in self._projection.writes(recorded):
                if (write.kind, write.key) == (calendar.kind, calendar.key):
                    for day, value in write.cells.items():
                        later.setdefault(day, []).append(value)
        return later


def _days(calendar: Calendar) -> list[dt.date]:
    """From the day before the first that was written to the day after the last."""
    first = min(calendar.cells, default=dt.date(2026, 1, 1)) - _ONE_DAY
    last = max(calendar.cells, default=dt.date(2026, 1, 1)) + _ONE_DAY
    return [first + day * _ONE_DAY for day in range((last - first).days + 1)]
