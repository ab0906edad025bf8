"""Accounts, sessions, people and signing keys: plain tables in PostgreSQL, in the schema of the users service."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import asyncpg
import structlog

from commands.accounts import (
    CLIENTS,
    PLATFORMS_OWN,
    Account,
    AccountGone,
    EmailTaken,
    Person,
    Remark,
    Role,
    SigningKey,
)
from infra.stores.users_tables import UsersTables

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

log = structlog.get_logger(__name__)


class PostgresAccounts(UsersTables):
    """Accounts over ``pool``; call ``migrate`` once before anything else."""

    async def register(self, account: Account) -> None:
        """See Accounts."""
        # An address that is taken is no error of the statement's: the server would write it into its own log.
        registered = await self._row(
            "INSERT INTO @accounts (account_id, email, name, phone, locale, roles, password_hash, disabled, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (lower(email)) DO NOTHING RETURNING 1",
            *_values(account),
            account.created_at,
        )
        if registered is None:
            raise _taken()

    async def update(self, account: Account) -> None:
        """See Accounts. ``created_at`` stays as it is; changes nothing if there is no such account."""
        try:
            await self._execute(
                "UPDATE @accounts SET email = $2, name = $3, phone = $4, locale = $5, roles = $6, password_hash = $7,"
                " disabled = $8 WHERE account_id = $1",
                *_values(account),
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "accounts_email_idx":
                raise
            raise _taken() from error

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
        try:
            await self._execute(
                "INSERT INTO @persons (guest_id, name, email, phone, account_id) VALUES ($1, $2, $3, $4, $5)"
                " ON CONFLICT DO NOTHING",
                person.guest_id,
                person.name,
                person.email,
                person.phone,
                person.account_id,
            )
        except asyncpg.ForeignKeyViolationError as error:
            raise _gone() from error

    async def person(self, guest_id: UUID) -> Person | None:
        """See Accounts."""
        row = await self._row("SELECT * FROM @persons WHERE guest_id = $1", guest_id)
        return Person(guest_id, row["name"], row["email"], row["phone"], row["account_id"]) if row else None

    async def keep_remark(self, remark: Remark) -> bool:
        """See Accounts."""
        kept = await self._row(
            "INSERT INTO @remarks AS known (remark_id, account_id, words, written_by)"
            " SELECT $1, account_id, $3, $4 FROM @accounts WHERE account_id = $2 FOR KEY SHARE"
            " ON CONFLICT (remark_id) DO UPDATE SET words = known.words RETURNING 1",
            remark.remark_id,
            remark.account_id,
            remark.words,
            remark.written_by,
        )
        return kept is not None

    async def remarks(self, remark_ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """See Accounts."""
        rows = await self._rows("SELECT remark_id, words FROM @remarks WHERE remark_id = ANY($1)", list(remark_ids))
        return {UUID(bytes=row["remark_id"].bytes): row["words"] for row in rows}

    async def clients(self) -> Sequence[Account]:
        """See Accounts."""
        rows = await self._rows(
            "SELECT * FROM @accounts WHERE email = $1::text || account_id::text || $2::text"
            " ORDER BY created_at DESC, account_id",
            CLIENTS,
            PLATFORMS_OWN,
        )
        return [found for found in map(_account, rows) if found is not None]

    async def colleagues(self, account_id: UUID, roles: frozenset[Role]) -> int:
        """See Accounts."""
        row = await self._row(
            "SELECT count(*) FROM @accounts"
            " WHERE account_id <> $1 AND roles && $2 AND NOT disabled AND NOT lower(email) LIKE '%' || $3",
            account_id,
            sorted(roles),
            PLATFORMS_OWN,
        )
        return int(row[0]) if row else 0

    async def open_session(self, session_id: UUID, account_id: UUID, token_id: str, expires_at: dt.datetime) -> None:
        """See Accounts."""
        try:
            await self._execute(_OPEN, session_id, account_id, token_id, expires_at)
        except asyncpg.ForeignKeyViolationError as error:
            raise _gone() from error

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
        rows = await self._rows(
            "SELECT * FROM @signing_keys WHERE purpose = $1 ORDER BY created_at DESC, key_id DESC", purpose
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


def _values(account: Account) -> tuple[Any, ...]:
    return (
        account.account_id,
        account.email,
        account.name,
        account.phone,
        account.locale,
        sorted(account.roles),
        account.password_hash,
        account.disabled,
    )


def _taken() -> EmailTaken:
    return EmailTaken("an account with this e-mail address exists; log in, or use another address")


def _gone() -> AccountGone:
    return AccountGone("the account does not exist any more")


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
