"""What could not be handled: implements ``commands.ports.DeadLetters``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from commands.dead_letters import failure_of
from commands.ports import DeadLetter, Position
from infra.eventstore.sql import in_schema

_PARK = """
INSERT INTO @dead_letters AS parked (letter_id, consumer, message_key, context, stream_id, transaction_id,
  notification_id, topic, message, error, traceback, attempts, behind, parked_at, failure_group, failure_kind,
  failure_frame, last_failed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $14)
ON CONFLICT (consumer, message_key) DO UPDATE
SET error = excluded.error, traceback = excluded.traceback, attempts = excluded.attempts, behind = excluded.behind,
  failure_group = excluded.failure_group, failure_kind = excluded.failure_kind,
  failure_frame = excluded.failure_frame, last_failed_at = excluded.last_failed_at
WHERE NOT excluded.behind"""
# What is delivered again after a crash finds its own letter: it does not wait behind itself.
_COLUMNS = """letter_id, consumer, context, stream_id, transaction_id, notification_id, topic, message, error,
  traceback, attempts, behind, parked_at"""
_LIST = """
SELECT # FROM @dead_letters WHERE consumer = $1 OR $1 IS NULL
ORDER BY parked_at, transaction_id, notification_id LIMIT $2"""
_OF_STREAM = """
SELECT # FROM @dead_letters WHERE consumer = $1 AND context = $2 AND stream_id = $3
ORDER BY transaction_id, notification_id"""


class PostgresDeadLetters:
    """The table ``dead_letters`` of one context."""

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self._pool = pool
        self._context = context

    async def park(self, letter: DeadLetter) -> None:
        """Keep ``letter``. The same event, or command (by ``command_id`` in its message), is kept once per consumer."""
        place = letter.position or (None, None)
        failure = failure_of(letter)
        await self._pool.execute(
            in_schema(_PARK, self._context),
            letter.letter_id,
            letter.consumer,
            _key_of(letter),
            letter.context,
            letter.stream_id,
            *place,
            letter.topic,
            json.dumps(letter.message),
            letter.error,
            letter.traceback,
            letter.attempts,
            letter.behind,
            letter.parked_at,
            failure.group,
            failure.kind,
            failure.frame,
        )

    async def parked_streams(self, consumer: str) -> frozenset[UUID]:
        """Streams of which something is parked for ``consumer``."""
        rows = await self._fetch("SELECT DISTINCT stream_id FROM @dead_letters WHERE consumer = $1", consumer)
        return frozenset(UUID(bytes=row[0].bytes) for row in rows if row[0] is not None)

    async def list(self, consumer: str | None = None, limit: int = 200) -> Sequence[DeadLetter]:
        """Oldest first."""
        return await self._letters(_LIST, consumer, limit)

    async def of_stream(self, consumer: str, context: str, stream_id: UUID) -> Sequence[DeadLetter]:
        """What is parked of one stream, in its order."""
        return await self._letters(_OF_STREAM, consumer, context, stream_id)

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """One letter."""
        letters = await self._letters("SELECT # FROM @dead_letters WHERE letter_id = $1", letter_id)
        return letters[0] if letters else None

    async def remove(self, letter_id: UUID) -> None:
        """Forget a letter."""
        await self._pool.execute(in_schema("DELETE FROM @dead_letters WHERE letter_id = $1", self._context), letter_id)

    async def _letters(self, statement: str, *arguments: Any) -> Sequence[DeadLetter]:
        return [_letter_in(row) for row in await self._fetch(statement.replace("#", _COLUMNS), *arguments)]

    async def _fetch(self, statement: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        return await self._pool.fetch(in_schema(statement, self._context), *arguments)

    async def _touched(self, statement: str, *arguments: Any) -> int:
        """How many rows the statement wrote."""
        done = await self._pool.execute(in_schema(statement, self._context), *arguments)
        return int(done.rpartition(" ")[2])


def _key_of(letter: DeadLetter) -> str:
    """What makes two letters of one consumer the same."""
    if letter.position is not None:
        return f"{letter.context}:{letter.position}"
    return str(letter.message.get("command_id", letter.letter_id))


def _letter_in(row: asyncpg.Record) -> DeadLetter:
    stream_id = row["stream_id"]
    return DeadLetter(
        letter_id=UUID(bytes=row["letter_id"].bytes),
        consumer=row["consumer"],
        context=row["context"],
        stream_id=None if stream_id is None else UUID(bytes=stream_id.bytes),
        position=None if row["transaction_id"] is None else Position(row["transaction_id"], row["notification_id"]),
        topic=row["topic"],
        message=json.loads(row["message"]),
        error=row["error"],
        traceback=row["traceback"],
        attempts=row["attempts"],
        behind=row["behind"],
        parked_at=row["parked_at"],
    )
