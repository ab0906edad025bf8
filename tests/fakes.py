"""In-memory stand-ins for the ports, with the semantics that the real ones promise.

``FakeStreams`` serialises commands per stream, keeps an inbox with the answers, and remembers timers and log.
``FakeProvider`` answers by key, once, like a real provider of payments, and can be told to fail.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID, uuid4, uuid5

from pydantic import BaseModel

from commands.handling import Dependencies
from commands.payment_provider import Authorisation, ProviderTimeout, ProviderUnavailable
from commands.ports import (
    Answer,
    CancelTimer,
    CommandEnvelope,
    Decide,
    Idempotency,
    Loaded,
    Metadata,
    Position,
    RecordedEvent,
    SetTimer,
    replace_metadata,
)
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Command, Event
from domain.shared.money import Money

S = TypeVar("S", bound=BaseModel)

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
"""When tests happen, unless they say otherwise."""


class FakeClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: dt.datetime = NOW) -> None:
        self._now = now

    def now(self) -> dt.datetime:
        """The time that it was set to."""
        return self._now

    def advance(self, **duration: float) -> None:
        """Go on by ``dt.timedelta(**duration)``."""
        self._now += dt.timedelta(**duration)


class FakeIds:
    """Ids that are the same in every run."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self) -> UUID:
        """The next id."""
        self._count += 1
        return UUID(int=self._count)


class FakeStreams:
    """Streams of one context, in memory.

    ``log`` has every event in order, ``timers`` what is set by timer id, ``answers`` the inbox, ``finished`` the
    answers kept under clients' idempotency keys.
    """

    def __init__(self, context: str, clock: FakeClock | None = None) -> None:
        self.context = context
        self.log: list[RecordedEvent] = []
        self.timers: dict[UUID, SetTimer] = {}
        self.answers: dict[UUID, Answer] = {}
        self.finished: dict[tuple[str, str], Answer] = {}
        self._clock = clock or FakeClock()
        self._locks: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    def events(self, stream_id: UUID) -> list[Event]:
        """What happened in one stream."""
        return [recorded.event for recorded in self.log if recorded.stream_id == stream_id]

    def given(self, stream_id: UUID, *events: Event) -> None:
        """Let a stream have these events, as of now."""
        self._append(stream_id, events, Metadata(correlation_id=stream_id, at=self._clock.now()))

    async def load(self, aggregate: Aggregate[S], stream_id: UUID) -> Loaded[S]:
        """See Streams."""
        events = self.events(stream_id)
        return Loaded(stream_id, aggregate.fold(events), len(events))

    async def execute(
        self,
        aggregate: Aggregate[S],
        stream_id: UUID,
        decide: Decide[S],
        envelope: CommandEnvelope,
        *,
        body: Callable[[S], dict[str, Any]] | None = None,
        timers: Callable[[S, Sequence[Event]], Sequence[SetTimer | CancelTimer]] | None = None,
        message_id: UUID | None = None,
    ) -> Answer:
        """See Streams."""
        message = message_id or envelope.command_id
        async with self._locks[stream_id]:
            if message in self.answers:
                return self.answers[message]
            before = await self.load(aggregate, stream_id)
            events = tuple(decide(before.state))
            after = aggregate.fold(events, before.state)
            told = body(after) if body else {}
            changes = timers(after, events) if timers else ()
            self._append(stream_id, events, replace_metadata(envelope.metadata, causation_id=envelope.command_id))
            position = str(self.log[-1].position) if events else None
            answer = Answer(context=self.context, position=position, body=told)
            self.answers[message] = answer
            self._remember(envelope.idempotency, answer)
            for change in changes:
                self._change(change)
            return answer

    def _append(self, stream_id: UUID, events: Sequence[Event], metadata: Metadata) -> None:
        version = len(self.events(stream_id))
        for number, event in enumerate(events, 1):
            place = len(self.log) + 1
            self.log.append(
                RecordedEvent(
                    event_id=uuid5(stream_id, str(version + number)),
                    context=self.context,
                    stream_id=stream_id,
                    version=version + number,
                    event=event,
                    metadata=metadata,
                    recorded_at=self._clock.now(),
                    position=Position(place, place),
                )
            )

    def _remember(self, idempotency: Idempotency | None, answer: Answer) -> None:
        if idempotency is not None:
            self.finished.setdefault((idempotency.scope, idempotency.key), answer)

    def _change(self, change: SetTimer | CancelTimer) -> None:
        if isinstance(change, SetTimer):
            self.timers[change.timer_id] = change
        else:
            self.timers.pop(change.timer_id, None)


class FakeProvider:
    """A provider of payments.

    ``outcome`` is what it says to new authorisations. ``fail(operation, error)`` lets the next call of that name fail
    before it takes effect, or with ``after=True`` afterwards. ``calls`` are (operation, key) in order;
    ``reserved``, ``captured`` and ``refunded`` say by reference where the money is.
    """

    def __init__(self, name: str = "sandbox", outcome: str = "authorised") -> None:
        self.name = name
        self.outcome = outcome
        self.calls: list[tuple[str, str]] = []
        self.reserved: dict[str, Money] = {}
        self.captured: dict[str, Money] = {}
        self.refunded: dict[str, list[Money]] = defaultdict(list)
        self._known: dict[str, Authorisation] = {}
        self._done: set[str] = set()
        self._failures: defaultdict[str, list[tuple[Exception, bool]]] = defaultdict(list)
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        """Awaited in the middle of the next ``authorise``: what happens elsewhere while the provider works."""
        self._hidden = False

    def fail(self, operation: str, error: type[Exception] = ProviderUnavailable, *, after: bool = False) -> None:
        """Let a coming call of ``operation`` fail; several failures are used up in order."""
        self._failures[operation].append((error("told to fail"), after))

    def time_out(self, operation: str, *, after: bool = False) -> None:
        """Let a coming call get no answer, although it took effect if ``after``."""
        self.fail(operation, ProviderTimeout, after=after)

    def heal(self) -> None:
        """Forget what it was told to fail at."""
        self._failures.clear()

    def forget(self) -> None:
        """Deny every authorisation, as if none had arrived, until ``remember``."""
        self._hidden = True

    def remember(self) -> None:
        """Know again what arrived."""
        self._hidden = False

    async def authorise(self, key: str, amount: Money, token: str) -> Authorisation:
        """See PaymentProvider."""
        del token
        failure = self._begin("authorise", key)
        if key not in self._known:
            self._known[key] = Authorisation(f"ref-{key}", self.outcome)  # type: ignore[arg-type]
            if self.outcome != "declined":
                self.reserved[f"ref-{key}"] = amount
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        self._end(failure)
        return self._known[key]

    async def authorisation_of(self, key: str) -> Authorisation | None:
        """See PaymentProvider."""
        self._end(self._begin("authorisation_of", key))
        return None if self._hidden else self._known.get(key)

    async def resolve_action(self, reference: str, *, approve: bool) -> Authorisation:
        """See PaymentProvider."""
        self._end(self._begin("resolve_action", reference))
        if not approve:
            self.reserved.pop(reference, None)
        return Authorisation(reference, "authorised" if approve else "declined")

    async def capture(self, key: str, reference: str, amount: Money) -> None:
        """See PaymentProvider."""
        failure = self._begin("capture", key)
        if self._first(key):
            del self.reserved[reference]
            self.captured[reference] = amount
        self._end(failure)

    async def void(self, key: str, reference: str) -> None:
        """See PaymentProvider."""
        failure = self._begin("void", key)
        self.reserved.pop(reference, None)
        self._end(failure)

    async def refund(self, key: str, reference: str, amount: Money) -> None:
        """See PaymentProvider."""
        failure = self._begin("refund", key)
        if self._first(key):
            self.refunded[reference].append(amount)
        self._end(failure)

    def _first(self, key: str) -> bool:
        first = key not in self._done
        self._done.add(key)
        return first

    def _begin(self, operation: str, key: str) -> Exception | None:
        self.calls.append((operation, key))
        if not self._failures[operation]:
            return None
        error, after = self._failures[operation].pop(0)
        if not after:
            raise error
        return error

    def _end(self, failure: Exception | None) -> None:
        if failure is not None:
            raise failure


CONTEXTS = ("users", "hotels", "inventory", "bookings", "payments", "reviews")


class Fakes:
    """Everything that handlers need; ``dependencies`` are made of the parts, which tests look into."""

    def __init__(self, *contexts: str) -> None:
        self.clock = FakeClock()
        self.streams: Mapping[str, FakeStreams] = {
            context: FakeStreams(context, self.clock) for context in contexts or CONTEXTS
        }
        self.provider = FakeProvider()
        self.dependencies = Dependencies(
            streams=self.streams,
            clock=self.clock,
            new_id=FakeIds(),
            providers={self.provider.name: self.provider},
        )


def envelope_of(
    command: Command,
    *,
    at: dt.datetime = NOW,
    historic: bool = False,
    command_id: UUID | None = None,
    actor: str = "system",
    idempotency: Idempotency | None = None,
) -> CommandEnvelope:
    """``command`` on its way, under a new id unless one is given."""
    identity = command_id or uuid4()
    metadata = Metadata(correlation_id=identity, actor=actor, at=at, historic=historic)
    return CommandEnvelope(identity, command, metadata, idempotency)
