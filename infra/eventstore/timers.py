"""Durable timers: implements ``commands.ports.Timers``. They are set and cancelled by commits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from commands.ports import DueTimer, UnreadableTimer
from domain.shared.topics import TopicError
from infra.eventstore.envelopes import decode_envelope
from infra.eventstore.sql import in_schema

_CLAIM = """
UPDATE @timers AS t SET claimed_until = $1::timestamptz + interval '30 s'
FROM (SELECT timer_id FROM @timers
      WHERE due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
      ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS due
WHERE t.timer_id = due.timer_id
RETURNING t.timer_id, t.due_at, t.command"""

# Setting a timer anew takes its claim away, so that this leaves it alone.
_DONE = "DELETE FROM @timers WHERE timer_id = $1 AND due_at = $2 AND claimed_until IS NOT NULL"

# Whether a claim has lapsed is for ``_CLAIM`` to say, by the claimant's clock. If it were asked here of the server's,
# which may be ahead, the claimant would be sent for timers that it cannot have yet, over and over.
_NEXT = "SELECT min(due_at) FROM @timers WHERE claimed_until IS NULL"


class PostgresTimers:
    """The table ``timers`` of one context."""

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self._pool = pool
        self._context = context

    async def claim_due(self, now: dt.datetime, limit: int = 100) -> Sequence[DueTimer | UnreadableTimer]:
        """Claim timers that are due for 30 s, oldest first; see the port."""
        rows = await self._pool.fetch(in_schema(_CLAIM, self._context), now, limit)
        due = [_timer_in(row) for row in rows]
        return sorted(due, key=lambda timer: timer.due_at)

    async def done(self, timer: DueTimer | UnreadableTimer) -> None:
        """Forget a delivered timer, unless it was set anew meanwhile."""
        await self._pool.execute(in_schema(_DONE, self._context), timer.timer_id, timer.due_at)

    async def next_due(self) -> dt.datetime | None:
        """When the next timer is due that has no claim, not even a lapsed one; None if there is none."""
        due: dt.datetime | None = await self._pool.fetchval(in_schema(_NEXT, self._context))
        return due


def _timer_in(row: asyncpg.Record) -> DueTimer | UnreadableTimer:
    """One that cannot be read must not keep the others of its batch from being delivered."""
    timer_id = UUID(bytes=row["timer_id"].bytes)
    try:
        return DueTimer(timer_id, row["due_at"], decode_envelope(row["command"]))
    except (TopicError, ValidationError) as error:
        return UnreadableTimer(timer_id, row["due_at"], row["command"], error)
