"""Delivers the timers of one context when they are due."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from contextlib import AbstractContextManager
from functools import partial
from uuid import UUID

import structlog

from commands.ports import Clock, CommandEnvelope, DeadLetters, DueTimer, Temporary, Timers, UnreadableTimer
from commands.tracing import UNTRACED, Attributes, Tracing, logged_for, span_of_command
from infra.messaging.delivery import Dispatch
from infra.messaging.parking import command_letter, undecodable_letter
from infra.messaging.retries import FeedRetries, being_cancelled, pause_unless
from infra.messaging.stats import Stats
from infra.messaging.wire import CommandMessage

log = structlog.get_logger(__name__)

_Due = tuple[UUID, dt.datetime]

LOOK_EVERY_SECONDS = 1.0
"""Timers are set by any process; so the table is looked at this often even if nothing here was set."""
GIVE_UP_AFTER = 5
"""Failures of one timer, each about half a minute (the claim) after the one before."""


class TimerLoop:
    """Claims due timers and hands their commands to ``dispatch``, many at once.

    A command that fails keeps its claim, so that it comes again when the claim lapses; one that fails ``GIVE_UP_AFTER``
    times in this process becomes a dead letter, one that cannot even be read at once. Temporary failures are not
    counted. Several processes may run the loop of one context: each timer is claimed by one of them.
    """

    def __init__(
        self,
        context: str,
        timers: Timers,
        dispatch: Dispatch,
        dead_letters: DeadLetters,
        clock: Clock,
        stats: Stats,
        *,
        at_once: int = 64,
        look_every: float = LOOK_EVERY_SECONDS,
        give_up_after: int = GIVE_UP_AFTER,
        tracing: Tracing = UNTRACED,
    ) -> None:
        self._context = context
        self._timers = timers
        self._dispatch = dispatch
        self._dead_letters = dead_letters
        self._clock = clock
        self._stats = stats
        self._at_once = at_once
        self._look_every = look_every
        self._give_up_after = give_up_after
        self._tracing = tracing
        self._failures: Counter[UUID] = Counter()
        self._woken = asyncio.Event()
        self._in_flight: dict[_Due, asyncio.Task[None]] = {}
        self._done: set[_Due] = set()
        """Since the last claim was begun: it may still give out what was forgotten meanwhile."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to deliver."""
        self._task = asyncio.create_task(self._run(), name=f"timers of {self._context}")

    async def stop(self) -> None:
        """Stop; what was claimed and not done comes again, here or elsewhere."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def wake(self) -> None:
        """Look at the table now: a timer was set."""
        self._woken.set()

    async def _run(self) -> None:
        waits = FeedRetries()
        failures = 0
        try:
            while not being_cancelled():
                try:
                    await self._claim_and_start()
                    failures = 0
                except Exception as error:  # noqa: BLE001 - the loop must outlive an outage of its store
                    failures += 1
                    log.warning("timers_interrupted", context=self._context, error=repr(error))
                    await asyncio.sleep(waits.wait(failures))
        finally:
            for task in self._in_flight.values():
                task.cancel()
            await asyncio.gather(*self._in_flight.values(), return_exceptions=True)

    async def _claim_and_start(self) -> None:
        """Start the delivery of what is due; then wait until there may be more, or room for more."""
        self._woken.clear()
        room = self._at_once - len(self._in_flight)
        if room <= 0:
            await asyncio.wait(self._in_flight.values(), return_when=asyncio.FIRST_COMPLETED)
            return
        self._done.clear()
        claimed = await self._timers.claim_due(self._clock.now(), room)
        for timer in claimed:
            # A delivery that outlasts its claim is claimed again, by us as well; one at a time is enough. A timer that
            # its own delivery sets anew is due at another time, and must not wait for a claim to lapse.
            due = timer.timer_id, timer.due_at
            if due not in self._in_flight and due not in self._done:
                task = asyncio.create_task(self._deliver(timer))
                self._in_flight[due] = task
                task.add_done_callback(partial(self._landed, due))
        if not claimed:
            await pause_unless(self._woken, await self._until_next())

    def _landed(self, due: _Due, task: asyncio.Task[None]) -> None:
        del self._in_flight[due]
        if not task.cancelled() and (error := task.exception()) is not None:
            # Parking or forgetting failed: the claim lapses and the timer comes again.
            log.warning("timer_unsettled", context=self._context, timer=str(due[0]), error=repr(error))

    async def _until_next(self) -> float:
        due_at = await self._timers.next_due()
        if due_at is None:
            return self._look_every
        return min(self._look_every, max(0.0, (due_at - self._clock.now()).total_seconds()))

    async def _deliver(self, timer: DueTimer | UnreadableTimer) -> None:
        if isinstance(timer, UnreadableTimer):
            await self._park_unreadable(timer)
        else:
            with logged_for(timer.command.metadata):
                await self._dispatch_it(timer)

    async def _park_unreadable(self, timer: UnreadableTimer) -> None:
        self._stats.count("timers_failed", context=self._context)
        log.error("timer_unreadable", context=self._context, timer=str(timer.timer_id), error=repr(timer.error))
        await self._dead_letters.park(
            undecodable_letter(self._context, timer.timer_id, timer.stored, timer.error, self._clock.now())
        )
        await self._forget(timer)

    async def _forget(self, timer: DueTimer | UnreadableTimer) -> None:
        await self._timers.done(timer)
        self._done.add((timer.timer_id, timer.due_at))

    def _span(self, timer: DueTimer) -> AbstractContextManager[CommandEnvelope]:
        late = (self._clock.now() - timer.due_at).total_seconds()
        about: Attributes = {
            "nightledger.timer.due_at": timer.due_at.isoformat(),
            "nightledger.timer.late_seconds": late,
        }
        return span_of_command(self._tracing, f"timer {timer.command.command.name}", "internal", timer.command, about)

    async def _dispatch_it(self, timer: DueTimer) -> None:
        try:
            with self._span(timer) as spanned:
                await self._dispatch(spanned)
        except Temporary as error:
            log.warning("timer_postponed", context=self._context, timer=str(timer.timer_id), error=repr(error))
            return
        except Exception as error:  # noqa: BLE001 - a timer that cannot be delivered is counted, then parked
            self._failures[timer.timer_id] += 1
            self._stats.count("timers_failed", context=self._context)
            log.warning("timer_failed", context=self._context, timer=str(timer.timer_id), error=repr(error))
            if self._failures[timer.timer_id] < self._give_up_after:
                return
            message = CommandMessage.of(timer.command)
            await self._dead_letters.park(
                command_letter(self._context, message, error, self._failures[timer.timer_id], self._clock.now())
            )
        else:
            self._stats.count("timers_done", context=self._context)
        self._failures.pop(timer.timer_id, None)
        await self._forget(timer)
