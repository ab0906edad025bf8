"""Accounts, sessions, people and signing keys: plain tables in PostgreSQL, in the schema of the users service."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID

import asyncpg
import structlog

from commands.accounts import Account, AccountsUnavailable, EmailTaken, Person, SigningKey

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
_MIGRATIONS = (_FIRST,)
"""Each is run once, in order. What was released is never edited: append."""

# One statement, so that of two uses of one token the second always sees the first: PostgreSQL evaluates the
# expressions anew on the row that the winner left.
_ROTATE = """
UPDATE @sessions SET
    ended_at = CASE WHEN token_id = $2 THEN NULL ELSE $4::timestamptz END,
    ended_because = CASE WHEN token_id = $2 THEN NULL ELSE 'a refresh token was used twice' END,
    token_id = $3
WHERE session_id = $1 AND ended_at IS NULL AND expires_at > $4
RETURNING ended_at IS NULL
"""

# The account's sessions that ended three months before this one begins (it runs for a month) make room.
_OPEN = """
WITH forgotten AS (
    DELETE FROM @sessions WHERE account_id = $2 AND expires_at < $4::timestamptz - interval '120 days'
)
INSERT INTO @sessions (session_id, account_id, token_id, expires_at) VALUES ($1, $2, $3, $4)
"""

_OUT_OF_SERVICE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    OSError,
)

log = structlog.get_logger(__name__)


class PostgresAccounts:
    """Accounts over ``pool``; call ``migrate`` once before anything else."""

    def __init__(self, pool: asyncpg.Pool, schema: str = "users") -> None:
        """Raises ValueError unless ``schema`` is a plain lower-case name."""
        if not (schema.isascii() and schema.isidentifier() and schema.islower()):
            raise ValueError(f"{schema!r} cannot name a schema: use lower-case letters, digits and underscores")
        self._pool = pool
        self._schema = schema

    async def migrate(self) -> None:
        """Bring the tables up to date; changes nothing if they are, and may run in several processes at once."""
        async with self._connection() as connection, connection.transaction():
            # First, while the transaction has no id: one that waits here must not hold the readers of a log back.
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"accounts {self._schema}"
            )
            if await connection.fetchval("SELECT to_regclass($1)", self._sql("@accounts_version")) is None:
                await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"')
                await connection.execute(self._sql("CREATE TABLE @accounts_version (migrations integer NOT NULL)"))
                await connection.execute(self._sql("INSERT INTO @accounts_version VALUES (0)"))
            done = await connection.fetchval(self._sql("SELECT migrations FROM @accounts_version"))
            for number, statements in enumerate(_MIGRATIONS[done:], start=done + 1):
                await connection.execute(self._sql(statements))
                await connection.execute(self._sql("UPDATE @accounts_version SET migrations = $1"), number)

    async def register(self, account: Account) -> None:
        """See Accounts."""
        await self._keep(
            account,
            "INSERT INTO @accounts (account_id, email, name, phone, locale, roles, password_hash, disabled, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            account.created_at,
        )

    async def update(self, account: Account) -> None:
        """See Accounts. ``created_at`` stays as it is; changes nothing if there is no such account."""
        await self._keep(
            account,
            "UPDATE @accounts SET email = $2, name = $3, phone = $4, locale = $5, roles = $6, password_hash = $7,"
            " disabled = $8 WHERE account_id = $1",
        )

    async def _keep(self, account: Account, statement: str, *more: Any) -> None:
        values = (
            account.account_id,
            account.email,
            account.name,
            account.phone,
            account.locale,
            sorted(account.roles),
            account.password_hash,
            account.disabled,
        )
        try:
            await self._execute(statement, *values, *more)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "accounts_email_idx":
                raise
            raise EmailTaken("an account with this e-mail address exists; log in, or use another address") from error

    async def by_email(self, email: str) -> Account | None:
        """See Accounts."""
        if not email.isprintable():
            return None  # PostgreSQL refuses some of these characters, and no account has any
        return _account(await self._row("SELECT * FROM @accounts WHERE lower(email) = lower($1)", email))

    async def by_id(self, account_id: UUID) -> Account | None:
        """See Accounts."""
        return _account(await self._row("SELECT * FROM @accounts WHERE account_id = $1", account_id))

    async def remember_person(self, person: Person) -> None:
        """See Accounts."""
        await self._execute(
            "INSERT INTO @persons (guest_id, name, email, phone) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            person.guest_id,
            person.name,
            person.email,
            person.phone,
        )

    async def person(self, guest_id: UUID) -> Person | None:
        """See Accounts."""
        row = await self._row("SELECT name, email, phone FROM @persons WHERE guest_id = $1", guest_id)
        return Person(guest_id, row["name"], row["email"], row["phone"]) if row else None

    async def open_session(self, session_id: UUID, account_id: UUID, token_id: str, expires_at: dt.datetime) -> None:
        """See Accounts."""
        await self._execute(_OPEN, session_id, account_id, token_id, expires_at)

    async def rotate_session(self, session_id: UUID, used: str, new: str, now: dt.datetime) -> bool:
        """See Accounts. A second use is logged, and the session's row says why it ended."""
        row = await self._row(_ROTATE, session_id, used, new, now)
        if row is None:
            return False
        rotated: bool = row[0]
        if not rotated:
            log.warning("a refresh token was used twice; its session has been ended", session_id=str(session_id))
        return rotated

    async def session_open(self, session_id: UUID, now: dt.datetime) -> bool:
        """See Accounts."""
        row = await self._row(
            "SELECT 1 FROM @sessions WHERE session_id = $1 AND ended_at IS NULL AND expires_at > $2", session_id, now
        )
        return row is not None

    async def end_session(self, session_id: UUID) -> None:
        """See Accounts."""
        await self._end("session_id", session_id)

    async def end_sessions(self, account_id: UUID) -> None:
        """See Accounts."""
        await self._end("account_id", account_id)

    async def _end(self, column: Literal["session_id", "account_id"], value: UUID) -> None:
        await self._execute(
            f"UPDATE @sessions SET ended_at = now(), ended_because = 'logged out'"  # noqa: S608 - one of two names
            f" WHERE {column} = $1 AND ended_at IS NULL",
            value,
        )

    async def signing_keys(self, purpose: Literal["access", "offer"]) -> Sequence[SigningKey]:
        """See Accounts."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                self._sql("SELECT * FROM @signing_keys WHERE purpose = $1 ORDER BY created_at DESC, key_id DESC"),
                purpose,
            )
        return [SigningKey(row["key_id"], row["purpose"], row["secret"], row["created_at"]) for row in rows]

    async def add_signing_key(self, key: SigningKey) -> None:
        """See Accounts."""
        await self._execute(
            "INSERT INTO @signing_keys (key_id, purpose, secret, created_at) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT DO NOTHING",
            key.key_id,
            key.purpose,
            key.secret,
            key.created_at,
        )

    def _sql(self, statement: str) -> str:
        """Put the schema in place of each ``@``."""
        return statement.replace("@", f'"{self._schema}".')

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except _OUT_OF_SERVICE as error:
            raise AccountsUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error

    async def _row(self, statement: str, *values: Any) -> asyncpg.Record | None:
        async with self._connection() as connection:
            return await connection.fetchrow(self._sql(statement), *values)

    async def _execute(self, statement: str, *values: Any) -> None:
        async with self._connection() as connection:
            await connection.execute(self._sql(statement), *values)


def _account(row: asyncpg.Record | None) -> Account | None:
    if row is None:
        return None
    return Account(
        account_id=row["account_id"],
        email=row["email"],
        name=row["name"],
        phone=row["phone"],
        locale=row["locale"],
        roles=frozenset(row["roles"]),
        password_hash=row["password_hash"],
        created_at=row["created_at"],
        disabled=row["disabled"],
    )
