"""The delivery log of mails, in PostgreSQL: one row for each mail that is done with."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import asyncpg

from infra.eventstore.changing import change_alone
from infra.eventstore.sql import in_schema, schema_of

_TABLE = """
CREATE TABLE IF NOT EXISTS @sent_mails (
    mail_id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    refused integer
)"""
_NOTE = "INSERT INTO @sent_mails (mail_id, at, refused) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"


class PostgresSentMails:
    """SentMails over ``pool``; call ``migrate`` once before anything else. Raises PostgresAway, which is Temporary."""

    def __init__(self, pool: asyncpg.Pool, context: str = "notifications") -> None:
        self._pool = pool
        self._context = context

    async def migrate(self) -> None:
        """Make the table if it is not there."""
        async with self._pool.acquire() as connection, connection.transaction():
            await change_alone(connection, f"sent mails {self._context}")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema_of(self._context)}")
            await connection.execute(in_schema(_TABLE, self._context))

    async def has(self, mail_id: UUID) -> bool:
        """See SentMails."""
        found = await self._pool.fetchval(
            in_schema("SELECT 1 FROM @sent_mails WHERE mail_id = $1", self._context), mail_id
        )
        return found is not None

    async def note(self, mail_id: UUID, at: dt.datetime, refused: int | None = None) -> None:
        """See SentMails."""
        await self._pool.execute(in_schema(_NOTE, self._context), mail_id, at, refused)
