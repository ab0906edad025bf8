"""The ports of those who run the platform: what they order of its feeds, and the record of who ordered what and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One thing that an operator ordered: ``action`` (``projections.pause``) of ``target``, and ``why`` in words.

    ``actor`` is ``user:<id>``. ``outcome`` is what came of it; None while it is not known.
    """

    action_id: UUID
    at: dt.datetime
    actor: str
    action: str
    target: str
    why: str
    outcome: Mapping[str, Any] | None = None


class ActionLog(Protocol):
    """The record of what operators did. It is written before the thing is done, and nothing is ever deleted."""

    async def begin(self, action: OperatorAction) -> None:
        """Put an order on record."""
        ...

    async def end(self, action_id: UUID, outcome: Mapping[str, Any]) -> None:
        """Add what came of it."""
        ...

    async def newest(self, limit: int, before: dt.datetime | None = None) -> Sequence[OperatorAction]:
        """Newest first; with ``before`` only what was ordered earlier than that."""
        ...


@dataclass(frozen=True, slots=True)
class FeedControl:
    """What was last ordered of ``subject``: a read model (all its builds), or a feed by name."""

    subject: str
    paused: bool
    by: str
    why: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class FeedState:
    """How a feed stood at ``at`` in the process that leads it. ``rate`` is events per second."""

    feed: str
    state: str
    last_error: str | None
    rate: float
    parked: int
    at: dt.datetime


class FeedControls(Protocol):
    """What is ordered of the feeds of one home context, and how they stand; all processes see the same."""

    async def order(self, control: FeedControl) -> None:
        """Replace the last order."""
        ...

    async def paused(self) -> Mapping[str, FeedControl]:
        """The orders to pause that are in force, by subject."""
        ...

    async def report(self, states: Sequence[FeedState]) -> None:
        """Tell how feeds stand."""
        ...

    async def states(self) -> Sequence[FeedState]:
        """How the feeds stood when their processes last told."""
        ...
