"""Where time and identity come from."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from uuid_utils import uuid7


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> dt.datetime:
        """Now."""
        return dt.datetime.now(dt.UTC)


def new_id() -> UUID:
    """A new UUIDv7: unique, and ordered by the time of its making."""
    return UUID(int=uuid7().int)
