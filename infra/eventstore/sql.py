"""How statements name the tables of a context's schema."""

from __future__ import annotations

import re

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,50}$")


def schema_of(context: str) -> str:
    """The quoted name of ``context``'s schema. Raises ValueError for what is not a plain lower-case name."""
    if not _NAME.match(context):
        raise ValueError(f"{context!r} cannot name a schema: use at most 51 of a-z, 0-9 and _")
    return f'"{context}"'


def in_schema(statement: str, context: str) -> str:
    """Put ``context``'s schema in place of each ``@``: ``FROM @timers`` becomes ``FROM "bookings".timers``."""
    return statement.replace("@", f"{schema_of(context)}.")
