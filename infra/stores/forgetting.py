"""Where people's details are erased: the tables of the users service, and free text in the tables of any context."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from uuid import UUID

import asyncpg

from commands.forgetting import Forgotten
from infra.eventstore.sql import in_schema
from infra.stores.users_tables import UsersTables
from projections.ports import DocumentStore, StoreUnavailable, Where

REDACTED = "[forgotten]"
_SHORTEST_NUMBER = 6
_BOOKINGS_AT_ONCE = 500

# Locked before it is looked up what was kept for it: whoever keeps more meanwhile waits, and then finds no account.
_LOCKED = "SELECT name, email, phone FROM @accounts WHERE account_id = $1 FOR UPDATE"
_PEOPLE = "SELECT name, email, phone FROM @persons WHERE account_id = $1 OR guest_id = ANY($2)"
_NOTED = """
INSERT INTO @erasures AS known (account_id, words) VALUES ($1, $2)
ON CONFLICT (account_id) DO UPDATE SET words = ARRAY(SELECT DISTINCT unnest(known.words || excluded.words))
RETURNING words"""
_CONCLUDED = "DELETE FROM @erasures WHERE account_id = $1"

_KEYS = "DELETE FROM @idempotency WHERE starts_with(scope, $1)"
_TEXTS = (
    ("operator_actions", "why"),
    ("feed_controls", "why"),
    ("feed_states", "last_error"),
    ("builds", "error"),
    ("retry_orders", "error"),
    ("dead_letters", "error"),
    ("dead_letters", "traceback"),
    ("dead_letters", "message"),
)
"""What people write, and what errors quote: (table, column)."""
_JSON = ("dead_letters", "message")
"""The one of them that must stay JSON."""


class PostgresPersonalTables(UsersTables):
    """PersonalTables over ``pool``."""

    async def forget(self, account_id: UUID, guest_ids: Sequence[UUID] = ()) -> Forgotten:
        """See PersonalTables. All of it happens, or nothing."""
        async with self._connection() as connection, connection.transaction():
            found = [
                *await connection.fetch(self._sql(_LOCKED), account_id),
                *await connection.fetch(self._sql(_PEOPLE), account_id, list(guest_ids)),
            ]
            words = {word for row in found for word in row if word}
            noted = await connection.fetchval(self._sql(_NOTED), account_id, sorted(words))
            await connection.execute(self._sql("DELETE FROM @persons WHERE guest_id = ANY($1)"), list(guest_ids))
            await connection.execute(self._sql("DELETE FROM @remarks WHERE written_by = $1"), account_id)
            # Its sessions, people and the remarks about it go with it.
            await connection.execute(self._sql("DELETE FROM @accounts WHERE account_id = $1"), account_id)
        return Forgotten(account_id, frozenset(noted))

    async def conclude(self, account_id: UUID) -> None:
        """See PersonalTables."""
        await self._execute(_CONCLUDED, account_id)


class PostgresTraces:
    """Traces in the tables of one context: keys that the person's requests carried, and free text.

    Events are left alone, because there is nothing to find in them; so is what names only the account's id.
    """

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self._pool = pool
        self._context = context

    async def erase(self, forgotten: Forgotten) -> None:
        """See Traces."""
        await self._pool.execute(in_schema(_KEYS, self._context), f"{forgotten.account_id} ")
        for table, column in _TEXTS:
            if pattern := pattern_of(forgotten.words, in_json=(table, column) == _JSON):
                await self._pool.execute(in_schema(_redaction(table, column), self._context), pattern, REDACTED)


def _redaction(table: str, column: str) -> str:
    text, kind = (f"{column}::text", "::json") if (table, column) == _JSON else (column, "")
    return (
        f"UPDATE @{table} SET {column} = regexp_replace({text}, $1, $2, 'gi'){kind} "  # noqa: S608 - names of ours
        f"WHERE {text} ~* $1"
    )


def pattern_of(words: Iterable[str], *, in_json: bool) -> str:
    """A regular expression of PostgreSQL that finds any of ``words`` that can only mean a person; empty if none can.

    These are addresses, numbers, and names of more than one word: a name such as "Hope" is in many a sentence, and
    whoever called themselves "refund" could take that word out of the record of what operators did. In JSON they are
    looked for as they are written in its strings; numbers are left alone there, because most are somebody else's.
    """
    telling = {word for word in words if _is_name(word) or (_is_number(word) and not in_json)}
    quoted = {json.dumps(word, ensure_ascii=ascii_only)[1:-1] for word in telling for ascii_only in (True, False)}
    written = quoted if in_json else telling | quoted
    alternatives = "|".join(re.escape(word) for word in sorted(written, key=len, reverse=True))
    return rf"(?<!\w)(?:{alternatives})(?!\w)" if written else ""


def _is_name(word: str) -> bool:
    return ("@" in word or " " in word.strip()) and any(map(str.isalpha, word))


def _is_number(word: str) -> bool:
    return sum(character.isdigit() for character in word) >= _SHORTEST_NUMBER


def guests_in(documents: DocumentStore, booking_pages: str) -> Callable[[UUID], Awaitable[Sequence[UUID]]]:
    """Finds the guests of an account's bookings in the read model of this name.

    Raises StoreUnavailable while there is none: an empty list would leave names for ever.
    """

    async def guests_of(account_id: UUID) -> Sequence[UUID]:
        if await documents.pointed(booking_pages) is None:
            raise StoreUnavailable(f"{booking_pages} is being built; who an account's guests are is known then")
        found: list[UUID] = []
        cursor: str | None = None
        while True:
            page = await documents.find(
                booking_pages,
                [Where("account_id", "eq", str(account_id))],
                order_by="created_at",
                descending=False,
                limit=_BOOKINGS_AT_ONCE,
                cursor=cursor,
            )
            found += [UUID(booking["guest_id"]) for booking in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    return guests_of
