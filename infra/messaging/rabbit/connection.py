"""The connection to RabbitMQ: it keeps up what the process wants to consume, and says so loudly when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

import aiormq
import structlog
from aio_pika import RobustConnection, connect_robust
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, DeliveryError
from aiormq.exceptions import ChannelInvalidStateError
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

from commands.ports import Temporary
from infra.messaging.rabbit.topology import EXCHANGES
from infra.messaging.retries import being_cancelled, pause_unless
from infra.messaging.stats import Stats

if TYPE_CHECKING:
    from faststream.rabbit.subscriber import RabbitSubscriber

log = structlog.get_logger(__name__)

CHECK_EVERY_SECONDS = 2.0
PUBLISH_SECONDS = 10.0
ANSWER_SECONDS = 5.0
"""How long the broker may take to connect, or to give us a queue."""
DISCONNECT_SECONDS = 2 * ANSWER_SECONDS
"""How long to leave a queue or the broker may take; running handlers get half of it."""
RECONCILE_SECONDS = 60.0
GIVE_UP_AFTER = 5
"""Rebuilt connections in a row that lacked a consumer although the broker answers."""

BrokerState = Literal["up", "down"]


class BrokerUnavailable(Temporary):
    """RabbitMQ does not answer, or did not confirm in time. What was published may or may not have arrived."""


class Unroutable(Exception):
    """No queue takes the message."""


class ConsumerMissing(Exception):
    """The broker does not deliver a queue of ours to us although we subscribed to it."""


@dataclass(eq=False, slots=True)
class Subscription:
    """A queue to consume. ``handler`` returns to acknowledge; a raise requeues (RejectMessage: dead-letters).

    ``prefetch`` bounds the messages that are handled at a time. ``disposable``: what is in the queue can be had again,
    so that a queue that the broker cannot bring up any more may be deleted. ``active`` is set while it is subscribed.
    """

    queue: RabbitQueue
    handler: Callable[[RabbitMessage], Awaitable[None]]
    exchange: RabbitExchange | None = None
    prefetch: int = 32
    disposable: bool = False
    active: asyncio.Event = field(default_factory=asyncio.Event)


class _Broker(RabbitBroker):
    """FastStream's, except that a connection on which no channel can be opened is closed.

    FastStream (0.7) drops it; nobody could close it any more, and it would connect again and again for ever. Callbacks
    for lost connections, which FastStream would add here, are not used: the supervisor looks for itself.
    """

    async def _connect(self) -> RobustConnection:
        connection = cast("RobustConnection", await connect_robust(**self._connection_kwargs))
        try:
            self.config.connect(connection)
            self._channel = await self.config.channel_manager.get_channel()
        except BaseException:
            await connection.close()
            raise
        return connection


async def _as_it_is(message: RabbitMessage) -> RabbitMessage:
    """Leave decoding to the handler, which mostly need not decode at all."""
    return message


class RabbitConnection:
    """One connection per process.

    A supervisor keeps it in the wanted state, so that nobody has to wait for a broker that is away. Every
    ``check_every`` seconds it asks the broker whether each of our queues has a consumer, and the client whether ours
    is registered. If one is missing (after a restart of the broker, or a deleted queue) the connection is built anew;
    when that has failed ``GIVE_UP_AFTER`` times with a broker that answers, ``fatal`` is called with what is wrong: it
    has to end the process, because a process that looks alive and consumes nothing is the worst kind.
    """

    def __init__(
        self, url: str, fatal: Callable[[str], None], stats: Stats, *, check_every: float = CHECK_EVERY_SECONDS
    ) -> None:
        self._url = url
        self._fatal = fatal
        self._stats = stats
        self._check_every = check_every
        self._wanted: dict[Subscription, RabbitSubscriber | None] = {}
        self._queues: dict[RabbitQueue, RabbitExchange | None] = {}
        self._declared: set[RabbitQueue] = set()
        self._broker: RabbitBroker | None = None
        self._silent: RabbitBroker | None = None
        """The last one that did not let us leave a queue: whoever used it on might wait for ever."""
        self._changed = asyncio.Event()
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.last_error: str | None = None

    @property
    def state(self) -> BrokerState:
        """Whether the broker answered at the last check and everything wanted is consumed."""
        return "up" if self._up.is_set() else "down"

    async def start(self) -> None:
        """Begin to connect; does not wait for the broker."""
        self._stopping = False
        self._task = asyncio.create_task(self._supervise(), name="rabbitmq supervisor")

    async def stop(self) -> None:
        """Let running handlers end, then disconnect."""
        if self._task is not None:
            # Asked first: to cancel in the middle of a call to the broker leaves its channel in disorder.
            self._stopping = True
            self._changed.set()
            await asyncio.wait({self._task}, timeout=ANSWER_SECONDS)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._disconnect()

    async def wait_up(self, seconds: float) -> bool:
        """Wait until everything wanted is in place; False after ``seconds``."""
        return await pause_unless(self._up, seconds)

    def subscribe(self, subscription: Subscription) -> None:
        """Consume a queue from now on."""
        self._wanted[subscription] = None
        self._want()

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop to consume a queue; returns when its running handlers have ended.

        A broker that does not answer to that holds up nobody: the connection is built anew instead, and with the old
        one its consumers end.
        """
        subscriber = self._wanted.pop(subscription, None)
        subscription.active.clear()
        broker = self._broker
        if subscriber is None or broker is self._silent:
            return
        try:
            with _asking("let us leave a queue"):
                async with asyncio.timeout(DISCONNECT_SECONDS):
                    await subscriber.stop()
        except BrokerUnavailable as error:
            # It may be the old connection, while that is replaced: then this changes nothing.
            log.warning("unsubscribed_without_broker", queue=subscription.queue.name, error=str(error))
            self._silent = broker
            self._want()

    def declare(self, queue: RabbitQueue, exchange: RabbitExchange | None = None) -> None:
        """Keep a queue declared, and bound to ``exchange`` by its routing key, without consuming it."""
        self._queues[queue] = exchange
        self._want()

    def forget_declared(self) -> None:
        """Declare everything again: somebody may have deleted a queue."""
        self._declared.clear()
        self._want()

    async def publish(
        self,
        body: bytes,
        *,
        routing_key: str,
        exchange: RabbitExchange | None = None,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        persist: bool = True,
        expiration: float | None = None,
        reply_to: str | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Publish and wait for the broker's confirmation.

        Raises Unroutable, or BrokerUnavailable after 10 s or when the connection is lost.
        """
        broker = self._broker
        if broker is None:
            raise BrokerUnavailable(f"not connected to RabbitMQ ({self.last_error})")
        with _asking("confirm"):
            try:
                async with asyncio.timeout(PUBLISH_SECONDS):
                    await broker.publish(
                        body,
                        exchange=exchange,
                        routing_key=routing_key,
                        mandatory=True,
                        persist=persist,
                        headers=dict(headers or {}),
                        content_type=content_type,
                        expiration=expiration,
                        reply_to=reply_to,
                        correlation_id=correlation_id,
                    )
            except DeliveryError as error:
                raise Unroutable(f"no queue takes {routing_key!r}: {error}") from error

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel for questions to the broker. Raises BrokerUnavailable, also if it does not answer within 10 s."""
        broker = self._broker
        if broker is None:
            raise BrokerUnavailable(f"not connected to RabbitMQ ({self.last_error})")
        with _asking("answer"):
            async with asyncio.timeout(PUBLISH_SECONDS):
                connection = await broker.connect()
                async with connection.channel() as channel:
                    yield channel

    def _want(self) -> None:
        self._up.clear()
        self._changed.set()

    async def _supervise(self) -> None:
        without_consumers = 0
        while not (self._stopping or being_cancelled()):
            self._changed.clear()
            try:
                with _asking("set up what we want"):
                    async with asyncio.timeout(RECONCILE_SECONDS):
                        await self._reconcile()
                without_consumers = 0
                self.last_error = None
                if not self._changed.is_set():
                    self._up.set()
            except Exception as error:  # noqa: BLE001 - the supervisor must outlive any failure of the broker
                self._up.clear()
                self.last_error = f"{type(error).__name__}: {error}"
                log.warning("rabbitmq_trouble", error=self.last_error)
                self._stats.count("rabbit_rebuilds")
                await self._disconnect()
                without_consumers += isinstance(error, ConsumerMissing)
                if without_consumers >= GIVE_UP_AFTER:
                    self._fatal(f"RabbitMQ answers but does not deliver to this process: {error}")
                    return
            await pause_unless(self._changed, self._check_every)

    async def _reconcile(self) -> None:
        broker = self._broker or await self._connect()
        if broker is self._silent:
            raise BrokerUnavailable("RabbitMQ does not answer on this connection any more")
        connection = await broker.connect()
        if not connection.connected.is_set():
            raise BrokerUnavailable("the connection is lost")
        wanted = tuple(self._wanted)  # before the queues, so that whatever was declared first is there first
        for queue, exchange in tuple(self._queues.items()):
            if queue not in self._declared:
                # A server that has just come back after a kill may leave one of these unanswered for ever.
                async with asyncio.timeout(ANSWER_SECONDS):
                    declared = await broker.declare_queue(queue)
                    if exchange is not None:
                        await declared.bind(exchange.name, queue.routing())
                self._declared.add(queue)
        for subscription in wanted:
            if subscription in self._wanted and self._wanted[subscription] is None:
                await self._subscribe(broker, subscription)
        await self._check_consumers()

    async def _connect(self) -> RabbitBroker:
        broker = _Broker(
            self._url,
            default_channel=Channel(on_return_raises=True, prefetch_count=32),
            ack_policy=AckPolicy.NACK_ON_ERROR,
            apply_types=False,
            graceful_timeout=5.0,
            reconnect_interval=1.0,
            timeout=ANSWER_SECONDS,
            logger=None,
        )
        await broker.connect()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await broker.start()
                for exchange in EXCHANGES:
                    await broker.declare_exchange(exchange)
        except BaseException:
            await _leave(broker)
            raise
        self._broker = broker
        log.info("rabbitmq_connected")
        return broker

    async def _subscribe(self, broker: RabbitBroker, subscription: Subscription) -> None:
        subscriber = broker.subscriber(
            subscription.queue,
            exchange=subscription.exchange,
            channel=Channel(prefetch_count=subscription.prefetch),
            ack_policy=AckPolicy.NACK_ON_ERROR,
            no_reply=True,
            decoder=_as_it_is,
            persistent=False,
        )
        subscriber(subscription.handler)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await subscriber.start()
        except TimeoutError as error:
            # A quorum queue that was declared just before its server was killed may never come up again.
            if subscription.disposable:
                await self._delete(broker, subscription.queue)
            raise ConsumerMissing(
                f"the broker does not bring up the queue {subscription.queue.name!r}; if that lasts, delete the queue"
            ) from error
        if subscription in self._wanted:
            self._wanted[subscription] = subscriber
            subscription.active.set()
        else:  # it was unsubscribed meanwhile
            await subscriber.stop()

    @staticmethod
    async def _delete(broker: RabbitBroker, queue: RabbitQueue) -> None:
        connection = await broker.connect()
        try:
            with _asking("delete the queue"):
                async with asyncio.timeout(ANSWER_SECONDS), connection.channel() as channel:
                    await channel.queue_delete(queue.name)
        except BrokerUnavailable as error:
            # Mostly it is gone all the same; if not, the next attempt to consume it leads here again.
            log.warning("queue_deletion_unconfirmed", queue=queue.name, error=repr(error))
        else:
            log.warning("queue_deleted", queue=queue.name)

    async def _check_consumers(self) -> None:
        """Raise ConsumerMissing if a queue of ours has no consumer, or only those of others."""
        broker = self._broker
        if broker is None or not any(self._wanted.values()):
            return
        connection = await broker.connect()
        async with connection.channel() as probe:
            for subscription, subscriber in tuple(self._wanted.items()):
                if subscriber is None or subscription not in self._wanted:
                    continue
                name = subscription.queue.name
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        found = await probe.get_queue(name)
                except ChannelNotFoundEntity as error:
                    raise ConsumerMissing(f"the queue {name!r} was deleted") from error
                registered = await _registered(subscriber)
                if subscription in self._wanted and not (found.declaration_result.consumer_count and registered):
                    raise ConsumerMissing(f"the queue {name!r} has lost our consumer")

    async def _disconnect(self) -> None:
        for subscription in self._wanted:
            self._wanted[subscription] = None
            subscription.active.clear()
        self._declared.clear()
        broker, self._broker = self._broker, None
        if broker is not None:
            await _leave(broker, answers=broker is not self._silent)


async def _leave(broker: RabbitBroker, *, answers: bool = True) -> None:
    """Let running handlers end and close the connection; in any case, and at once unless it ``answers``, close it.

    FastStream gives up halfway when one of its subscribers cannot be stopped, and the client would connect again by
    itself: a consumer that nobody knows of would go on taking messages.
    """
    connection = await broker.connect()
    steps: dict[str, Callable[[], Awaitable[None]]] = {"stop": broker.stop} if answers else {}
    steps["close"] = connection.close
    for name, step in steps.items():
        try:
            with _asking(name):
                async with asyncio.timeout(DISCONNECT_SECONDS):
                    await step()
        except Exception as error:  # noqa: BLE001 - whatever it is (also a group), it is the end of this connection
            log.info("rabbitmq_disconnect", error=repr(error))


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Raise BrokerUnavailable for whatever the client raises when RabbitMQ did not do ``what`` in time, or at all.

    When a connection is closed, calls that are under way end with a CancelledError though nobody cancels them: taken
    for a cancellation, that would end the task that has called, without a word.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        if being_cancelled():
            raise
        raise BrokerUnavailable(f"RabbitMQ did not {what}: the connection was closed meanwhile") from error
    except (AMQPError, OSError, TimeoutError, ChannelInvalidStateError, RuntimeError) as error:
        raise BrokerUnavailable(f"RabbitMQ did not {what}: {type(error).__name__}: {error}") from error


async def _registered(subscriber: RabbitSubscriber) -> bool:
    """Whether the client would hand us a message of this queue: other processes' consumers count on the broker too."""
    queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001 - FastStream shows neither
    if queue is None or tag is None or queue.channel.is_closed:
        return False
    channel = await queue.channel.get_underlay_channel()
    return isinstance(channel, aiormq.Channel) and tag in channel.consumers
