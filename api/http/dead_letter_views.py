"""What operators are told of dead letters."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import Field

from api.http.views import View, utc
from commands.dead_letters import FailureGroup, failure_of
from commands.ports import DeadLetter


class DeadLetterView(View):
    """What could not be handled. ``behind``: it waits behind one of the same stream that could not.

    ``group`` names the failure, see the list of groups; ``frame`` is the innermost function of ours in the traceback.
    """

    letter_id: UUID
    consumer: str
    context: str
    stream_id: UUID | None
    position: str | None
    topic: str
    group: str | None
    frame: str
    error: str
    attempts: int
    behind: bool
    parked_at: str
    message: dict[str, Any] = Field(default={}, description="only in the letter itself, not in lists")
    traceback: str = ""


class DeadLettersView(View):
    """Dead letters, oldest first."""

    items: list[DeadLetterView]
    next_cursor: None


class FailureGroupView(View):
    """Letters that failed in the same way; ``behind`` counts those that wait behind them."""

    group: str
    type: str
    frame: str
    consumers: list[str]
    topics: list[str]
    count: int
    behind: int
    first_at: str
    last_at: str
    error: str


class FailureGroupsView(View):
    """All failures, the newest first."""

    items: list[FailureGroupView]
    next_cursor: None


class FailedLetter(View):
    """A letter that was retried and not handled, and why."""

    letter_id: UUID
    consumer: str
    outcome: str | None
    error: str


class LettersTouched(View):
    """What an action touched: ``selected`` letters, of ``streams`` streams.

    ``failed_again``: as before (an old failure); ``failed_anew``: in another way (a new one); ``waiting``: behind one
    that failed; ``gone``: somebody was first; ``pending``: no process has taken it up yet, it will be as soon as its
    consumer runs. ``failures`` names some of those that failed.
    """

    action: str
    action_id: UUID | None
    dry_run: bool
    selected: int
    streams: int
    handled: int
    failed_again: int
    failed_anew: int
    waiting: int
    gone: int
    pending: int
    discarded: int
    failures: list[FailedLetter]


def letter_view(letter: DeadLetter, error: str) -> dict[str, Any]:
    """A letter with its error, masked or not; without its message."""
    failure = failure_of(letter)
    return {
        "letter_id": str(letter.letter_id),
        "consumer": letter.consumer,
        "context": letter.context,
        "stream_id": str(letter.stream_id) if letter.stream_id else None,
        "position": str(letter.position) if letter.position else None,
        "topic": letter.topic,
        "group": None if letter.behind else failure.group,
        "frame": failure.frame,
        "error": error,
        "attempts": letter.attempts,
        "behind": letter.behind,
        "parked_at": utc(letter.parked_at),
    }


def group_view(group: FailureGroup, error: str) -> dict[str, Any]:
    """A group with the error of its newest letter, masked or not."""
    return {
        "group": group.group,
        "type": group.failure.kind,
        "frame": group.failure.frame,
        "consumers": sorted(group.consumers),
        "topics": sorted(group.topics),
        "count": group.count,
        "behind": group.behind,
        "first_at": utc(group.first_at),
        "last_at": utc(group.last_at),
        "error": error,
    }
