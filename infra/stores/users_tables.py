"""The tables of the users service: accounts, sessions, people, remarks and signing keys, in plain SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from commands.accounts import AccountsUnavailable
from infra.eventstore.changing import change_alone
from infra.eventstore.errors import SERVER_AWAY

_FIRST = """
CREATE TABLE @accounts (
    account_id uuid PRIMARY KEY,
    email text NOT NULL,
    name text NOT NULL,
    phone text,
    locale text,
    roles text[] NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL,
    disabled boolean NOT NULL
);
CREATE UNIQUE INDEX accounts_email_idx ON @accounts (lower(email));

-- token_id is the refresh token that may be used next. A session that has ended keeps why, for operators.
CREATE TABLE @sessions (
    session_id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES @accounts ON DELETE CASCADE,
    token_id text NOT NULL,
    expires_at timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    ended_because text
);
CREATE INDEX sessions_account_idx ON @sessions (account_id);

CREATE TABLE @persons (
    guest_id uuid PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    phone text
);

CREATE TABLE @signing_keys (
    key_id text PRIMARY KEY,
    purpose text NOT NULL,
    secret text NOT NULL,
    created_at timestamptz NOT NULL
);
"""
_FORGETTING = """
-- Whose booking a person's details were given for. NULL: they were kept before this was noted.
ALTER TABLE @persons ADD COLUMN account_id uuid REFERENCES @accounts ON DELETE CASCADE;
CREATE INDEX persons_account_idx ON @persons (account_id);

-- What somebody wrote about a booking; remark_id is the command that it came with.
CREATE TABLE @remarks (
    remark_id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES @accounts ON DELETE CASCADE,
    words text NOT NULL
);
CREATE INDEX remarks_account_idx ON @remarks (account_id);

-- Erasures under way, and the words that they look for: all that is left of a person, and only until they are done.
CREATE TABLE @erasures (
    account_id uuid PRIMARY KEY,
    words text[] NOT NULL
);
"""
_WRITERS = """
-- Who wrote a remark, if that is not who it is about: it goes with either.
ALTER TABLE @remarks ADD COLUMN written_by uuid;
CREATE INDEX remarks_written_by_idx ON @remarks (written_by);
"""
_MIGRATIONS = (_FIRST, _FORGETTING, _WRITERS)
"""Each is run once, in order. What was released is never edited: append."""


class UsersTables:
    """Base of what works on these tables, over ``pool``; call ``migrate`` once before anything else."""

    def __init__(self, pool: asyncpg.Pool, schema: str = "users") -> None:
        """Raises ValueError unless ``schema`` is a plain lower-case name."""
        if not (schema.isascii() and schema.isidentifier() and schema.islower()):
            raise ValueError(f"{schema!r} cannot name a schema: use lower-case letters, digits and underscores")
        self._pool = pool
        self._schema = schema

    async def migrate(self) -> None:
        """Bring the tables up to date; changes nothing if they are, and may run in several processes at once."""
        async with self._connection() as connection, connection.transaction():
            await change_alone(connection, f"accounts {self._schema}")
            if await connection.fetchval("SELECT to_regclass($1)", self._sql("@accounts_version")) is None:
                await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"')
                await connection.execute(self._sql("CREATE TABLE @accounts_version (migrations integer NOT NULL)"))
                await connection.execute(self._sql("INSERT INTO @accounts_version VALUES (0)"))
            done = await connection.fetchval(self._sql("SELECT migrations FROM @accounts_version"))
            for number, statements in enumerate(_MIGRATIONS[done:], start=done + 1):
                await connection.execute(self._sql(statements))
                await connection.execute(self._sql("UPDATE @accounts_version SET migrations = $1"), number)

    def _sql(self, statement: str) -> str:
        """Put the schema in place of each ``@``."""
        return statement.replace("@", f'"{self._schema}".')

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except SERVER_AWAY as error:
            raise AccountsUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error

    async def _row(self, statement: str, *values: Any) -> asyncpg.Record | None:
        async with self._connection() as connection:
            return await connection.fetchrow(self._sql(statement), *values)

    async def _rows(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        async with self._connection() as connection:
            return await connection.fetch(self._sql(statement), *values)

    async def _execute(self, statement: str, *values: Any) -> None:
        async with self._connection() as connection:
            await connection.execute(self._sql(statement), *values)
