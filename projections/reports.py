"""Reports: what analysts ask of the facts, by command, because only one process may own the store.

``monthly``: per hotel and month of arrival ``{hotel_id, month, currency, bookings, cancellations, nights,
revenue_minor, kept_minor}``. ``bookings``, ``nights`` (room-nights) and ``revenue_minor`` count all that ever were
confirmed, cancelled since or not; ``kept_minor`` is what cancellations were charged.
``occupancy``: per hotel and night ``{hotel_id, night, currency, rooms_sold, revenue_minor, adr_minor}`` of what is sold
now; ``adr_minor`` is the average daily rate, revenue per room sold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from commands.handling import Dependencies, Handlers
from commands.ports import Answer, CommandEnvelope
from domain.shared.messages import Command
from projections.ports import FactStore

ReportName = Literal["monthly", "occupancy"]

_SQL: Mapping[ReportName, str] = {
    "monthly": """
        SELECT toString(hotel_id) AS hotel_id, toString(toStartOfMonth(check_in)) AS month, currency,
            countIf(type = 'BookingConfirmed') AS bookings, countIf(type = 'BookingCancelled') AS cancellations,
            sumIf(nights * rooms, type = 'BookingConfirmed') AS nights,
            sumIf(total_minor, type = 'BookingConfirmed') AS revenue_minor,
            sumIf(charge_minor, type = 'BookingCancelled') AS kept_minor
        FROM booking_events
        WHERE check_in >= {from:Date32} AND check_in < {to:Date32}
            AND (empty({hotels:Array(UUID)}) OR has({hotels:Array(UUID)}, hotel_id))
        GROUP BY hotel_id, month, currency HAVING bookings > 0 ORDER BY hotel_id, month, currency
        SETTINGS prefer_column_name_to_alias = 1
    """,
    "occupancy": """
        SELECT toString(hotel_id) AS hotel_id, toString(night) AS night, currency,
            count() AS rooms_sold, sum(amount_minor) AS revenue_minor, intDiv(revenue_minor, rooms_sold) AS adr_minor
        FROM room_nights
        WHERE status = 'confirmed' AND night >= {from:Date32} AND night < {to:Date32}
            AND (empty({hotels:Array(UUID)}) OR has({hotels:Array(UUID)}, hotel_id))
        GROUP BY hotel_id, night, currency ORDER BY hotel_id, night, currency
        SETTINGS prefer_column_name_to_alias = 1
    """,
}
REPORTS = tuple(_SQL)
"""Names of the reports."""


class RunReport(Command, name="analytics.RunReport"):
    """Answers {rows: [...]} of one report: ``first`` inclusive to ``last`` exclusive, ``hotels`` empty: all."""

    report: ReportName
    first: dt.date
    last: dt.date
    hotels: tuple[UUID, ...] = ()


def report_handlers(facts: FactStore) -> Handlers:
    """The handlers of the process that owns the facts."""

    async def run_report(dependencies: Dependencies, envelope: CommandEnvelope) -> Answer:
        del dependencies
        report = envelope.command
        if not isinstance(report, RunReport):
            raise TypeError(f"{report.name} is no report")
        parameters: dict[str, Any] = {"from": report.first, "to": report.last, "hotels": list(report.hotels)}
        rows = await facts.query(_SQL[report.report], parameters)
        return Answer(context="analytics", body={"rows": [dict(row) for row in rows]})

    return {RunReport: run_report}
