"""How a saga's command is carried out: tried, tried again later, or parked. The same for both ways of delivery."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID, uuid5

import structlog

from commands.ports import (
    Answer,
    Clock,
    CommandEnvelope,
    Commit,
    DeadLetter,
    DeadLetters,
    DuplicateMessage,
    EventStore,
    SetTimer,
)
from commands.tracing import logged_for
from domain.shared.messages import Command
from infra.messaging.parking import command_letter
from infra.messaging.retries import CommandRetries
from infra.messaging.stats import Stats
from infra.messaging.wire import CommandMessage

log = structlog.get_logger(__name__)

Dispatch = Callable[[CommandEnvelope], Awaitable[Answer]]
LOST_AFTER_SECONDS = 60.0
AT_ONCE = 128
"""Commands of one run that are carried out concurrently; they meet in the group commit."""


class Again(Protocol):
    """Brings a command back later, durably."""

    async def bring(self, message: CommandMessage, attempt: int, delay: float) -> None:
        """Deliver ``message`` as its ``attempt``-th attempt in ``delay`` seconds."""
        ...


class CommandDelivery:
    """Carries out the commands of one service. A failed command never holds up another."""

    def __init__(
        self,
        service: str,
        dispatch: Dispatch,
        again: Again,
        dead_letters: DeadLetters,
        clock: Clock,
        stats: Stats,
        retries: CommandRetries | None = None,
    ) -> None:
        self.service = service
        self.dispatch = dispatch
        self.dead_letters = dead_letters
        self.retries = retries or CommandRetries()
        self._again = again
        self._clock = clock
        self._stats = stats
        self._room = asyncio.Semaphore(AT_ONCE)

    async def deliver_all(self, messages: Sequence[CommandMessage], attempt: int = 1) -> None:
        """Carry out a run of commands concurrently; returns when each is done, due again, or parked.

        Raises (a Temporary, mostly) only if a failure could neither be brought again nor parked.
        """
        results = await asyncio.gather(
            *(self.deliver(message, attempt) for message in messages), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def deliver(self, message: CommandMessage, attempt: int = 1) -> None:
        """Carry out one command; see deliver_all."""
        with logged_for(message.metadata):
            try:
                async with self._room:
                    await self.dispatch(message.envelope())
            except DuplicateMessage:
                self._count("commands_duplicate")
            except Exception as error:  # noqa: BLE001 - every failure is retried, then parked with its traceback
                self._count("commands_failed")
                await self._failed(message, attempt, error)
            else:
                self._count("commands_done")

    async def bring_again_if_lost(self, message: CommandMessage) -> None:
        """Have a command that is being carried out brought again, should this process not live to see its end."""
        await self._again.bring(message, 1, LOST_AFTER_SECONDS)

    async def retry(self, letter: DeadLetter) -> Answer:
        """Carry out a parked command once more; forget the letter if that works. Raises what the handler raises."""
        message = CommandMessage.model_validate(letter.message)
        try:
            answer = await self.dispatch(message.envelope())
        except DuplicateMessage as error:
            answer = error.answer or Answer(context=self.service)
        except Exception as error:
            await self.park(message, error, letter.attempts + 1)
            raise
        await self.dead_letters.remove(letter.letter_id)
        return answer

    async def park(self, message: CommandMessage, error: Exception, attempts: int) -> None:
        """Make a dead letter of a command."""
        letter = command_letter(self.service, message, error, attempts, self._clock.now())
        await self.dead_letters.park(letter)
        self._count("commands_parked")
        log.error("command_parked", service=self.service, command=message.command, error=letter.error)

    async def _failed(self, message: CommandMessage, attempt: int, error: Exception) -> None:
        following = self.retries.after(attempt, error)
        if following is None:
            await self.park(message, error, attempt)
            return
        delay, next_attempt = following
        log.warning("command_failed", service=self.service, command=message.command, attempt=attempt, error=repr(error))
        await self._again.bring(message, next_attempt, delay)

    def _count(self, name: str) -> None:
        self._stats.count(name, service=self.service)


class RepeatCommand(Command, name="messaging.RepeatCommand"):
    """A failed command that waits in a timer for its next attempt. Never dispatched: ``repeating`` unwraps it."""

    attempt: int
    command_id: UUID
    command: str
    content: dict[str, object]


class AgainByTimer:
    """Keeps failed commands in the timers of the service's own store."""

    def __init__(self, store: EventStore, clock: Clock, wake: Callable[[], object] = bool) -> None:
        """``wake`` tells the service's TimerLoop to look; without it, it looks once a second."""
        self._store = store
        self._clock = clock
        self._wake = wake

    async def bring(self, message: CommandMessage, attempt: int, delay: float) -> None:
        """See Again. Bringing the same command again replaces its timer."""
        timer_id = uuid5(message.command_id, "again")
        repeat = RepeatCommand(
            attempt=attempt, command_id=message.command_id, command=message.command, content=message.content
        )
        envelope = CommandEnvelope(timer_id, repeat, message.metadata, message.idempotency)
        due_at = self._clock.now() + dt.timedelta(seconds=delay)
        await self._store.commit(Commit(message.metadata, timers=(SetTimer(timer_id, due_at, envelope),)))
        self._wake()


def repeating(dispatch: Dispatch, delivery: CommandDelivery) -> Dispatch:
    """A dispatch for the TimerLoop that sends repeated commands through ``delivery`` and all others to ``dispatch``."""

    async def deliver(envelope: CommandEnvelope) -> Answer:
        repeat = envelope.command
        if not isinstance(repeat, RepeatCommand):
            return await dispatch(envelope)
        message = CommandMessage(
            command_id=repeat.command_id,
            command=repeat.command,
            content=repeat.content,
            metadata=envelope.metadata,
            idempotency=envelope.idempotency,
        )
        await delivery.deliver(message, repeat.attempt)
        return Answer(context=delivery.service)

    return deliver
