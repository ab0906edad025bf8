"""Command consumers: they compete on one queue per service, and retries are ours, not the broker's."""

from __future__ import annotations

import asyncio
from uuid import NAMESPACE_OID, uuid5

from faststream.exceptions import RejectMessage
from faststream.rabbit import RabbitMessage
from pydantic import ValidationError

from commands.ports import Clock
from infra.messaging.delivery import CommandDelivery
from infra.messaging.parking import unreadable_letter
from infra.messaging.rabbit.connection import RabbitConnection, Subscription
from infra.messaging.rabbit.topology import COMMANDS, DEAD, commands_queue, dead_queue, retry_queue
from infra.messaging.wire import CommandMessage, decode_commands, encode_commands

PREFETCH = 16
ATTEMPT_HEADER = "attempt"
UNSETTLED_PAUSE_SECONDS = 1.0


class KilledItsProcess(Exception):
    """The broker gave a message up: it was delivered again and again and never acknowledged."""


class AgainByBroker:
    """Keeps failed commands in the retry queues of the service."""

    def __init__(self, connection: RabbitConnection, service: str) -> None:
        self._connection = connection
        self._service = service

    async def bring(self, message: CommandMessage, attempt: int, delay: float) -> None:
        """See Again. Raises Unroutable or BrokerUnavailable; then the whole run comes again."""
        await self._connection.publish(
            encode_commands([message]),
            routing_key=retry_queue(self._service, delay).name,
            headers={ATTEMPT_HEADER: str(attempt)},
        )


class CommandConsumers:
    """Takes the commands of one service off its queue. ``delivery`` must bring them again by AgainByBroker."""

    def __init__(self, connection: RabbitConnection, delivery: CommandDelivery, clock: Clock) -> None:
        self._connection = connection
        self._delivery = delivery
        self._clock = clock
        service = delivery.service
        self._subscriptions = (
            Subscription(commands_queue(service), self._take, COMMANDS, PREFETCH),
            Subscription(dead_queue(service), self._bury, DEAD, PREFETCH),
        )

    async def start(self) -> None:
        """Consume from now on, as soon as the broker is there."""
        for delay in self._delivery.retries.all_delays:
            self._connection.declare(retry_queue(self._delivery.service, delay))
        for subscription in self._subscriptions:
            self._connection.subscribe(subscription)

    async def stop(self) -> None:
        """Stop when the commands at hand are done; unfinished ones are delivered again."""
        for subscription in self._subscriptions:
            await self._connection.unsubscribe(subscription)

    async def _take(self, message: RabbitMessage) -> None:
        try:
            messages = decode_commands(message.body)
            attempt = int(str(message.headers.get(ATTEMPT_HEADER, "1")))
        except ValueError as error:  # what pydantic's ValidationError is, too
            raise RejectMessage from error
        try:
            await self._delivery.deliver_all(messages, attempt)
        except Exception:
            # A failure could be neither brought again nor parked: its server is away. Do not come back at once.
            await asyncio.sleep(UNSETTLED_PAUSE_SECONDS)
            raise

    async def _bury(self, message: RabbitMessage) -> None:
        try:
            try:
                messages = decode_commands(message.body)
            except ValidationError as error:
                letter_id = uuid5(NAMESPACE_OID, message.body.hex())
                await self._delivery.dead_letters.park(
                    unreadable_letter(self._delivery.service, letter_id, message.body, str(error), self._clock.now())
                )
                return
            for command in messages:
                await self._delivery.park(command, KilledItsProcess("the broker's delivery limit was reached"), 1)
        except Exception:
            await asyncio.sleep(UNSETTLED_PAUSE_SECONDS)
            raise
