"""Wait for what becomes of many bookings at once, by one tail of the bookings log."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from commands.ports import EventStore, Position
from domain.booking.events import BookingCancelled, BookingConfirmed, BookingRejected
from domain.shared.messages import Event

_OUTCOMES: tuple[type[Event], ...] = (BookingConfirmed, BookingRejected, BookingCancelled)
_BATCH = 1_000
_IDLE_SECONDS = 5.0


class BookingOutcomes:
    """Used as a context manager: whatever is decided after it was entered is noticed."""

    def __init__(self, log: EventStore) -> None:
        self._log = log
        self._waiting: dict[UUID, asyncio.Future[Event]] = {}
        self._tail: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._tail = asyncio.create_task(self._follow(await self._log.head()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tail is not None:
            self._tail.cancel()
            await asyncio.gather(self._tail, return_exceptions=True)

    def expect(self, booking_id: UUID) -> asyncio.Future[Event]:
        """The next outcome of a booking: BookingConfirmed, BookingRejected or BookingCancelled."""
        return self._waiting.setdefault(booking_id, asyncio.get_running_loop().create_future())

    def forget(self, booking_id: UUID) -> None:
        """Nobody waits for this booking any more."""
        self._waiting.pop(booking_id, None)

    async def _follow(self, position: Position) -> None:
        topics = frozenset(event.topic for event in _OUTCOMES)
        try:
            while True:
                run = await self._log.read_log(position, _BATCH, topics=topics)
                for recorded in run.events:
                    event: Any = recorded.event
                    waiting = self._waiting.pop(event.booking_id, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(event)
                if run.position == run.prev:
                    await self._log.wait_beyond(position, _IDLE_SECONDS)
                position = run.position
        except Exception as error:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(error)
            raise
