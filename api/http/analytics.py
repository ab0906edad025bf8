"""Reports for analysts."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, Router, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.http.requests import ApiRequest
from api.http.security import BEARER, access
from commands.ports import CommandEnvelope
from domain.shared.errors import InvalidCommand, NotFound
from projections.reports import REPORTS, ColumnKind, Granularity, ReportName, Rows, RunReport

Format = Literal["json", "csv", "parquet"]


@get("/{report:str}")
async def run_report(
    request: ApiRequest,
    report: FromPath[str],
    first: Annotated[dt.date, QueryParameter(name="from")],
    last: Annotated[dt.date, QueryParameter(name="to")],
    hotel_id: FromQuery[UUID | None] = None,
    granularity: FromQuery[Granularity | None] = None,
    form: Annotated[Format, QueryParameter(name="format")] = "json",
) -> Response[Any]:
    """Run ``monthly`` or ``occupancy`` from a date to before another, of one hotel or of all; money in minor units.

    ``occupancy`` is by day unless ``granularity`` says otherwise. As ``csv`` and ``parquet`` the answer is a file.
    """
    name = _known(report)
    if first >= last:
        raise InvalidCommand("from must be before to", errors=(("to", "must be after from"),))
    hotels = (hotel_id,) if hotel_id else ()
    command = RunReport(report=name, first=first, last=last, hotels=hotels, granularity=granularity)
    answer = await request.platform.bus.send(CommandEnvelope(request.platform.new_id(), command, request.metadata()))
    rows = answer.body["rows"]
    if form == "json":
        return Response({"items": rows, "next_cursor": None})
    write: Callable[[Mapping[str, ColumnKind], Rows], bytes] = request.platform.parquet if form == "parquet" else _csv
    return Response(
        write(REPORTS[name].columns, rows),
        media_type=_MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{name}_{first}_{last}.{form}"'},
    )


def _known(report: str) -> ReportName:
    for name in REPORTS:
        if name == report:
            return name
    raise NotFound(f"no report {report!r}; there are {', '.join(REPORTS)}")


def _csv(columns: Mapping[str, ColumnKind], rows: Rows) -> bytes:
    """RFC 4180, with the names of the columns first."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(columns))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


_MEDIA_TYPES: Mapping[Format, str] = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}

analytics_router = Router(
    path="/v1/analytics",
    guards=access("analyst", "operator", "admin"),
    security=BEARER,
    tags=["analytics"],
    route_handlers=[run_report],
)
