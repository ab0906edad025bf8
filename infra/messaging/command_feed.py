"""The embedded counterpart of the command queues: the service reads its commands off the bookings log."""

from __future__ import annotations

import asyncio

import structlog

from commands.ports import Checkpoint, LogRun, Position
from domain.saga.events import SagaCommandIssued
from infra.messaging.delivery import CommandDelivery
from infra.messaging.parking import consumer_of
from infra.messaging.wire import CommandMessage

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 1.0
"""How long a run waits for its slowest command."""


class CommandFeed:
    """The feed ``commands:<service>``; start it with the service as its home.

    A run's commands are carried out concurrently. Those that fail wait in timers, so the feed itself never waits; one
    that is slow (a payment provider that hangs) gets a timer too, in case the process ends before it does, and goes on
    beside the feed.
    """

    contexts: tuple[str, ...] = ("bookings",)
    topics: frozenset[str] | None = frozenset({SagaCommandIssued.topic})
    commits_checkpoint = False

    def __init__(self, delivery: CommandDelivery, patience: float = PATIENCE_SECONDS) -> None:
        self.name = consumer_of(delivery.service)
        self._delivery = delivery
        self._patience = patience
        self._slow: set[asyncio.Task[None]] = set()

    async def handle(self, run: LogRun, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - the runner stores it
        """Carry out the commands of the service in ``run``; repeated commands are recognised by their handlers."""
        messages = [message for recorded in run.events if (message := CommandMessage.issued(recorded)) is not None]
        tasks = {
            asyncio.create_task(self._delivery.deliver(message)): message
            for message in messages
            if message.service == self._delivery.service
        }
        if not tasks:
            return
        try:
            done, slow = await asyncio.wait(tasks, timeout=self._patience)
            for task in slow:
                await self._delivery.bring_again_if_lost(tasks[task])
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        for task in slow:
            self._slow.add(task)
            task.add_done_callback(self._slow_one_ended)
        for task in done:
            task.result()

    async def resumes_at(self, checkpoint: Checkpoint) -> Position:
        """See Feed: the effects are in PostgreSQL, like the checkpoint."""
        return checkpoint.position

    def _slow_one_ended(self, task: asyncio.Task[None]) -> None:
        self._slow.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # It could neither be brought again nor parked: its timer brings it.
            log.warning("slow_command_unsettled", feed=self.name, error=repr(error))
