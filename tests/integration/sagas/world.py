"""One log that everything happens in, and what a runtime makes of it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from commands.handling import Dependencies
from commands.ports import (
    START,
    Answer,
    Checkpoint,
    CommandEnvelope,
    Commit,
    DueTimer,
    EventStore,
    LogRun,
    Metadata,
    Position,
    RecordedEvent,
    StreamAppend,
    Timers,
)
from domain.saga.events import SagaCommandIssued, SagaReacted
from domain.shared.messages import Command, Event
from sagas.booking import BOOKING_SAGA
from sagas.cancellation import CANCELLATION_SAGA
from sagas.handlers import saga_handlers
from sagas.modification import MODIFICATION_SAGA
from sagas.runtime import SagaRuntime
from sagas.saga import Saga
from tests.fakes import FakeClock

SAGAS = (BOOKING_SAGA, CANCELLATION_SAGA, MODIFICATION_SAGA)
FAR = dt.timedelta(days=1)


@dataclass
class World:
    """The store of one context, in which all contexts' events are written."""

    store: EventStore
    timers: Timers
    clock: FakeClock
    position: Position = START

    def runtime(self, *sagas: Saga[Any], remembered: int = 20_000) -> SagaRuntime:
        """A process that runs sagas and knows nothing yet."""
        return SagaRuntime(sagas or SAGAS, self.store, self.clock, remembered=remembered)

    async def happen(self, *events: Event, historic: dt.datetime | None = None) -> LogRun:
        """Let events happen, each to a stream of its own, and return the run that tells of them."""
        metadata = Metadata(
            correlation_id=uuid4(),
            actor="import" if historic else "system",
            at=historic or self.clock.now(),
            historic=historic is not None,
        )
        appends = tuple(StreamAppend(uuid4(), 0, (event,)) for event in events)
        last = await self.store.commit(Commit(metadata, appends))
        topics = frozenset(event.topic for event in events)
        async with asyncio.timeout(30):
            while (run := await self.store.read_log(self.position, 1_000, topics=topics)).position < last:
                await self.store.wait_beyond(run.position, 1)
        self.position = run.position
        return run

    async def tell(self, runtime: SagaRuntime, *events: Event, historic: dt.datetime | None = None) -> LogRun:
        """Let events happen, and the sagas hear of them in one run."""
        run = await self.happen(*events, historic=historic)
        await self.hear(runtime, run)
        return run

    async def hear(self, runtime: SagaRuntime, run: LogRun) -> None:
        """Hand a run to the sagas."""
        await runtime.handle(run, Checkpoint(runtime.name, run.context, run.position))

    async def journal(self, saga_id: UUID) -> Sequence[RecordedEvent]:
        """The saga's stream."""
        return await self.store.read_stream(saga_id)

    async def reactions(self, saga_id: UUID) -> list[SagaReacted]:
        """How the saga reacted, in order."""
        return [each.event for each in await self.journal(saga_id) if isinstance(each.event, SagaReacted)]

    async def steps(self, saga_id: UUID) -> list[str]:
        """The steps that its reactions led to."""
        return [reacted.step for reacted in await self.reactions(saga_id)]

    async def issued(self, saga_id: UUID) -> list[str]:
        """Wire names of the commands that it issued, in order."""
        return [each.event.command for each in await self.journal(saga_id) if isinstance(each.event, SagaCommandIssued)]

    async def due(self, within: dt.timedelta = FAR) -> list[DueTimer]:
        """Timers that are due by then; claims them."""
        claimed = await self.timers.claim_due(self.clock.now() + within)
        return [timer for timer in claimed if isinstance(timer, DueTimer)]

    async def order(self, runtime: SagaRuntime, command: Command, actor: str = "user:operator") -> Answer:
        """Give a saga a command of its own."""
        metadata = Metadata(correlation_id=uuid4(), actor=actor, at=self.clock.now())
        return await self.deliver(runtime, CommandEnvelope(uuid4(), command, metadata))

    async def deliver(self, runtime: SagaRuntime, envelope: CommandEnvelope) -> Answer:
        """Let the command's handler have it."""
        handler = saga_handlers(runtime)[type(envelope.command)]
        return await handler(Dependencies(streams={}, clock=self.clock, new_id=uuid4, providers={}), envelope)
