"""Wake-ups for requests that wait until something happens to a stream: one reader of the log serves them all."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import structlog

from commands.ports import EventStore, Position

_RUN = 1_000
_FALLBACK_SECONDS = 1.0

log = structlog.get_logger(__name__)


class StreamWatch:
    """Watches the streams of one context for whoever waits on them; it reads nothing while nobody does."""

    def __init__(self, events: EventStore, topics: frozenset[str]) -> None:
        """``topics`` are the events that waiters are woken by."""
        self._events = events
        self._topics = topics
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @asynccontextmanager
    async def on(self, stream_id: UUID) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever something was appended to the stream after this was entered."""
        changed = asyncio.Event()
        self._waiting[stream_id].add(changed)
        try:
            await self._ensure_reader()
            yield changed
        finally:
            self._waiting[stream_id].discard(changed)
            if not self._waiting[stream_id]:
                del self._waiting[stream_id]

    async def close(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _ensure_reader(self) -> None:
        async with self._starting:
            if self._reader is None or self._reader.done():
                position = await self._events.head()
                self._reader = asyncio.create_task(self._read(position), name=f"watch {self._events.context}")

    async def _read(self, position: Position) -> None:
        """Wake whoever waits on a stream that something was appended to, as long as anybody waits."""
        try:
            while self._waiting:
                try:
                    position = await self._read_on(position)
                except Exception:
                    log.exception("the watch of a log could not read on, and tries again")
                    self._wake_all()  # to look for themselves, who may be told why
                    await asyncio.sleep(_FALLBACK_SECONDS)
        finally:
            self._wake_all()

    async def _read_on(self, position: Position) -> Position:
        """Read once, or wait for a while if there is nothing; returns up to where was read."""
        run = await self._events.read_log(position, _RUN, topics=self._topics)
        for recorded in run.events:
            for changed in self._waiting.get(recorded.stream_id, ()):
                changed.set()
        if run.position == position:
            await self._events.wait_beyond(position, _FALLBACK_SECONDS)
        return run.position

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            for changed in waiting:
                changed.set()
