"""Commands that are to be delivered later."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from commands.ports.messages import CommandEnvelope


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Deliver ``command`` at ``due_at`` (real time), once. Setting a timer again replaces it."""

    timer_id: UUID
    due_at: dt.datetime
    command: CommandEnvelope


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer; no error if it is gone."""

    timer_id: UUID


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A timer whose time has come. It is delivered again unless ``done`` is called within the claim's 30 s."""

    timer_id: UUID
    due_at: dt.datetime
    command: CommandEnvelope


@dataclass(frozen=True, slots=True)
class UnreadableTimer:
    """A timer whose time has come, and whose command (``stored``, JSON) this version of the code cannot read."""

    timer_id: UUID
    due_at: dt.datetime
    stored: str
    error: Exception


class Timers(Protocol):
    """The table ``timers`` of one context's store (timers are set by commits)."""

    async def claim_due(self, now: dt.datetime, limit: int = 100) -> Sequence[DueTimer | UnreadableTimer]:
        """Claim timers that are due (SKIP LOCKED), oldest first; one that cannot be read is among them as such."""
        ...

    async def done(self, timer: DueTimer | UnreadableTimer) -> None:
        """Forget a delivered timer, unless it was set anew to another time meanwhile."""
        ...

    async def next_due(self) -> dt.datetime | None:
        """When the next unclaimed timer is due; None if there is none."""
        ...
