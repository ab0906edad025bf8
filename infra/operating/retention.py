"""Forgets what ``infra.eventstore.retention`` says is over: now and then, in small batches, one process per context."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import asyncpg
import structlog

from commands.ports import Clock
from infra.eventstore.leadership import try_lock
from infra.eventstore.retention import BATCH, PostgresRetention
from infra.messaging.parking import consumer_of
from infra.messaging.retries import being_cancelled
from infra.messaging.stats import Stats

FIRST_AFTER = 3_600.0
"""Seconds: what waited in queues while the process was away has been taken by then, and is recognised."""
EVERY_SECONDS = 3_600.0
REST_SECONDS = 0.2
"""Between batches, so that bookings do not notice."""

log = structlog.get_logger(__name__)


class Retention:
    """``pools`` by context: those whose services run in this process."""

    def __init__(self, pools: Mapping[str, asyncpg.Pool], clock: Clock, stats: Stats, batch: int = BATCH) -> None:
        self._pools = pools
        self._clock = clock
        self._stats = stats
        self._batch = batch

    async def watch(self, wait: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """For ever."""
        await wait(FIRST_AFTER)
        while not being_cancelled():
            for context in self._pools:
                try:
                    await self.forget(context, wait)
                except Exception as error:  # noqa: BLE001 - must outlive any outage; what is over stays over
                    log.warning("retention_interrupted", context=context, error=repr(error))
            await wait(EVERY_SECONDS)

    async def forget(self, context: str, wait: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Forget what is over in one context, unless another process is at it."""
        pool = self._pools[context]
        tables = PostgresRetention(pool, context, consumer_of(context))
        async with try_lock(pool, f"{context}: retention") as held:
            more = held
            while more:
                forgotten = await tables.forget(self._clock.now(), self._batch)
                for table, rows in forgotten.items():
                    self._stats.count("rows_forgotten", rows, context=context, table=table)
                more = any(rows >= self._batch for rows in forgotten.values())
                if more:
                    await wait(REST_SECONDS)
