"""A whole platform in memory: the real decisions, handlers, sagas, projections, tokens and offers on pretended stores.

Sagas run to their end within the command that starts them, and read models are made when they are asked for, so a
test sees everything at once; ``Memory.hold_sagas`` keeps them from running until ``run_sagas``.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from api.platform import FeedStatus, Health, Platform
from commands.dead_letters import FailureGroup, OrderedRetry, RetryOutcome, Selection, failure_of
from commands.dispatch import Dispatcher
from commands.forgetting import Forgetting
from commands.limits import RateDecision
from commands.operating import OperatorAction
from commands.ports import (
    START,
    Answer,
    Checkpoint,
    CommandEnvelope,
    DeadLetter,
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
from domain.shared.errors import IllegalTransition, NotFound
from infra.security.offers import FernetOffers
from infra.security.tokens import TokenService
from projections.audit.audits import Audits
from projections.booking_pages import BookingPages
from projections.builds import UNDER_WAY, Build, BuildState, ReplayRunning
from projections.calendars import Calendars
from projections.hotel_pages import HotelPages
from projections.hotel_search import HotelSearch
from projections.payment_pages import PaymentPages
from projections.ports import Document, HotelHits, HotelQuery, Page, Where
from projections.projection import DocumentProjection, Projection
from projections.replay_orders import ReplayOrders
from projections.saga_pages import SagaPages
from sagas.booking import BOOKING_SAGA
from sagas.cancellation import CANCELLATION_SAGA
from sagas.journal import Journal, Teller
from sagas.saga import Happening
from tests.fake_accounts import MemoryAccounts
from tests.fake_audits import MemoryAuditRecords, PreparedAuditor
from tests.fakes import CONTEXTS, Fakes, FakeStreams

PROJECTIONS: tuple[Projection, ...] = (
    HotelPages(),
    HotelSearch(),
    Calendars(),
    BookingPages(),
    PaymentPages(),
    SagaPages(),
)


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
        self.builds = MemoryBuilds(self)
        self.letters = MemoryLetters()
        self.actions = MemoryActions()
        self.auditor = PreparedAuditor()
        self.audit_records = MemoryAuditRecords()
        self.replays = ReplayOrders(PROJECTIONS, dict.fromkeys(CONTEXTS, self.builds), uuid4)
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
            "documents": MemoryDocuments(self),
            "search": MemorySearch(self),
            "calendars": MemoryCalendars(self),
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
            builds=dict.fromkeys(CONTEXTS, self.builds),
            replays=self.replays,
            projections=PROJECTIONS,
            accounts=self.accounts,
            tokens=TokenService(self.accounts, self.clock, uuid4),
            passwords=self.passwords,
            offers=FernetOffers(self.accounts, self.clock, uuid4),
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
            for saga in (BOOKING_SAGA, CANCELLATION_SAGA):
                if type(recorded.event) in saga.routes:
                    await self._tell(saga, recorded)

    async def _guests_of(self, account_id: UUID) -> list[UUID]:
        pages = MemoryDocuments(self).all("booking_pages").values()
        return [UUID(page["guest_id"]) for page in pages if page["account_id"] == str(account_id)]

    async def _tell(self, saga: Any, told: RecordedEvent) -> None:
        subject = saga.routes[type(told.event)](told.event)
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


class MemoryDocuments:
    """Documents, folded when they are asked for."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def all(self, name: str) -> dict[str, Document]:
        """The read model as of now."""
        projection = next(each for each in PROJECTIONS if each.name == name)
        assert isinstance(projection, DocumentProjection)
        documents: dict[str, Document] = {}
        for context in projection.contexts:
            for recorded in self._memory.fakes.streams[context].log:
                if isinstance(recorded.event, projection.takes):
                    for key in projection.keys(recorded):
                        document = projection.apply(documents.get(key), recorded)
                        assert document is not None
                        documents[key] = document
        return documents

    async def get(self, name: str, key: str) -> Document | None:
        """See DocumentStore."""
        return self.all(name).get(key)

    async def find(
        self, name: str, where: Sequence[Where], *, order_by: str, descending: bool, limit: int, cursor: str | None
    ) -> Page:
        """See DocumentStore; cursors are numbers here."""
        found = [
            document
            for document in self.all(name).values()
            if all(_holds(each, document.get(each.field)) for each in where)
        ]
        found.sort(key=lambda document: document[order_by], reverse=descending)
        start = int(cursor or 0)
        more = str(start + limit) if len(found) > start + limit else None
        return Page(found[start : start + limit], more)


def _holds(test: Where, value: Any) -> bool:
    match test.op:
        case "eq":
            return bool(value == test.value)
        case "in":
            return value in test.value
        case "gte":
            return value is not None and value >= test.value
        case "lt":
            return value is not None and value < test.value


class MemorySearch:
    """Search by city and stars; ``asked`` is the last query."""

    asked: HotelQuery | None = None

    def __init__(self, memory: Memory) -> None:
        self._documents = MemoryDocuments(memory)

    async def search(self, name: str, query: HotelQuery) -> HotelHits:
        """See SearchStore."""
        MemorySearch.asked = query
        nights = {night.isoformat() for night in query.nights}
        hits = [
            hotel
            for hotel in self._documents.all(name).values()
            if hotel["listed"]
            and query.city in {None, hotel["city"]}
            and (not query.stars or hotel["stars"] in query.stars)
            and not nights & set(hotel["sold_out"])
        ]
        return HotelHits(hits, len(hits), {"city": {hotel["city"]: 1 for hotel in hits}}, None)


class MemoryCalendars:
    """Calendars, made when they are asked for."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def read(
        self, name: str, kind: str, keys: Sequence[str], first: dt.date, days: int
    ) -> Mapping[str, Sequence[int | None]]:
        """See CalendarStore."""
        del name
        projection = Calendars()
        cells: dict[str, dict[dt.date, int]] = {}
        defaults: dict[str, int] = {}
        for context in projection.contexts:
            for recorded in self._memory.fakes.streams[context].log:
                for write in projection.writes(recorded):
                    if write.kind == kind:
                        cells.setdefault(write.key, {}).update(write.cells)
                        if write.default is not None:
                            defaults[write.key] = write.default
        nights = [first + dt.timedelta(days=day) for day in range(days)]
        return {key: [cells.get(key, {}).get(night, defaults.get(key)) for night in nights] for key in keys}


class MemoryBuilds:
    """Builds: one live build of each read model, until a replay is asked for."""

    def __init__(self, memory: Memory) -> None:
        self._clock = memory.clock
        self.all = [self._build(each.name, 1, "live", uuid4()) for each in PROJECTIONS]

    def _build(self, projection: str, number: int, state: BuildState, replay_id: UUID) -> Build:
        return Build(
            name=f"{projection}_{number}",
            projection=projection,
            version=1,
            state=state,
            replay_id=replay_id,
            created_at=self._clock.now(),
        )

    async def create(self, projection: str, version: int, replay_id: UUID, *, keep: bool = False) -> Build:
        """See BuildRegistry."""
        del version
        self._refuse_another(projection)
        build = self._build(projection, len(self.all) + 1, "building", replay_id).model_copy(update={"keep": keep})
        self.all.insert(0, build)
        return build

    async def advance(self, build: Build) -> BuildState:
        """See BuildRegistry."""
        return next(each.state for each in self.all if each.name == build.name)

    async def change(self, build: Build, state: BuildState, *, keep: bool | None = None) -> Build:
        """See BuildRegistry."""
        del keep
        if state in UNDER_WAY:
            self._refuse_another(build.projection)
        if build not in self.all:
            raise IllegalTransition(f"{build.name} is no longer {build.state}")
        changed = build.model_copy(update={"state": state})
        await self.update(changed)
        return changed

    def _refuse_another(self, projection: str) -> None:
        if any(build.state in UNDER_WAY for build in self.all if build.projection == projection):
            raise ReplayRunning(f"a replay of {projection} is under way")

    async def update(self, build: Build) -> None:
        """See BuildRegistry."""
        self.all = [build if each.name == build.name else each for each in self.all]

    async def builds(self, projection: str | None = None) -> list[Build]:
        """See BuildRegistry."""
        return [build for build in self.all if projection in {None, build.projection}]

    async def of_replay(self, replay_id: UUID) -> Build | None:
        """See BuildRegistry."""
        return next((build for build in self.all if build.replay_id == replay_id), None)

    @asynccontextmanager
    async def only_replay_of(self, projection: str) -> AsyncIterator[None]:
        """See BuildRegistry."""
        del projection
        yield

    @asynccontextmanager
    async def only_filling_of(self, build: str) -> AsyncIterator[None]:
        """See BuildRegistry."""
        del build
        yield


class MemoryLetters:
    """Dead letters that a test puts there. ``outcomes`` says what will come of retries, ``handled`` otherwise."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.outcomes: dict[UUID, RetryOutcome | None] = {}
        self._ordered: list[OrderedRetry] = []

    async def list(self, consumer: str | None = None, limit: int = 200) -> Sequence[DeadLetter]:
        """See DeadLetters."""
        return await self.select(Selection(consumer=consumer), limit)

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """See DeadLetters."""
        return next((letter for letter in self.letters if letter.letter_id == letter_id), None)

    async def groups(self) -> Sequence[FailureGroup]:
        """See LetterDesk; one group for each letter that failed itself."""
        return [
            FailureGroup(
                failure_of(each).group,
                failure_of(each),
                [each.consumer],
                [each.topic],
                1,
                sum(other.behind and other.stream_id == each.stream_id for other in self.letters),
                each.parked_at,
                each.parked_at,
                each.error,
            )
            for each in self.letters
            if not each.behind
        ]

    async def select(self, selection: Selection, limit: int) -> Sequence[DeadLetter]:
        """See LetterDesk."""
        return [
            each
            for each in self.letters
            if (not selection.letter_ids or each.letter_id in selection.letter_ids)
            and selection.consumer in {None, each.consumer}
            and selection.group in {None, failure_of(each).group}
            and selection.kind in {None, each.topic, failure_of(each).kind}
            and selection.stream_id in {None, each.stream_id}
            and (selection.older_than is None or each.parked_at < selection.older_than)
            and (selection.newer_than is None or each.parked_at >= selection.newer_than)
        ][:limit]

    async def of_streams(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """See LetterDesk."""
        ids = {letter.letter_id for letter in letters}
        streams = {letter.stream_id for letter in letters} - {None}
        return [each for each in self.letters if each.letter_id in ids or each.stream_id in streams]

    async def discard(self, letter_ids: Sequence[UUID]) -> int:
        """See LetterDesk."""
        before = len(self.letters)
        self.letters = [each for each in self.letters if each.letter_id not in letter_ids]
        return before - len(self.letters)

    async def order_retries(self, action_id: UUID, letter_ids: Sequence[UUID]) -> int:
        """See LetterDesk."""
        self._ordered += [
            OrderedRetry(action_id, each, "sagas", self.outcomes.get(each, "handled"), None) for each in letter_ids
        ]
        return len(letter_ids)

    async def retries(self, action_id: UUID) -> Sequence[OrderedRetry]:
        """See LetterDesk."""
        return [retry for retry in self._ordered if retry.action_id == action_id]


class MemoryActions:
    """The record of what operators did."""

    def __init__(self) -> None:
        self.all: list[OperatorAction] = []

    async def begin(self, action: OperatorAction) -> None:
        """See ActionLog."""
        self.all.insert(0, action)

    async def end(self, action_id: UUID, outcome: Mapping[str, Any]) -> None:
        """See ActionLog."""
        self.all = [replace(each, outcome=outcome) if each.action_id == action_id else each for each in self.all]

    async def newest(self, limit: int, before: dt.datetime | None = None) -> Sequence[OperatorAction]:
        """See ActionLog."""
        return [each for each in self.all if before is None or each.at < before][:limit]


class MemoryOperations:
    """What operators see, as a test says it."""

    def __init__(self) -> None:
        self.parts = [Health("postgres", "up")]
        self.paused: dict[str, str] = {}
        """Why a read model is paused."""

    async def health(self) -> list[Health]:
        """See Operations."""
        return self.parts

    async def feeds(self) -> list[FeedStatus]:
        """See Operations."""
        why = self.paused.get("hotel_pages")
        state = "running" if why is None else "paused"
        return [FeedStatus("hotel_pages_1", state, {"hotels": "3.4"}, 0, 0.0, why)]

    async def pause(self, projection: str, by: str, why: str) -> None:
        """See Operations."""
        if projection not in {each.name for each in PROJECTIONS}:
            raise NotFound(f"no read model {projection}")
        self.paused[projection] = f"{by}: {why}"

    async def resume(self, projection: str, by: str, why: str) -> None:
        """See Operations."""
        del by, why
        self.paused.pop(projection, None)

    def metrics(self) -> bytes:
        """See Operations."""
        return b"nightledger_up 1\n"

    def asyncapi(self) -> dict[str, Any]:
        """See Operations."""
        return {"asyncapi": "3.0.0"}


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
