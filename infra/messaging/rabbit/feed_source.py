"""Feeds over RabbitMQ: the broker is the fast path, the log fills every gap."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

import structlog
from faststream.rabbit import RabbitMessage
from pydantic import ValidationError

from commands.ports import EventStore, Feed, LogRun, Position
from domain.shared.errors import InvalidCommand
from domain.shared.topics import TopicError
from infra.messaging.rabbit.connection import RabbitConnection, Subscription
from infra.messaging.rabbit.topology import EVENTS, feed_queue
from infra.messaging.retries import pause_unless
from infra.messaging.sources import Source, read_run
from infra.messaging.stats import Stats
from infra.messaging.wire import decode_run

log = structlog.get_logger(__name__)

KEPT_RUNS = 64
IDLE_CHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Received:
    prev: Position
    position: Position
    body: bytes


class BrokerSource:
    """A source fed by messages that each carry the run between ``prev`` and ``position``.

    A message is acknowledged as soon as it is taken in: whatever happens to it then, the checkpoint says where to go on
    reading in the log. So at most ``KEPT_RUNS`` messages are kept, and what a slow feed cannot keep up with is
    dropped here and read from the log, which is faster than receiving it.
    """

    def __init__(
        self, store: EventStore, feed: Feed, context: str, stats: Stats, idle_check: float = IDLE_CHECK_SECONDS
    ) -> None:
        self._store = store
        self._context = context
        self._topics = feed.topics
        self._stats = stats
        self._feed = feed.name
        self._idle_check = idle_check
        self._received: deque[_Received] = deque()
        self._arrived = asyncio.Event()
        self._caught_up = False
        self._log_looked_at = 0.0

    async def take(self, message: RabbitMessage) -> None:
        """Keep a message of the feed's queue, if there is room."""
        try:
            prev = Position.parse(str(message.headers["prev"]))
            position = Position.parse(str(message.headers["position"]))
        except (KeyError, InvalidCommand) as error:
            self._drop("malformed", repr(error))
            return
        if len(self._received) >= KEPT_RUNS:
            self._stats.count("runs_dropped", reason="full", feed=self._feed, context=self._context)
            return
        self._received.append(_Received(prev, position, message.body))
        self._arrived.set()

    async def next(self, after: Position, wait_seconds: float) -> LogRun | None:
        """See Source."""
        deadline = monotonic() + wait_seconds
        while True:
            run = self._from_messages(after) if self._caught_up else await self._from_log(after)
            if run is not None:
                return run
            if not self._caught_up or self._received:
                continue
            now = monotonic()
            look_at = self._log_looked_at + self._idle_check
            if now >= look_at:
                self._log_looked_at = now
                # A message may be lost, or a queue purged: then only the log knows that there is more.
                if await self._store.head() > after:
                    self._caught_up = False
                continue
            if now >= deadline:
                return None
            await pause_unless(self._arrived, min(deadline, look_at) - now)

    async def _from_log(self, after: Position) -> LogRun | None:
        run = await read_run(self._store, after, self._topics)
        self._log_looked_at = monotonic()
        if run is not None:
            self._stats.count("runs_from_log", feed=self._feed, context=self._context)
            return run
        self._caught_up = True
        if self._received and self._received[0].prev > after:
            # It claims events before it that the log does not have: a message of another database's past.
            self._received.popleft()
            self._drop("foreign", "the log does not reach as far as the message")
        return None

    def _from_messages(self, after: Position) -> LogRun | None:
        """The next kept run that fits; None if there is none, or if a gap has to be read from the log first."""
        while self._received:
            received = self._received[0]
            if received.position <= after:
                self._received.popleft()
                self._stats.count("runs_skipped", feed=self._feed, context=self._context)
                continue
            if received.prev > after:
                self._caught_up = False
                return None
            self._received.popleft()
            try:
                run = decode_run(received.body, self._context, after, received.position, self._topics)
            except (ValidationError, TopicError, InvalidCommand) as error:
                self._drop("unreadable", repr(error))
                self._caught_up = False
                return None
            self._stats.count("runs_from_broker", feed=self._feed, context=self._context)
            self._log_looked_at = monotonic()
            return run
        self._arrived.clear()
        return None

    def _drop(self, reason: str, error: str) -> None:
        self._stats.count("runs_dropped", reason=reason, feed=self._feed, context=self._context)
        log.warning("run_dropped", reason=reason, error=error, feed=self._feed, context=self._context)


class BrokerSources:
    """Opens a source with a queue of its own for every feed and context; ``logs`` by context."""

    def __init__(self, connection: RabbitConnection, logs: Mapping[str, EventStore], stats: Stats) -> None:
        self._connection = connection
        self._logs = logs
        self._stats = stats

    @asynccontextmanager
    async def open(self, feed: Feed, context: str) -> AsyncIterator[Source]:
        """See Sources. The feed runs from the log as long as the broker is away."""
        source = BrokerSource(self._logs[context], feed, context, self._stats)
        subscription = Subscription(
            feed_queue(feed.name, context), source.take, EVENTS, prefetch=KEPT_RUNS, disposable=True
        )
        self._connection.subscribe(subscription)
        try:
            yield source
        finally:
            await self._connection.unsubscribe(subscription)
