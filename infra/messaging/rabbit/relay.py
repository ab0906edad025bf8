"""The outbox is the log: one relay per context publishes it, and moves on only when the broker has confirmed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import structlog

from commands.ports import Checkpoint, Clock, Commit, EventStore, LogRun, Metadata, NewId, Position
from commands.tracing import UNTRACED, Tracing
from infra.messaging.leadership import Leadership
from infra.messaging.log_tail import LogTail
from infra.messaging.parking import describe
from infra.messaging.rabbit.connection import RabbitConnection, Unroutable
from infra.messaging.rabbit.topology import COMMANDS, EVENTS, commands_queue
from infra.messaging.retries import FeedRetries, being_cancelled
from infra.messaging.stats import Stats
from infra.messaging.wire import (
    COMMANDS_CONTENT_TYPE,
    EVENTS_CONTENT_TYPE,
    CommandMessage,
    encode_commands,
    encode_events,
    split_run,
)
from infra.observability.runs import spans_of_run

log = structlog.get_logger(__name__)

FEED = "relay"
IN_FLIGHT = 8
"""Runs that are published but not confirmed yet."""
RUN_BYTES = 1_000_000
"""A run with more content is published as several: RabbitMQ 4 refuses messages beyond 16 MiB, and feeds keep dozens."""
IDLE_SECONDS = 5.0
CHECKPOINT_SECONDS = 0.2
COMMANDS_PER_MESSAGE = 100
"""Enough to share the cost of a message, few enough that several processes get a share."""


@dataclass(frozen=True, slots=True)
class _Published:
    position: Position
    confirmed: asyncio.Task[None]


class Relay:
    """Publishes one context's log, at least once, as runs of CloudEvents with ``context``, ``prev`` and ``position``.

    The relay of the context that sagas live in also publishes the commands they issued, as runs per service:
    ``command_services`` names the services that get any.
    """

    def __init__(
        self,
        store: EventStore,
        connection: RabbitConnection,
        leadership: Leadership,
        clock: Clock,
        new_id: NewId,
        stats: Stats,
        *,
        command_services: Sequence[str] = (),
        waits: FeedRetries | None = None,
        tracing: Tracing = UNTRACED,
    ) -> None:
        self._store = store
        self._context = store.context
        self._connection = connection
        self._leadership = leadership
        self._clock = clock
        self._new_id = new_id
        self._stats = stats
        self._command_services = frozenset(command_services)
        self._waits = waits or FeedRetries()
        self._tracing = tracing
        self._task: asyncio.Task[None] | None = None
        self._failures = 0

    async def start(self) -> None:
        """Contend for the lead, and publish when it is ours."""
        for service in self._command_services:
            # Declared by the sender too: a command for a service that never ran waits for it.
            self._connection.declare(commands_queue(service), COMMANDS)
        self._task = asyncio.create_task(self._contend(), name=f"relay of {self._context}")

    async def stop(self) -> None:
        """Stop; what was not confirmed is published again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _contend(self) -> None:
        while not being_cancelled():
            try:
                async with self._leadership.lead(f"relay {self._context}"):
                    await self._relay()
            except Exception as error:  # noqa: BLE001 - a relay outlives broker, store and lock
                cause = _first(error)
                self._failures += 1
                self._stats.count("relay_errors", context=self._context)
                log.warning("relay_interrupted", context=self._context, error=describe(cause))
                if isinstance(cause, Unroutable):
                    self._connection.forget_declared()
                await asyncio.sleep(self._waits.wait(self._failures))

    async def _relay(self) -> None:
        """Publish from the checkpoint on; raises (a group) when a run is not confirmed."""
        read = await self._store.checkpoint(FEED, self._context)
        published: asyncio.Queue[_Published] = asyncio.Queue(IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._settle(published))
            tail = LogTail(self._store, None)
            while True:
                run = await tail.next(read, IDLE_SECONDS)
                if run is not None:
                    read = run.position
                    for part in split_run(run, RUN_BYTES):
                        await published.put(_Published(part.position, group.create_task(self._publish(part))))

    async def _settle(self, published: asyncio.Queue[_Published]) -> None:
        """Move the checkpoint behind what is confirmed: at once when idle, a few times a second under load."""
        stored_at = 0.0
        while True:
            run = await published.get()
            await run.confirmed
            self._failures = 0
            if published.empty() or monotonic() - stored_at > CHECKPOINT_SECONDS:
                stored_at = monotonic()
                await self._store.commit(
                    Commit(
                        Metadata(correlation_id=self._new_id(), at=self._clock.now()),
                        checkpoints=(Checkpoint(FEED, self._context, run.position),),
                    )
                )

    async def _publish(self, run: LogRun) -> None:
        """Publish a run and the commands in it; returns when all of it is confirmed."""
        name, now = f"publish {self._context}", self._clock.now()
        about = {"nightledger.context": self._context, "messaging.system": "rabbitmq"}
        with spans_of_run(self._tracing, name, "producer", run.events, now, about) as spanned:
            await self._publish_all(replace(run, events=tuple(spanned)))

    async def _publish_all(self, run: LogRun) -> None:
        async with asyncio.TaskGroup() as group:
            if run.events:
                group.create_task(self._publish_events(run))
            for service, messages in self._commands_of(run).items():
                for start in range(0, len(messages), COMMANDS_PER_MESSAGE):
                    group.create_task(self._publish_commands(service, messages[start : start + COMMANDS_PER_MESSAGE]))

    async def _publish_events(self, run: LogRun) -> None:
        headers = {"context": self._context, "prev": str(run.prev), "position": str(run.position)}
        try:
            await self._connection.publish(
                encode_events(run.events),
                exchange=EVENTS,
                routing_key=self._context,
                headers=headers,
                content_type=EVENTS_CONTENT_TYPE,
            )
        except Unroutable:
            # Nobody is bound to this context yet; a feed that comes later begins by reading the log.
            self._stats.count("relay_runs_without_feed", context=self._context)
        self._stats.count("relay_runs", context=self._context)
        self._stats.count("relay_events", len(run.events), context=self._context)

    async def _publish_commands(self, service: str, messages: Sequence[CommandMessage]) -> None:
        """Raises Unroutable when no queue takes them: then the checkpoint stays, for a command must not be lost."""
        await self._connection.publish(
            encode_commands(messages), exchange=COMMANDS, routing_key=service, content_type=COMMANDS_CONTENT_TYPE
        )
        self._stats.count("relay_commands", len(messages), service=service)

    def _commands_of(self, run: LogRun) -> Mapping[str, Sequence[CommandMessage]]:
        by_service: defaultdict[str, list[CommandMessage]] = defaultdict(list)
        if self._command_services:
            for recorded in run.events:
                message = CommandMessage.issued(recorded)
                if message is not None:
                    by_service[message.service].append(message)
        return by_service


def _first(error: BaseException) -> BaseException:
    """The error behind a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
