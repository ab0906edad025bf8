"""What the contract of messaging is kept on: two contexts in a database of their own, with and without a broker."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import asyncpg

from commands.ports import (
    Answer,
    Checkpoint,
    CommandEnvelope,
    Commit,
    DeadLetter,
    EventStore,
    LogRun,
    Metadata,
    Position,
    RecordedEvent,
    StreamAppend,
    WentBack,
)
from domain.inventory.commands import ReleaseHold
from domain.inventory.events import HoldWithdrawn, RoomTypeOpened
from domain.saga.events import SagaCommandIssued
from domain.shared.messages import Event
from infra.clock import SystemClock, new_id
from infra.eventstore.dead_letters import PostgresDeadLetters
from infra.eventstore.leadership import leader_lock
from infra.eventstore.pool import create_pool
from infra.eventstore.schema import migrate
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.timers import PostgresTimers
from infra.messaging.command_feed import CommandFeed
from infra.messaging.delivery import AgainByTimer, CommandDelivery, Dispatch, repeating
from infra.messaging.feeds import Feeds
from infra.messaging.log_tail import LogSources
from infra.messaging.rabbit.commands import AgainByBroker, CommandConsumers
from infra.messaging.rabbit.connection import RabbitConnection
from infra.messaging.rabbit.feed_source import BrokerSources
from infra.messaging.rabbit.relay import Relay
from infra.messaging.retries import CommandRetries, FeedRetries
from infra.messaging.stats import Stats
from infra.messaging.timer_loop import TimerLoop
from tests.servers import fresh_name

Way = Literal["log", "rabbitmq"]
CONTEXTS = ("inventory", "bookings")
FEED_RETRIES = FeedRetries(delays=(0.01, 0.02, 0.03), first=0.02, cap=0.1)
COMMAND_RETRIES = CommandRetries(delays=(0.1, 0.2), temporary=0.15)
PATIENCE_SECONDS = 20.0
SOMEBODY = UUID(int=7)


@asynccontextmanager
async def fresh_database(postgres_url: str) -> AsyncIterator[str]:
    """The URL of a database of this test's own."""
    name = fresh_name("db")
    admin = await asyncpg.connect(postgres_url)
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        yield postgres_url.rpartition("/")[0] + f"/{name}"
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait until ``condition`` holds; fail with ``what`` otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


class ServerRoles:
    """Roles by locks in the test's database."""

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self._pool = pool
        self._context = context

    def lead(self, role: str) -> AbstractAsyncContextManager[object]:
        """See Leadership."""
        return leader_lock(self._pool, f"{self._context}: {role}")


@dataclass
class Recorder:
    """A feed that remembers what took effect; ``fails`` may raise for an event, before it takes effect.

    With ``has`` it takes only runs that join what it has: a test may lower that.
    """

    name: str = "recorder"
    contexts: tuple[str, ...] = ("inventory",)
    topics: frozenset[str] | None = frozenset({HoldWithdrawn.topic})
    commits_checkpoint: bool = False
    store: EventStore | None = None
    fails: Callable[[RecordedEvent], None] = lambda _: None
    seen: list[RecordedEvent] = field(default_factory=list)
    runs: int = 0
    attempts: int = 0
    has: Position | None = None

    async def handle(self, run: LogRun, checkpoint: Checkpoint) -> None:
        """Take effect as a whole or not at all."""
        self.attempts += 1
        if self.has is not None and run.prev > self.has:
            raise WentBack(f"there is nothing behind {self.has}")
        for recorded in run.events:
            self.fails(recorded)
        if self.commits_checkpoint:
            assert self.store is not None
            await self.store.commit(Commit(metadata(), checkpoints=(checkpoint,)))
        self.runs += bool(run.events)
        self.seen.extend(run.events)
        if self.has is not None:
            self.has = max(self.has, run.position)

    async def resumes_at(self, checkpoint: Checkpoint) -> Position:
        """See Feed."""
        return checkpoint.position if self.has is None else min(checkpoint.position, self.has)

    def numbers(self, stream: UUID | None = None) -> list[int]:
        """The numbers noted, of one stream or all."""
        return [number_of(each) for each in self.seen if stream is None or each.stream_id == stream]


def metadata() -> Metadata:
    """Metadata of something that begins here and now."""
    return Metadata(correlation_id=uuid4(), at=dt.datetime.now(dt.UTC))


def noted(number: int) -> Event:
    """An event that carries a number."""
    return HoldWithdrawn(
        hotel_id=SOMEBODY, room_type_id=SOMEBODY, hold_id=SOMEBODY, booking_id=SOMEBODY, reason=str(number)
    )


def boring() -> Event:
    """An event that the recorder does not take."""
    return RoomTypeOpened(hotel_id=SOMEBODY, room_type_id=SOMEBODY, default_allotment=1)


def number_of(recorded: RecordedEvent) -> int:
    """The number that an event carries."""
    assert isinstance(recorded.event, HoldWithdrawn)
    return int(recorded.event.reason)


def label_of(envelope: CommandEnvelope) -> str:
    """The label that a command carries."""
    assert isinstance(envelope.command, ReleaseHold)
    return envelope.command.reason


class Messaging:
    """A process's messaging over one database, and over RabbitMQ if ``connection`` is there."""

    def __init__(self, pool: asyncpg.Pool, connection: RabbitConnection | None, stats: Stats) -> None:
        self.pool = pool
        self.connection = connection
        self.stats = stats
        self.clock = SystemClock()
        self.logs = {context: PostgresEventStore(pool, context) for context in CONTEXTS}
        self.letters = {context: PostgresDeadLetters(pool, context) for context in CONTEXTS}
        self.fatal: list[str] = []
        self.stack = AsyncExitStack()
        self._versions: defaultdict[UUID, int] = defaultdict(int)
        self.feeds = Feeds(
            self.logs,
            self.letters,
            {context: ServerRoles(pool, context) for context in CONTEXTS},
            BrokerSources(connection, self.logs, stats) if connection else LogSources(self.logs),
            self.clock,
            new_id,
            stats,
            FEED_RETRIES,
        )

    async def open(self) -> None:
        """Start the stores and the relays."""
        for context, store in self.logs.items():
            await migrate(self.pool, context)
            await self.stack.enter_async_context(store)
            if self.connection:
                relay = Relay(
                    store,
                    self.connection,
                    ServerRoles(self.pool, context),
                    self.clock,
                    new_id,
                    self.stats,
                    command_services=("inventory",) if context == "bookings" else (),
                    waits=FEED_RETRIES,
                )
                await relay.start()
                self.stack.push_async_callback(relay.stop)
        self.stack.push_async_callback(self.feeds.close)

    async def append(self, stream: UUID, *events: Event, context: str = "inventory") -> Position:
        """Append to a stream that only this object writes to."""
        if stream not in self._versions:
            self._versions[stream] = len(await self.logs[context].read_stream(stream))
        append = StreamAppend(stream, self._versions[stream], events)
        self._versions[stream] += len(events)
        return await self.logs[context].commit(Commit(metadata(), appends=(append,)))

    async def note(self, stream: UUID, *numbers: int) -> Position:
        """Append numbers."""
        return await self.append(stream, *(noted(number) for number in numbers))

    async def issue(self, label: str, copies: int = 1) -> UUID:
        """Let a saga issue a command with ``label`` (``copies`` times under one id). Returns its id."""
        command_id = uuid5(NAMESPACE_OID, label)
        command = ReleaseHold(
            hotel_id=SOMEBODY, room_type_id=SOMEBODY, hold_id=SOMEBODY, booking_id=SOMEBODY, reason=label
        )
        issued = SagaCommandIssued(
            saga_id=uuid4(),
            saga="booking",
            command_id=command_id,
            command=command.name,
            content=command.model_dump(mode="json"),
        )
        for _ in range(copies):
            await self.append(uuid4(), issued, context="bookings")
        return command_id

    async def serve_commands(self, dispatch: Dispatch, retries: CommandRetries = COMMAND_RETRIES) -> CommandDelivery:
        """Carry out the commands of ``inventory`` with ``dispatch``."""
        store, letters = self.logs["inventory"], self.letters["inventory"]
        again = AgainByBroker(self.connection, "inventory") if self.connection else AgainByTimer(store, self.clock)
        delivery = CommandDelivery("inventory", dispatch, again, letters, self.clock, self.stats, retries)
        if self.connection:
            consumers = CommandConsumers(self.connection, delivery, self.clock)
            await consumers.start()
            self.stack.push_async_callback(consumers.stop)
            return delivery
        loop = TimerLoop(
            "inventory",
            PostgresTimers(self.pool, "inventory"),
            repeating(dispatch, delivery),
            letters,
            self.clock,
            self.stats,
            look_every=0.05,
        )
        await loop.start()
        self.stack.push_async_callback(loop.stop)
        await self.feeds.start(CommandFeed(delivery), "inventory")
        return delivery

    async def parked(self, consumer: str = "recorder", home: str = "inventory") -> Sequence[DeadLetter]:
        """Dead letters, oldest first."""
        return await self.letters[home].list(consumer)

    async def checkpoint(self, feed: str = "recorder", context: str = "inventory", home: str = "inventory") -> Position:
        """Where a feed stands durably."""
        return await self.logs[home].checkpoint(feed, context)


@asynccontextmanager
async def open_messaging(way: Way, database: str, amqp: str) -> AsyncIterator[Messaging]:
    """Messaging as one process has it; may be opened several times on one database."""
    stats = Stats()
    fatal: list[str] = []
    connection = RabbitConnection(amqp, fatal.append, stats, check_every=0.3) if way == "rabbitmq" else None
    async with await create_pool(database) as pool:
        messaging = Messaging(pool, connection, stats)
        messaging.fatal = fatal
        async with messaging.stack:
            if connection:
                await connection.start()
                messaging.stack.push_async_callback(connection.stop)
                assert await connection.wait_up(PATIENCE_SECONDS), connection.last_error
            await messaging.open()
            yield messaging


class Inbox:
    """A dispatch that, like real handlers, carries out each command id once; ``fails`` may raise for a label."""

    def __init__(self, fails: Callable[[str], None] = lambda _: None) -> None:
        self.done: dict[UUID, str] = {}
        self.executed: list[str] = []
        self.attempts: list[str] = []
        self.metadata: dict[UUID, Metadata] = {}
        self._fails = fails

    async def __call__(self, envelope: CommandEnvelope) -> Answer:
        """See Dispatch."""
        label = label_of(envelope)
        self.attempts.append(label)
        self._fails(label)
        if envelope.command_id not in self.done:
            self.done[envelope.command_id] = label
            self.executed.append(label)
            self.metadata[envelope.command_id] = envelope.metadata
        return Answer(context="inventory")


class Broken(Exception):
    """A handler's bug."""


def fails_on(*numbers: int) -> Any:
    def fail(recorded: RecordedEvent) -> None:
        if number_of(recorded) in numbers:
            raise Broken(f"cannot take {number_of(recorded)}")

    return fail
