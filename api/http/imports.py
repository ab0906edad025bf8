"""Bringing in the demo and imported bookings, as operators do with the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import orjson
from litestar import Response, Router, post
from litestar.params import JSONBody
from litestar.response import Stream
from pydantic import Field

from api.demo.accounts import account_id
from api.demo.seed import Demo
from api.http.on_record import on_record
from api.http.requests import ApiRequest
from api.http.schemas import Body, Line
from api.http.security import BEARER, STAFF, access
from api.imports.importer import BookingImporter
from api.imports.rows import ImportedBooking

Json = Response[dict[str, Any]]
LARGEST_BATCH = 500
LARGEST_BODY = 1_000_000
"""Bytes: a batch of bookings is larger than what guests send."""
_NAMED = 10
"""How many hotels the record names."""


class ImportedHotels(Body):
    """Hotels to open, as rows of hotel, room type and number of rooms; ``owner_id`` None: the demo hotelier."""

    allotments: Annotated[tuple[tuple[Line, Line, Annotated[int, Field(ge=1, le=10_000)]], ...], Field(max_length=500)]
    owner_id: UUID | None = None


class ImportedBookings(Body):
    """Bookings to make, and to cancel where they were cancelled."""

    bookings: Annotated[tuple[ImportedBooking, ...], Field(min_length=1, max_length=LARGEST_BATCH)]


@post("/demo", status_code=200)
async def seed_demo(request: ApiRequest) -> Stream:
    """Seed the demo hotels and accounts; answers lines of JSON ``{done, total}`` as it goes on."""
    demo = Demo(request.platform)

    async def progress() -> AsyncIterator[bytes]:
        async with on_record(request, "demo.seed", "demo accounts and hotels", "") as record:
            async for done in demo.seed():
                record.outcome = {"hotels": done}
                yield orjson.dumps({"done": done, "total": demo.total}) + b"\n"

    return Stream(progress(), media_type="application/x-ndjson")


@post("/imports/hotels", status_code=200)
async def import_hotels(request: ApiRequest, data: JSONBody[ImportedHotels]) -> Json:
    """Open imported hotels and their room types; repeating it changes nothing."""
    rooms = {(hotel, room_type): count for hotel, room_type, count in data.allotments}
    hotels = sorted({hotel for hotel, _ in rooms})
    async with on_record(request, "imports.hotels", ", ".join(hotels[:_NAMED]), "") as record:
        await _importer(request).open_hotels(rooms, data.owner_id or account_id("hotelier"))
        record.outcome = {"hotels": len(hotels), "room_types": len(rooms)}
    return Response({"room_types": len(rooms)})


@post("/imports/bookings", status_code=200, request_max_body_size=LARGEST_BODY)
async def import_bookings(request: ApiRequest, data: JSONBody[ImportedBookings]) -> Json:
    """Book, wait for each outcome, cancel what was cancelled; a row that was imported before is not booked again."""
    async with on_record(request, "imports.bookings", f"{len(data.bookings)} bookings", "") as record:
        outcomes = await _importer(request).book(data.bookings)
        record.outcome = dict(outcomes)
    return Response({"outcomes": dict(outcomes)})


def _importer(request: ApiRequest) -> BookingImporter:
    platform = request.platform
    return BookingImporter(platform.bus, platform.logs["bookings"], platform.streams["bookings"])


imports_router = Router(
    path="/v1/ops",
    guards=access(*STAFF),
    security=BEARER,
    tags=["Operations"],
    route_handlers=[seed_demo, import_hotels, import_bookings],
)
