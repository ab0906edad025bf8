"""What an audit finds: per rule how much was checked, what is wrong, and which events prove it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from commands.ports import Position, RecordedEvent

LISTED = 100
"""How many violations of one rule are listed; the others are counted."""
GRACE = dt.timedelta(seconds=60)
"""How long after its time something may still be on its way before it counts as forgotten."""


class Place(NamedTuple):
    """Where a proof is: one event of a stream, or all of them (``version`` 0)."""

    context: str
    stream_id: UUID
    version: int = 0

    @classmethod
    def of(cls, recorded: RecordedEvent) -> Place:
        """The place of one event."""
        return cls(recorded.context, recorded.stream_id, recorded.version)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to tell: ``detail`` says what was expected and what is so."""

    detail: str
    proof: tuple[Place, ...] = ()


@dataclass(slots=True)
class Findings:
    """What one rule found. ``about`` is the rule in one sentence.

    ``noted`` is no violation but worth knowing. ``skipped`` says why the rule could not be checked at all.
    """

    name: str
    about: str
    checked: int = 0
    violations: list[Finding] = field(default_factory=list)
    unlisted: int = 0
    noted: list[Finding] = field(default_factory=list)
    skipped: str | None = None

    def violation(self, detail: str, *proof: Place) -> None:
        """Something is wrong."""
        if len(self.violations) < LISTED:
            self.violations.append(Finding(detail, proof))
        else:
            self.unlisted += 1

    def note(self, detail: str, *proof: Place) -> None:
        """Something is as it may be, but an operator wants to know."""
        if len(self.noted) < LISTED:
            self.noted.append(Finding(detail, proof))


@dataclass(frozen=True, slots=True)
class Period:
    """When something happened in the business sense, ``first`` inclusive, ``last`` exclusive; None: without bound.

    Everything is read and folded whatever the period, because what is so depends on what was before; only what happened
    in the period is judged.
    """

    first: dt.datetime | None = None
    last: dt.datetime | None = None

    def has(self, at: dt.datetime) -> bool:
        """Whether it happened in the period."""
        return (self.first is None or self.first <= at) and (self.last is None or at < self.last)


@dataclass(frozen=True, slots=True)
class Cut:
    """Up to where the logs are read, so that what is compared across them belongs together.

    The end of the bookings log is taken first and again last. What a saga had finished before the first of them has
    left all its traces in the logs whose ends were taken in between; what has traces there and no end yet has its cause
    before the second. So a booking is judged if it was settled at ``settled`` and nothing more happened to it until the
    end of ``ends``. ``sagas`` is how far the sagas had heard of bookings; ``now`` is the real time.
    """

    settled: Position
    ends: dict[str, Position]
    sagas: Position
    now: dt.datetime
