"""What an operator can see of a feed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from commands.ports import Position, RecordedEvent
from infra.messaging.parking import describe
from infra.messaging.stats import Rate

FeedState = Literal["standby", "running", "retrying", "waiting", "failed", "paused"]
"""``standby``: another process leads. ``retrying``: an event fails and is tried again. ``waiting``: a server is away.
``failed``: the feed cannot go on by itself; it tries again, and ``last_error`` says why it fails."""


@dataclass(frozen=True, slots=True)
class FeedReport:
    """How a feed stood when it was asked. ``rate`` is events per second over the last ten seconds."""

    name: str
    home: str
    state: FeedState
    positions: Mapping[str, Position]
    handled: int
    parked: int
    rate: float
    last_error: str | None
    last_handled_at: dt.datetime | None


@dataclass(slots=True)
class Progress:
    """The running account of one feed, shared by its runners; ``states`` by context."""

    name: str
    home: str
    base: FeedState = "standby"
    states: dict[str, FeedState] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    handled: int = 0
    parked: int = 0
    last_error: str | None = None
    last_handled_at: dt.datetime | None = None
    rate: Rate = field(default_factory=Rate)

    def handled_some(self, amount: int, now: dt.datetime) -> None:
        """``amount`` events took effect."""
        self.handled += amount
        self.rate.mark(amount)
        self.last_handled_at = now

    def troubled(
        self, context: str, state: FeedState, error: BaseException, recorded: RecordedEvent | None = None
    ) -> None:
        """Something failed in ``context``, with that event if one is to blame; ``state``: what is done about it."""
        self.states[context] = state
        at = "" if recorded is None else f"{recorded.event.topic} {recorded.event_id}: "
        self.last_error = at + describe(error)

    def report(self) -> FeedReport:
        """A snapshot; the state is the worst of the contexts'."""
        severity: tuple[FeedState, ...] = ("failed", "waiting", "retrying")
        troubles = set(self.states.values())
        worst: FeedState = next((state for state in severity if state in troubles), "running")
        return FeedReport(
            name=self.name,
            home=self.home,
            state=worst if self.base == "running" else self.base,
            positions=dict(self.positions),
            handled=self.handled,
            parked=self.parked,
            rate=self.rate.per_second(),
            last_error=self.last_error,
            last_handled_at=self.last_handled_at,
        )
