"""Where a feed's events come from, and who may take them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from commands.ports import EventStore, Feed, LogRun, Position


class Source(Protocol):
    """The events of one context for one feed, in the order of the log."""

    async def next(self, after: Position, wait_seconds: float) -> LogRun | None:
        """The next run behind ``after``: only events that the feed takes, perhaps none, but further on than ``after``.

        None if there was nothing for ``wait_seconds``.
        """
        ...


class Sources(Protocol):
    """Opens sources: straight from the log, or fed by the broker."""

    def open(self, feed: Feed, context: str) -> AbstractAsyncContextManager[Source]:
        """A source for as long as the context manager is entered."""
        ...


RUN_LIMIT = 500
"""Events per run: enough to share the cost of a commit or bulk write, small enough to stay responsive."""


async def read_run(store: EventStore, after: Position, topics: frozenset[str] | None) -> LogRun | None:
    """The next run straight from the log; None if there is nothing behind ``after``."""
    run = await store.read_log(after, RUN_LIMIT, topics=topics)
    return run if run.position > after else None
