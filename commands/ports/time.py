"""The present and new identifiers: nobody makes them up."""

from __future__ import annotations

import datetime as dt
from typing import Protocol
from uuid import UUID

from commands.ports.events import Metadata


class Clock(Protocol):
    """The only source of the present."""

    def now(self) -> dt.datetime:
        """Now, in UTC."""
        ...


class NewId(Protocol):
    """The only source of new identifiers."""

    def __call__(self) -> UUID:
        """A new UUIDv7."""
        ...


def due(clock: Clock, metadata: Metadata, at: dt.datetime) -> dt.datetime:
    """Real time at which something that is due at business time ``at`` has to happen.

    For imported history the wait counts from now, because its business time is long past.
    """
    return clock.now() + (at - metadata.at) if metadata.historic else at
