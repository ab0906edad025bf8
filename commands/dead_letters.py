"""Dead letters as operators see them: grouped by what went wrong, selected by many marks, retried or discarded."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from commands.ports import DeadLetter, DeadLetters

MOST_LETTERS = 10_000
"""What one action touches at most."""
LEFT_BEHIND = "left-behind"
"""The group of letters that wait behind a failure which is gone: a retry hands them over."""
RetryOutcome = Literal["handled", "failed_again", "failed_anew", "waiting", "gone"]
"""``failed_again``: as before; ``failed_anew``: in another way, or for the first time. ``waiting``: behind another one
that failed. ``gone``: somebody else was first."""

_FRAME = re.compile(r'File "([^"]+)", line \d+, in (\S+)')
_LIBRARY = re.compile(r"^.*/(?:site-packages|dist-packages|python3\.\d+)/")
_OURS = re.compile(r"(?:^|/)((?:domain|commands|sagas|projections|api|infra)/.+\.py)$")

_CARRIER = re.compile(r"infra/messaging/(?:delivery|feed_runner|timer_loop)\.py")
"""What carries messages to their handlers is in every traceback, on one way or another, and says nothing."""


class Failure(NamedTuple):
    """What went wrong: the type of the error, and the innermost of our own functions that it came through."""

    kind: str
    frame: str

    @property
    def group(self) -> str:
        """A short name of this failure, the same in every process and after changes elsewhere in the file."""
        return hashlib.sha256(f"{self.kind}\n{self.frame}".encode()).hexdigest()[:12]


def failure_of(letter: DeadLetter) -> Failure:
    """The failure behind a letter; the frame is empty where the traceback has none of ours."""
    frames = [
        f"{ours} in {function}"
        for path, function in _FRAME.findall(letter.traceback)
        if (ours := _our(path)) and not _CARRIER.match(ours)
    ]
    return Failure(letter.error.partition(":")[0].strip()[:100], frames[-1] if frames else "")


def _our(path: str) -> str | None:
    """The path below the root of our code; None for a library's file."""
    inside = _LIBRARY.sub("", path)
    found = _OURS.search(path) if inside == path else _OURS.match(inside)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Letters with one failure. ``behind`` counts those that wait behind them; ``error`` is the newest one's text."""

    group: str
    failure: Failure
    consumers: Sequence[str]
    topics: Sequence[str]
    count: int
    behind: int
    first_at: dt.datetime
    last_at: dt.datetime
    error: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Letters that have all of these marks; None or empty: any. ``kind`` is a type of errors or of messages.

    ``older_than`` and ``newer_than`` compare the time of the first failure.
    """

    letter_ids: Sequence[UUID] = ()
    group: str | None = None
    consumer: str | None = None
    kind: str | None = None
    stream_id: UUID | None = None
    older_than: dt.datetime | None = None
    newer_than: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderedRetry:
    """What became of one letter that an operator wants retried; ``outcome`` None: nobody has taken it up yet."""

    action_id: UUID
    letter_id: UUID
    consumer: str
    outcome: RetryOutcome | None = None
    error: str | None = None


def summed(retries: Sequence[OrderedRetry]) -> Mapping[str, int]:
    """How many orders had each outcome; ``pending`` counts those that have none yet."""
    outcomes = ("handled", "failed_again", "failed_anew", "waiting", "gone")
    counted = {outcome: sum(retry.outcome == outcome for retry in retries) for outcome in outcomes}
    return counted | {"pending": sum(retry.outcome is None for retry in retries)}


@dataclass(frozen=True, slots=True)
class ParkedEvents:
    """What a feed could not handle: how many events, those behind others included; and the first that failed."""

    number: int
    topic: str
    event_id: UUID
    error: str
    since: dt.datetime


class LetterDesk(DeadLetters, Protocol):
    """The dead letters of one context, for operators.

    A retry is an order that the process in which the consumer is active takes up: see ``claim_retries``.
    """

    async def groups(self) -> Sequence[FailureGroup]:
        """All failures, the newest first."""
        ...

    async def select(self, selection: Selection, limit: int) -> Sequence[DeadLetter]:
        """Oldest first."""
        ...

    async def letters(self, letter_ids: Sequence[UUID]) -> Sequence[DeadLetter]:
        """Those of these letters that are still there."""
        ...

    async def of_streams(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """These letters and all others of their streams (per consumer), each stream in its order."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """How many letters there are, by consumer."""
        ...

    async def parked_events(self) -> Mapping[str, ParkedEvents]:
        """What feeds could not handle, by feed."""
        ...

    async def discard(self, letter_ids: Sequence[UUID]) -> int:
        """Forget letters; returns how many there were."""
        ...

    async def order_retries(self, action_id: UUID, letter_ids: Sequence[UUID]) -> int:
        """Want these letters retried; returns how many of them there are."""
        ...

    async def retries(self, action_id: UUID) -> Sequence[OrderedRetry]:
        """What has become of one order."""
        ...

    async def claim_retries(self, consumers: Sequence[str], limit: int) -> Sequence[OrderedRetry]:
        """Take up orders for these consumers, oldest first. What is not settled within 60 s can be claimed again."""
        ...

    async def settle_retries(self, retries: Sequence[OrderedRetry]) -> None:
        """Write down what became of them."""
        ...
