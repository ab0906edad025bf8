"""Changes of a schema, made by one process at a time although several begin together."""

from __future__ import annotations

from typing import Any

_EXCLUDE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_CATCH_UP = "SELECT FROM pg_catalog.pg_namespace LIMIT 1"
"""A session learns what others have changed in the catalogue when it locks a table, not when it is granted an advisory
lock: without this it may take a schema for missing that the process before it has just made, and fail to make it."""


async def change_alone(connection: Any, name: str) -> None:
    """Wait until nobody else changes what ``name`` stands for; nobody will until this transaction ends.

    Call it first, while the transaction has no id: one that waits here must not hold the readers of a log back.
    ``connection`` is in a transaction.
    """
    await connection.execute(_EXCLUDE, name)
    await connection.execute(_CATCH_UP)
