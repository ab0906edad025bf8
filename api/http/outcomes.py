"""Answers to requests about one booking that sagas carry out: waited for, as long as the client wants to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from api.http.positions import token_of
from api.http.requests import ApiRequest
from api.http.sending import etag
from commands.ports import Answer, RecordedEvent
from domain.booking.state import BOOKING, BookingState


async def settled(
    request: ApiRequest, booking_id: UUID, wait: int | None, is_settled: Callable[[BookingState], bool]
) -> Sequence[RecordedEvent]:
    """The booking's stream as soon as ``is_settled``, or after ``wait`` seconds as it is."""
    log = request.platform.logs["bookings"]
    if not wait:
        return await log.read_stream(booking_id)
    async with request.bookings_watch.on(booking_id) as changed:
        deadline = asyncio.get_running_loop().time() + wait
        while True:
            changed.clear()
            events = await log.read_stream(booking_id)
            if is_settled(BOOKING.fold(recorded.event for recorded in events)):
                return events
            try:
                async with asyncio.timeout_at(deadline):
                    await changed.wait()
            except TimeoutError:
                return await log.read_stream(booking_id)  # the watch may have missed what happened


def answer_headers(answer: Answer, view: dict[str, Any], wait: int | None) -> dict[str, str]:
    """The position of what was asked, the version that is shown, and whether was waited."""
    applied = {} if wait is None else {"Preference-Applied": f"wait={wait}"}
    return token_of(answer) | etag(view["version"]) | applied
