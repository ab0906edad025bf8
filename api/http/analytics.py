"""Reports for analysts, and for hoteliers of their own hotels."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, Router, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.http.owners import hotel_in_charge, hotels_of
from api.http.requests import ApiRequest
from api.http.security import BEARER, access
from commands.accounts import Role
from commands.ports import CommandEnvelope
from domain.shared.errors import InvalidCommand, NotFound
from projections.reports import REPORTS, ColumnKind, Granularity, ReportName, Rows, RunReport

Format = Literal["json", "csv", "parquet"]
_SEE_ALL: frozenset[Role] = frozenset({"analyst", "operator", "admin"})


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

    To hoteliers all hotels are their own ones. ``occupancy`` is by day unless ``granularity`` says otherwise. As
    ``csv`` and ``parquet`` the answer is a file.
    """
    name = _known(report)
    if first >= last:
        raise InvalidCommand("from must be before to", errors=(("to", "must be after from"),))
    hotels = await _hotels(request, hotel_id)
    rows: Rows = []
    if hotels is None or hotels:
        command = RunReport(report=name, first=first, last=last, hotels=hotels or (), granularity=granularity)
        envelope = CommandEnvelope(request.platform.new_id(), command, request.metadata())
        rows = (await request.platform.bus.send(envelope)).body["rows"]
    if form == "json":
        return Response({"items": rows, "next_cursor": None})
    write: Callable[[Mapping[str, ColumnKind], Rows], bytes] = request.platform.parquet if form == "parquet" else _csv
    return Response(
        write(REPORTS[name].columns, rows),
        media_type=_MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{name}_{first}_{last}.{form}"'},
    )


async def _hotels(request: ApiRequest, hotel_id: UUID | None) -> tuple[UUID, ...] | None:
    """The hotels that a report is about; None: all of them. Raises Forbidden for a hotel of somebody else's."""
    if not _SEE_ALL.isdisjoint(request.principal.roles):
        return None if hotel_id is None else (hotel_id,)
    if hotel_id is not None:
        await hotel_in_charge(request, hotel_id)
        return (hotel_id,)
    return tuple(UUID(each) for each in await hotels_of(request, request.principal.account_id))


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
    guards=access("hotelier", "analyst", "operator", "admin"),
    security=BEARER,
    tags=["analytics"],
    route_handlers=[run_report],
)
