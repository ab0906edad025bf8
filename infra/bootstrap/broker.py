"""What one process has to do with RabbitMQ, on one connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from commands.ports import Clock, CommandBus, EventStore
from commands.tracing import Tracing
from infra.clock import new_id
from infra.messaging.delivery import CommandDelivery, Dispatch
from infra.messaging.leadership import Leadership
from infra.messaging.queues import QueueDepth
from infra.messaging.rabbit.commands import AgainByBroker, CommandConsumers
from infra.messaging.rabbit.connection import RabbitConnection
from infra.messaging.rabbit.depths import depths
from infra.messaging.rabbit.feed_source import BrokerSources
from infra.messaging.rabbit.relay import Relay
from infra.messaging.rabbit.rpc import RabbitBus, RpcServer
from infra.messaging.stats import Stats


class Broker:
    """Used as a context manager: what was started is stopped at its end, the connection last."""

    def __init__(self, url: str, fatal: Callable[[str], None], stats: Stats, tracing: Tracing) -> None:
        """``fatal`` is told when the broker answers but does not deliver to this process."""
        self._connection = RabbitConnection(url, fatal, stats)
        self._stats = stats
        self._tracing = tracing
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._connection.start()
        self._stack.push_async_callback(self._connection.stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def state(self) -> str:
        """``up`` if the broker answers and everything wanted is consumed, else ``down``."""
        return self._connection.state

    @property
    def last_error(self) -> str | None:
        """What is wrong."""
        return self._connection.last_error

    async def bus(self, own: Sequence[str], dispatch: Dispatch) -> CommandBus:
        """Send commands to services of other processes, and answer theirs for the services in ``own``."""
        remote = RabbitBus(self._connection, tracing=self._tracing)
        await remote.start()
        self._stack.push_async_callback(remote.stop)
        server = RpcServer(self._connection, own, dispatch, self._stats)
        await server.start()
        self._stack.push_async_callback(server.stop)
        return remote

    def sources(self, logs: Mapping[str, EventStore]) -> BrokerSources:
        """Where feeds get events from."""
        return BrokerSources(self._connection, logs, self._stats)

    async def depths(
        self, feeds: Mapping[str, Sequence[str]], commanded: Sequence[str], answering: Sequence[str]
    ) -> Mapping[str, QueueDepth]:
        """How full the queues of all processes are; see ``infra.messaging.rabbit.depths``."""
        return await depths(self._connection, feeds=feeds, commanded=commanded, answering=answering)

    def again(self, service: str) -> AgainByBroker:
        """Delayed retries of a service's commands."""
        return AgainByBroker(self._connection, service)

    async def consume(self, delivery: CommandDelivery, clock: Clock) -> None:
        """Take the commands that sagas issue for a service."""
        consumers = CommandConsumers(self._connection, delivery, clock)
        await consumers.start()
        self._stack.push_async_callback(consumers.stop)

    async def relay(self, log: EventStore, leadership: Leadership, clock: Clock, commanded: Sequence[str]) -> None:
        """Publish a log, and the commands in it for the services ``commanded``."""
        relay = Relay(
            log,
            self._connection,
            leadership,
            clock,
            new_id,
            self._stats,
            command_services=commanded,
            tracing=self._tracing,
        )
        await relay.start()
        self._stack.push_async_callback(relay.stop)
