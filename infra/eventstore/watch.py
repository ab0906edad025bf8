"""Who waits for new events learns of them at once: in this process by a call, from other processes by NOTIFY.

One task asks PostgreSQL for the head on behalf of all who wait. Events whose transaction has ended may still be held
back by an older one that is open; nobody announces its end, so the head is asked for again at short intervals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Any
from uuid import uuid4

import asyncpg
import structlog

from commands.ports import START, Position
from infra.eventstore.errors import SERVER_AWAY, EventStoreUnavailable
from infra.eventstore.leadership import watched
from infra.eventstore.sql import in_schema, schema_of

log = structlog.get_logger(__name__)

_FALLBACK_SECONDS = 1.0
_FIRST_RECHECK_SECONDS = 0.002
_LONGEST_RECHECK_SECONDS = 0.1
_TELL_AGAIN_SECONDS = 30.0
_RECONNECT_SECONDS = 0.5
_OPEN_SECONDS = 10.0

_HEADS = """
SELECT newest.transaction_id, newest.notification_id, visible.transaction_id, visible.notification_id
FROM (SELECT transaction_id, notification_id FROM @stored_events
      ORDER BY transaction_id DESC, notification_id DESC LIMIT 1) newest
LEFT JOIN (SELECT transaction_id, notification_id FROM @stored_events
           WHERE transaction_id < pg_snapshot_xmin(pg_current_snapshot())
           ORDER BY transaction_id DESC, notification_id DESC LIMIT 1) visible ON true"""

# The transaction of a NOTIFY is nothing that must survive a crash.
_ANNOUNCE = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"


class LogWatch:
    """Watches one context's log. ``open`` before use, ``close`` after it."""

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self._pool = pool
        self._heads = in_schema(_HEADS, context)
        self._channel = f"nightledger_{schema_of(context).strip(chr(34))}"
        self._myself = uuid4().hex
        self._seen = START
        self._waiting: dict[asyncio.Future[None], Position] = {}
        self._look = asyncio.Event()
        self._announce = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Listen, and begin to watch."""
        self._look.set()
        listening = asyncio.Event()
        jobs: tuple[Callable[[], Awaitable[None]], ...] = (
            self._watch,
            self._announce_always,
            partial(self._listen_always, listening),
        )
        self._tasks = [asyncio.create_task(_forever(job), name=f"watch of {self._channel}") for job in jobs]
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await listening.wait()
        except TimeoutError as error:
            await self.close()
            raise EventStoreUnavailable(f"PostgreSQL did not answer LISTEN within {_OPEN_SECONDS:.0f} s") from error

    async def close(self) -> None:
        """Stop; whoever still waits goes on waiting until its time is up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def stored(self) -> None:
        """Something was committed here: wake those who wait, here and in other processes."""
        self._look.set()
        self._announce.set()

    async def heads(self) -> tuple[Position, Position]:
        """The last event that is committed, and the last that a reader may take now."""
        row = await self._pool.fetchrow(self._heads)
        if row is None:
            return START, START
        return Position(row[0], row[1]), START if row[2] is None else Position(row[2], row[3])

    async def wait_beyond(self, position: Position, wait_seconds: float) -> bool:
        """Return True as soon as readers may take something beyond ``position``, False after ``wait_seconds``."""
        if self._seen > position:
            return True
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[woken] = position
        if len(self._waiting) == 1:
            self._look.set()
        try:
            async with asyncio.timeout(wait_seconds):
                await woken
        except TimeoutError:
            return False
        finally:
            self._waiting.pop(woken, None)
        return True

    async def _watch(self) -> None:
        pause = _FALLBACK_SECONDS
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._look.wait()
            except TimeoutError:
                pass  # the fallback: look although nobody said so
            self._look.clear()
            if not self._waiting:
                pause = _FALLBACK_SECONDS
                continue
            newest, visible = await self.heads()
            self._wake(visible)
            if newest == visible:
                pause = _FALLBACK_SECONDS
            else:
                pause = (
                    min(pause * 2, _LONGEST_RECHECK_SECONDS) if pause < _FALLBACK_SECONDS else _FIRST_RECHECK_SECONDS
                )

    def _wake(self, visible: Position) -> None:
        self._seen = max(self._seen, visible)
        for woken, position in self._waiting.items():
            if position < self._seen and not woken.done():
                woken.set_result(None)

    async def _announce_always(self) -> None:
        while True:
            await self._announce.wait()
            self._announce.clear()
            await self._pool.execute(_ANNOUNCE, self._channel, self._myself)

    async def _listen_always(self, listening: asyncio.Event) -> None:
        """Keep one connection that listens; when it breaks, take another and look what was missed."""
        while True:
            async with self._pool.acquire() as connection:
                await connection.add_listener(self._channel, self._heard)
                listening.set()
                self._look.set()
                broken: asyncio.Event | None = None
                try:
                    async with watched(connection) as broken:
                        await broken.wait()
                finally:
                    if broken is None or not broken.is_set():
                        await connection.remove_listener(self._channel, self._heard)
            log.warning("lost the connection that listens for new events", channel=self._channel)

    def _heard(self, _connection: Any, _pid: int, _channel: str, sender: object) -> None:
        if sender != self._myself:
            self._look.set()


async def _forever(job: Callable[[], Awaitable[None]]) -> None:
    """Keep ``job`` going while PostgreSQL comes and goes."""
    told_at = -_TELL_AGAIN_SECONDS
    while True:
        try:
            await job()
        except SERVER_AWAY as error:
            if monotonic() - told_at >= _TELL_AGAIN_SECONDS:
                log.warning("event log watch waits for PostgreSQL", error=str(error) or type(error).__name__)
                told_at = monotonic()
            await asyncio.sleep(_RECONNECT_SECONDS)
        except Exception:  # a standby that is just being promoted, a password that is just being changed: it passes
            log.exception("event log watch failed")
            await asyncio.sleep(_RECONNECT_SECONDS)
