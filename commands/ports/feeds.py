"""Who follows the logs, and what becomes of what cannot be handled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from commands.ports.event_store import Checkpoint
from commands.ports.events import LogRun, Position


class Feed(Protocol):
    """An ordered, checkpointed consumer of one or more logs: a saga, a projection, a dispatcher of commands.

    It has one checkpoint per context, kept in its home's store. With ``commits_checkpoint`` its ``handle`` stores the
    checkpoint in the same commit as its effects; otherwise the runner stores it afterwards, so that a run may be
    handled twice, which must be harmless.
    """

    name: str
    contexts: tuple[str, ...]
    topics: frozenset[str] | None
    commits_checkpoint: bool

    async def handle(self, run: LogRun, checkpoint: Checkpoint) -> None:
        """Take a run as one unit of work; ``checkpoint`` stands behind it. Raises if nothing of it took effect.

        ``run.prev`` is where the run before it ended that was handed over; a run without events says that there was
        nothing for the feed. Raises WentBack if the effects of the run before are lost.
        """
        ...

    async def resumes_at(self, checkpoint: Checkpoint) -> Position:
        """Where to go on: at ``checkpoint``, or further back if the store of the effects has lost some of them.

        Raises what ``handle`` raises when that store is away.
        """
        ...


class FeedHost(Protocol):
    """Runs feeds: from the broker where there is one, from the log otherwise; retries, then parks what fails."""

    async def start(self, feed: Feed, home: str) -> None:
        """Run ``feed`` from its checkpoints, which are kept in ``home``'s store."""
        ...

    async def stop(self, name: str) -> None:
        """Stop a feed and wait until it has stopped; no error if it does not run."""
        ...


class WentBack(Exception):
    """A feed's store has lost effects that it had acknowledged: go on where the feed ``resumes_at`` now."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be handled, with everything needed to handle it later.

    ``consumer`` is the feed or ``commands:<service>``. ``stream_id`` and ``position`` are those of the event (None for
    a command). ``message`` is the event as a CloudEvent, or the command envelope, as JSON.
    ``behind``: it did not fail itself but came after one of the same stream that had.
    """

    letter_id: UUID
    consumer: str
    context: str
    stream_id: UUID | None
    position: Position | None
    topic: str
    message: dict[str, Any]
    error: str
    traceback: str
    attempts: int
    behind: bool
    parked_at: dt.datetime


class DeadLetters(Protocol):
    """The table ``dead_letters`` of one context's store."""

    async def park(self, letter: DeadLetter) -> None:
        """Keep ``letter``; parking the same message for the same consumer again changes nothing but its failure.

        And that only if it failed itself: what is ``behind`` never replaces a letter.
        """
        ...

    async def parked_streams(self, consumer: str) -> frozenset[UUID]:
        """Streams of which something is parked for ``consumer``: later events of them are parked behind it."""
        ...

    async def list(self, consumer: str | None = None, limit: int = 200) -> Sequence[DeadLetter]:
        """Oldest first."""
        ...

    async def of_stream(self, consumer: str, context: str, stream_id: UUID) -> Sequence[DeadLetter]:
        """What is parked of one stream for ``consumer``, in its order."""
        ...

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """One letter."""
        ...

    async def remove(self, letter_id: UUID) -> None:
        """Forget a letter that was handled after all or is given up."""
        ...
