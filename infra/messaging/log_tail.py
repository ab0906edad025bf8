"""The embedded counterpart of the broker: feeds tail the log itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from commands.ports import EventStore, Feed, LogRun, Position
from infra.messaging.sources import Source, read_run


class LogTail:
    """A source that reads one context's log and is woken by its commits."""

    def __init__(self, store: EventStore, topics: frozenset[str] | None) -> None:
        self._store = store
        self._topics = topics

    async def next(self, after: Position, wait_seconds: float) -> LogRun | None:
        """See Source."""
        run = await read_run(self._store, after, self._topics)
        if run is None and await self._store.wait_beyond(after, wait_seconds):
            run = await read_run(self._store, after, self._topics)
        return run


class LogSources:
    """Opens a LogTail for every feed; ``logs`` by context."""

    def __init__(self, logs: Mapping[str, EventStore]) -> None:
        self._logs = logs

    @asynccontextmanager
    async def open(self, feed: Feed, context: str) -> AsyncIterator[Source]:
        """See Sources."""
        yield LogTail(self._logs[context], feed.topics)
