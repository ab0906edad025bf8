"""Reports for analysts."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.http.requests import ApiRequest
from api.http.security import BEARER, access
from commands.ports import CommandEnvelope
from domain.shared.errors import InvalidCommand, NotFound
from projections.reports import REPORTS, RunReport

Json = Response[dict[str, Any]]


@get("/{report:str}")
async def run_report(
    request: ApiRequest,
    report: FromPath[str],
    first: Annotated[dt.date, QueryParameter(name="from")],
    last: Annotated[dt.date, QueryParameter(name="to")],
    hotel_id: FromQuery[UUID | None] = None,
) -> Json:
    """Run ``monthly`` or ``occupancy`` from a date to before another, of one hotel or of all; money in minor units."""
    if report not in REPORTS:
        raise NotFound(f"no report {report!r}; there are {', '.join(REPORTS)}")
    if first >= last:
        raise InvalidCommand("from must be before to", errors=(("to", "must be after from"),))
    hotels = (hotel_id,) if hotel_id else ()
    command = RunReport.model_validate({"report": report, "first": first, "last": last, "hotels": hotels})
    answer = await request.platform.bus.send(CommandEnvelope(request.platform.new_id(), command, request.metadata()))
    return Response({"items": answer.body["rows"], "next_cursor": None})


analytics_router = Router(
    path="/v1/analytics",
    guards=access("analyst", "operator", "admin"),
    security=BEARER,
    tags=["analytics"],
    route_handlers=[run_report],
)
