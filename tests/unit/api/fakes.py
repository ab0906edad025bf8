"""A whole platform in memory: the real decisions, handlers, sagas, projections, tokens and offers on pretended stores.

Sagas run to their end within the command that starts them, and read models are made when they are asked for, so a
test sees everything at once; ``Memory.hold_sagas`` keeps them from running until ``run_sagas``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from api.platform import Platform
from commands.dispatch import Dispatcher
from commands.forgetting import Forgetting
from commands.limits import RateDecision
from commands.ports import (
    START,
    Answer,
    Checkpoint,
    CommandEnvelope,
    Idempotency,
    IdempotencyMismatch,
    LogRun,
    Metadata,
    Position,
    RecordedEvent,
    RequestInFlight,
)
from domain.account.events import GuestForgotten
from domain.saga.events import SagaCommandIssued
from infra.security.offers import FernetOffers
from infra.security.tokens import TokenService
from infra.stores.parquet import parquet_of
from projections.audit.audits import Audits
from projections.replay_orders import ReplayOrders
from sagas.booking import BOOKING_SAGA
from sagas.cancellation import CANCELLATION_SAGA
from sagas.journal import Journal, Teller
from sagas.modification import MODIFICATION_SAGA
from sagas.saga import Happening
from tests.fake_accounts import MemoryAccounts
from tests.fake_audits import MemoryAuditRecords, PreparedAuditor
from tests.fakes import CONTEXTS, Fakes, FakeStreams
from tests.unit.api.fake_operating import MemoryActions, MemoryLetters, MemoryOperations
from tests.unit.api.fake_reads import PROJECTIONS, MemoryBuilds, MemoryCalendars, MemoryDocuments, MemorySearch


class MemoryLog:
    """The log of one context, over its streams."""

    def __init__(self, streams: FakeStreams) -> None:
        self.context = streams.context
        self._streams = streams
        self.claims: dict[tuple[str, str], Idempotency] = {}
        self.finished: dict[tuple[str, str], str] = {}
        self.lag = 0
        """How many events every read model is behind."""

    async def read_stream(self, stream_id: UUID, *, after: int = 0, up_to: int | None = None) -> list[RecordedEvent]:
        """See EventStore."""
        del up_to
        return [each for each in self._streams.log if each.stream_id == stream_id and each.version > after]

    async def read_log(self, after: Position, limit: int, **_: Any) -> LogRun:
        """See EventStore."""
        events = tuple(each for each in self._streams.log if each.position > after)[:limit]
        return LogRun(self.context, after, events[-1].position if events else after, events)

    async def newest(self, limit: int) -> list[RecordedEvent]:
        """See EventStore."""
        return self._streams.log[-limit:]

    async def correlated(self, correlation_id: UUID) -> list[RecordedEvent]:
        """See EventStore."""
        return [each for each in self._streams.log if each.metadata.correlation_id == correlation_id]

    async def answer_of(self, message_id: UUID) -> Answer | None:
        """See EventStore."""
        return self._streams.answers.get(message_id)

    async def head(self) -> Position:
        """See EventStore."""
        return self._streams.log[-1].position if self._streams.log else START

    async def wait_beyond(self, position: Position, wait_seconds: float) -> bool:
        """See EventStore."""
        try:
            async with asyncio.timeout(wait_seconds):
                while await self.head() <= position:  # noqa: ASYNC110 - a pretended wake-up
                    await asyncio.sleep(0.001)
        except TimeoutError:
            return False
        return True

    async def claim(self, idempotency: Idempotency, command_id: UUID) -> Answer | None:
        """See EventStore."""
        del command_id
        place = (idempotency.scope, idempotency.key)
        before = self.claims.setdefault(place, idempotency)
        if before.fingerprint != idempotency.fingerprint:
            raise IdempotencyMismatch("the key was used for another request")
        if place in self._streams.finished:
            return self._streams.finished[place]
        if before is not idempotency:
            raise RequestInFlight("the request is being handled")
        return None

    async def release_claim(self, idempotency: Idempotency) -> None:
        """See EventStore."""
        self.claims.pop((idempotency.scope, idempotency.key), None)

    async def checkpoint(self, feed: str, context: str) -> Position:
        """See EventStore: feeds have consumed everything but the last ``lag`` events."""
        del feed, context
        return Position(1_000_000 - self.lag, 1_000_000 - self.lag)


class Memory:
    """The stores, and what a test may look at or change. ``platform`` is made of them."""

    def __init__(self) -> None:
        self.fakes = Fakes()
        self.clock = self.fakes.clock
        self.provider = self.fakes.provider
        self.logs = {context: MemoryLog(self.fakes.streams[context]) for context in CONTEXTS}
        self.accounts = MemoryAccounts()
        self.builds = MemoryBuilds(self.clock)
        self.letters = MemoryLetters()
        self.actions = MemoryActions()
        self.auditor = PreparedAuditor()
        self.audit_records = MemoryAuditRecords()
        self.replays = ReplayOrders(PROJECTIONS, dict.fromkeys((*CONTEXTS, "notifications"), self.builds), uuid4)
        self.audits = Audits(self.auditor, self.audit_records, PROJECTIONS, self.replays, self.clock, uuid4)
        self.operations = MemoryOperations()
        self.limiter = CountingLimiter()
        self.passwords = PlainPasswords()
        self.data_dir = Path("/nowhere")
        self.hold_sagas = False
        self.bus_error: Exception | None = None
        self._told = dict.fromkeys(CONTEXTS, 0)
        self._dispatcher = Dispatcher(self.fakes.dependencies)
        self._forgetting = Forgetting(self.accounts, self._guests_of, (), self._dispatcher.handle, self.clock)

    @property
    def platform(self) -> Platform:
        """What the API is made of: of each port the part that the API uses."""
        pretended: dict[str, Any] = {
            "logs": self.logs,
            "dead_letters": {"bookings": self.letters},
            "actions": self.actions,
            "documents": MemoryDocuments(self.fakes),
            "search": MemorySearch(self.fakes),
            "calendars": MemoryCalendars(self.fakes),
        }
        return Platform(
            version="0.0.0",
            data_dir=self.data_dir,
            demo_hotels=1,
            services=("gateway",),
            clock=self.clock,
            new_id=uuid4,
            bus=self,
            streams=self.fakes.streams,
            builds=dict.fromkeys((*CONTEXTS, "notifications"), self.builds),
            replays=self.replays,
            projections=PROJECTIONS,
            accounts=self.accounts,
            tokens=TokenService(self.accounts, self.clock, uuid4),
            passwords=self.passwords,
            offers=FernetOffers(self.accounts, self.clock, uuid4),
            parquet=parquet_of,
            limiter=self.limiter,
            operations=self.operations,
            audits=self.audits,
            **pretended,
        )

    async def send(self, envelope: CommandEnvelope) -> Answer:
        """See CommandBus."""
        if self.bus_error is not None:
            raise self.bus_error
        answer = await self._dispatcher.handle(envelope)
        if not self.hold_sagas:
            await self.run_sagas()
        return answer

    async def run_sagas(self) -> None:
        """Tell the sagas what they have not been told yet, and carry out what they want, until all is quiet."""
        while untold := [
            (context, log.log[self._told[context]])
            for context, log in self.fakes.streams.items()
            if len(log.log) > self._told[context]
        ]:
            context, recorded = untold[0]
            self._told[context] += 1
            if isinstance(recorded.event, SagaCommandIssued):
                metadata = recorded.metadata.model_copy(update={"causation_id": recorded.event_id})
                command = recorded.event.to_command()
                await self._dispatcher.handle(CommandEnvelope(recorded.event.command_id, command, metadata))
            if isinstance(recorded.event, GuestForgotten):
                run = LogRun(context, START, recorded.position, (recorded,))
                await self._forgetting.handle(run, Checkpoint(self._forgetting.name, context, recorded.position))
            for saga in (BOOKING_SAGA, CANCELLATION_SAGA, MODIFICATION_SAGA):
                if type(recorded.event) in saga.routes:
                    await self._tell(saga, recorded)

    async def _guests_of(self, account_id: UUID) -> list[UUID]:
        pages = MemoryDocuments(self.fakes).all("booking_pages").values()
        return [UUID(page["guest_id"]) for page in pages if page["account_id"] == str(account_id)]

    async def _tell(self, saga: Any, told: RecordedEvent) -> None:
        subject = saga.routes[type(told.event)](told.event)
        if subject is None:
            return
        saga_id = saga.saga_id(subject)
        stream = await self.logs["bookings"].read_stream(saga_id)
        if not stream and type(told.event) not in saga.starts:
            return
        journal = Journal(saga, saga_id, subject).after(stream)
        metadata = told.metadata.model_copy(update={"causation_id": told.event_id, "actor": f"saga:{saga.name}"})
        entry = Teller(self.clock).tell(journal, Happening(self.clock.now(), told.event), metadata)
        self._append(saga_id, entry.events, metadata)

    def _append(self, saga_id: UUID, events: Sequence[Any], metadata: Metadata) -> None:
        bookings = self.fakes.streams["bookings"]
        bookings._append(saga_id, events, metadata)  # noqa: SLF001 - a fake of ours


class PlainPasswords:
    """Passwords that cost nothing; ``verified`` is what was compared, None for accounts that do not exist."""

    def __init__(self) -> None:
        self.verified: list[str | None] = []

    async def hash(self, password: str) -> str:
        """See Passwords."""
        return f"plain:{password}"

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """See Passwords."""
        self.verified.append(password_hash)
        return password_hash == f"plain:{password}"

    def needs_rehash(self, password_hash: str) -> bool:
        """See Passwords."""
        return not password_hash.startswith("plain:")


class CountingLimiter:
    """Allows ``limit`` per key, for ever; ``taken`` counts."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}

    async def take(self, key: str, limit: int, window_seconds: float) -> RateDecision:
        """See RateLimiter."""
        count = self.taken[key] = self.taken.get(key, 0) + 1
        return RateDecision(count <= limit, max(0, limit - count), 0.0 if count <= limit else window_seconds / limit)
