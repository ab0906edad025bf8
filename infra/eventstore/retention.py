"""What the tables of one context keep for a while only, and for how long.

Events, actions, audits and dead letters are kept for ever, or until somebody decides on them. The rest is there so that
a message or a request that comes again is recognised; it may go when that cannot happen any more.

| rows | kept | because |
|---|---|---|
| ``inbox`` | 30 days | see below |
| ``idempotency``, finished | 7 days | clients are promised a day; a weekend and a holiday are generous |
| ``idempotency``, claimed | 1 day | a claim lapses after 30 s; it is left over only by a process that died |
| ``retry_orders``, settled | 30 days | what came of them is in the record of actions for ever |
| ``feed_states`` | 30 days | a feed that nobody has told of for so long is of a build that is gone |

Timers need none of this: a delivered timer is deleted at once.

A handled message can come again by its sender's repetition (seconds), a relay or a consumer that died before it
confirmed (at once, right behind the first), a retry queue (2 minutes), a timer's claim (30 s), and by the retry of a
dead letter: at any time. So nothing is forgotten that was handled within 30 days before the oldest dead letter of the
service's commands was parked, which holds as long as that letter is there. What is left is a queue with duplicates in
it that nobody consumes for 30 days: so a process begins to forget only when it has consumed for an hour
(``FIRST_AFTER`` in ``infra.operating.retention``). And should all of that fail, aggregates change nothing for what is
already so, or refuse it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import asyncpg

from infra.eventstore.sql import in_schema

BATCH = 1_000
"""Rows in one transaction: while it is open, it holds the readers of the log back."""

_INBOX = """
DELETE FROM @inbox WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM @inbox
  WHERE handled_at < least($1::timestamptz,
    (SELECT min(parked_at) FROM @dead_letters WHERE consumer = $3)) - interval '30 days'
  ORDER BY handled_at LIMIT $2))"""
_FINISHED = """
DELETE FROM @idempotency WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM @idempotency WHERE finished AND claimed_at < $1::timestamptz - interval '7 days'
  ORDER BY claimed_at LIMIT $2))"""
_CLAIMED = """
DELETE FROM @idempotency WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM @idempotency WHERE NOT finished AND claimed_at < $1::timestamptz - interval '1 day'
  ORDER BY claimed_at LIMIT $2))"""
_ORDERS = """
DELETE FROM @retry_orders WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM @retry_orders
  WHERE outcome IS NOT NULL AND asked_at < $1::timestamptz - interval '30 days' LIMIT $2))"""
_FEEDS = """
DELETE FROM @feed_states WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM @feed_states WHERE at < $1::timestamptz - interval '30 days' LIMIT $2))"""
_STATEMENTS = (
    ("inbox", _INBOX),
    ("idempotency", _FINISHED),
    ("idempotency", _CLAIMED),
    ("retry_orders", _ORDERS),
    ("feed_states", _FEEDS),
)


class PostgresRetention:
    """The tables of one context; ``consumer`` is the one of its commands, as dead letters name it."""

    def __init__(self, pool: asyncpg.Pool, context: str, consumer: str) -> None:
        self._pool = pool
        self._context = context
        self._consumer = consumer

    async def forget(self, now: dt.datetime, batch: int = BATCH) -> Mapping[str, int]:
        """Delete up to ``batch`` rows of each kind that are over as of ``now``; returns how many, by table.

        Each kind is a short transaction of its own. Less than ``batch`` means that there are no more.
        """
        forgotten: dict[str, int] = {}
        for table, statement in _STATEMENTS:
            arguments = (now, batch, self._consumer) if table == "inbox" else (now, batch)
            done = await self._pool.execute(in_schema(statement, self._context), *arguments)
            forgotten[table] = forgotten.get(table, 0) + int(done.rpartition(" ")[2])
        return forgotten
