"""Reports: what analysts ask of the facts, by command, because only one process may own the store.

``monthly``: per hotel and month of arrival ``{hotel_id, month, currency, bookings, cancellations, nights,
revenue_minor, kept_minor}``. ``bookings``, ``nights`` (room-nights) and ``revenue_minor`` count all that ever were
confirmed, cancelled since or not, as they were last modified; ``kept_minor`` is what cancellations were charged.
``occupancy``: per hotel and night ``{hotel_id, night, currency, rooms_sold, revenue_minor, adr_minor}`` of what is sold
now; ``adr_minor`` is the average daily rate, revenue per room sold. By week, month or year ``night`` is the first day
of the period, and ``rooms_sold`` its room-nights.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import UUID

from commands.handling import Dependencies, Handlers
from commands.ports import Answer, CommandEnvelope
from domain.shared.errors import InvalidCommand
from domain.shared.messages import Command
from projections.ports import FactStore

ReportName = Literal["monthly", "occupancy"]
Granularity = Literal["day", "week", "month", "year"]
ColumnKind = Literal["text", "date", "integer"]
Rows = Sequence[Mapping[str, Any]]

_MONTHLY = """
    SELECT toString(hotel_id) AS hotel_id, toString(toStartOfMonth(arrival)) AS month, currency,
        count() AS bookings, sum(cancelled) AS cancellations,
        sum(room_nights) AS nights, sum(agreed_minor) AS revenue_minor, sum(charged_minor) AS kept_minor
    FROM (
        SELECT hotel_id, booking_id, any(currency) AS currency,
            argMaxIf(check_in, version, agrees) AS arrival,
            argMaxIf(nights * rooms, version, agrees) AS room_nights,
            argMaxIf(total_minor, version, agrees) AS agreed_minor,
            countIf(type = 'BookingCancelled') AS cancelled,
            sumIf(charge_minor, type = 'BookingCancelled') AS charged_minor
        FROM (SELECT *, type IN ('BookingConfirmed', 'BookingModified') AS agrees FROM booking_events)
        WHERE empty({hotels:Array(UUID)}) OR has({hotels:Array(UUID)}, hotel_id)
        GROUP BY hotel_id, booking_id HAVING countIf(agrees) > 0
    )
    WHERE arrival >= {from:Date32} AND arrival < {to:Date32}
    GROUP BY hotel_id, month, currency ORDER BY hotel_id, month, currency
    SETTINGS prefer_column_name_to_alias = 1
"""
_OCCUPANCY = """
    SELECT toString(hotel_id) AS hotel_id, toString(PERIOD) AS night, currency,
        count() AS rooms_sold, sum(amount_minor) AS revenue_minor, intDiv(revenue_minor, rooms_sold) AS adr_minor
    FROM room_nights
    WHERE status = 'confirmed' AND night >= {from:Date32} AND night < {to:Date32}
        AND (empty({hotels:Array(UUID)}) OR has({hotels:Array(UUID)}, hotel_id))
    GROUP BY hotel_id, PERIOD, currency ORDER BY hotel_id, PERIOD, currency
    SETTINGS prefer_column_name_to_alias = 1
"""
_PERIODS: Mapping[Granularity, str] = {
    "day": "night",
    "week": "toMonday(night)",
    "month": "toStartOfMonth(night)",
    "year": "toStartOfYear(night)",
}


@dataclass(frozen=True, slots=True)
class Report:
    """``columns`` in their order, with what is in them (dates as ISO 8601); ``sql`` by granularity, the usual first."""

    columns: Mapping[str, ColumnKind]
    sql: Mapping[Granularity, str]

    @property
    def usual(self) -> Granularity:
        """The granularity for those who name none."""
        return next(iter(self.sql))


REPORTS: Mapping[ReportName, Report] = {
    "monthly": Report(
        {
            "hotel_id": "text",
            "month": "date",
            "currency": "text",
            "bookings": "integer",
            "cancellations": "integer",
            "nights": "integer",
            "revenue_minor": "integer",
            "kept_minor": "integer",
        },
        {"month": _MONTHLY},
    ),
    "occupancy": Report(
        {
            "hotel_id": "text",
            "night": "date",
            "currency": "text",
            "rooms_sold": "integer",
            "revenue_minor": "integer",
            "adr_minor": "integer",
        },
        {granularity: _OCCUPANCY.replace("PERIOD", period) for granularity, period in _PERIODS.items()},
    ),
}


class ParquetWriter(Protocol):
    """Makes Apache Parquet of rows."""

    def __call__(self, columns: Mapping[str, ColumnKind], rows: Rows) -> bytes:
        """The file, with one column for each of ``columns``, also if there are no rows."""
        ...


class RunReport(Command, name="analytics.RunReport"):
    """Answers {rows: [...]} of one report: ``first`` inclusive to ``last`` exclusive, ``hotels`` empty: all.

    ``granularity`` None is the usual one of the report.
    """

    report: ReportName
    first: dt.date
    last: dt.date
    hotels: tuple[UUID, ...] = ()
    granularity: Granularity | None = None


def report_handlers(facts: FactStore) -> Handlers:
    """The handlers of the process that owns the facts."""

    async def run_report(dependencies: Dependencies, envelope: CommandEnvelope) -> Answer:
        """Raises InvalidCommand for a granularity that the report does not have."""
        del dependencies
        asked = envelope.command
        if not isinstance(asked, RunReport):
            raise TypeError(f"{asked.name} is no report")
        report = REPORTS[asked.report]
        sql = report.sql.get(asked.granularity or report.usual)
        if sql is None:
            known = ", ".join(report.sql)
            raise InvalidCommand(f"{asked.report} is by {known}", errors=(("granularity", f"must be one of {known}"),))
        rows = await facts.query(sql, {"from": asked.first, "to": asked.last, "hotels": list(asked.hotels)})
        return Answer(context="analytics", body={"rows": [dict(row) for row in rows]})

    return {RunReport: run_report}
