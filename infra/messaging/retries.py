"""When a failure is tried again, and when it is given up: the same rules over RabbitMQ and straight from the log."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from commands.ports import Temporary


@dataclass(frozen=True, slots=True)
class CommandRetries:
    """Delays (seconds) before the second, third, ... attempt of a command; after the last it becomes a dead letter.

    ``temporary`` is the delay after a Temporary failure, which uses up no attempt.
    """

    delays: tuple[float, ...] = (1.0, 5.0, 30.0, 120.0)
    temporary: float = 5.0

    def after(self, attempt: int, error: Exception) -> tuple[float, int] | None:
        """Delay and number of the next attempt after the ``attempt``-th (from 1) failed; None: give up."""
        if isinstance(error, Temporary):
            return self.temporary, attempt
        if attempt <= len(self.delays):
            return self.delays[attempt - 1], attempt + 1
        return None

    @property
    def all_delays(self) -> tuple[float, ...]:
        """Every delay that can be asked for, each once."""
        return tuple(dict.fromkeys((*self.delays, self.temporary)))


@dataclass(frozen=True, slots=True)
class FeedRetries:
    """How patient a feed is with one event (seconds).

    ``delays``: waits before each further attempt of an event that fails. ``first``/``cap``: the doubling wait while a
    server is away, without end. ``conflicts``: how often a lost race for a stream is run again at once.
    ``known_bad``: how long an error that has outlived its retries is parked without them when the same kind of event
    fails in the same way, so that a broken handler costs the feed its waits once and not per event.
    """

    delays: tuple[float, ...] = (0.1, 0.5, 2.0)
    first: float = 0.2
    cap: float = 10.0
    conflicts: int = 20
    known_bad: float = 60.0

    def wait(self, attempt: int) -> float:
        """The wait after the ``attempt``-th (from 1) Temporary failure in a row."""
        return float(min(self.cap, self.first * 2 ** min(attempt - 1, 20)))


async def pause_unless(wake: asyncio.Event, seconds: float) -> bool:
    """Wait ``seconds``, or less if ``wake`` is set (then True)."""
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return False
    return True


def being_cancelled() -> bool:
    """Whether the current task was told to end.

    Libraries swallow a cancellation now and then, and a group of tasks prefers its own errors to it: a loop that
    outlives failures has to ask.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
