"""The embedded counterpart of the command queues: the service reads its commands off the bookings log."""

from __future__ import annotations

from commands.ports import Checkpoint, LogRun
from domain.saga.events import SagaCommandIssued
from infra.messaging.delivery import CommandDelivery
from infra.messaging.parking import consumer_of
from infra.messaging.wire import CommandMessage


class CommandFeed:
    """The feed ``commands:<service>``; start it with the service as its home.

    A run's commands are carried out concurrently. Those that fail wait in timers, so the feed itself never waits.
    """

    contexts: tuple[str, ...] = ("bookings",)
    topics: frozenset[str] | None = frozenset({SagaCommandIssued.topic})
    commits_checkpoint = False

    def __init__(self, delivery: CommandDelivery) -> None:
        self.name = consumer_of(delivery.service)
        self._delivery = delivery

    async def handle(self, run: LogRun, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - the runner stores it
        """Carry out the commands of the service in ``run``; repeated commands are recognised by their handlers."""
        messages = [message for recorded in run.events if (message := CommandMessage.issued(recorded)) is not None]
        await self._delivery.deliver_all([message for message in messages if message.service == self._delivery.service])
