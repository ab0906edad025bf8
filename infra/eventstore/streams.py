"""Aggregates over the event store: implements ``commands.ports.Streams``.

Commands for one stream are decided one after another, each on the state that the one before leaves, without waiting for
that one to be stored: so all of them share a group commit. Nothing is answered, not even a refusal, before everything
that it was decided upon is stored; what was decided upon something that failed is decided again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog
from pydantic import BaseModel

from commands.ports import (
    Answer,
    CancelTimer,
    CommandEnvelope,
    Commit,
    ConcurrencyConflict,
    Decide,
    DuplicateMessage,
    Loaded,
    SetTimer,
    StreamAppend,
    replace_metadata,
)
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Event
from infra.eventstore.batch import Pending
from infra.eventstore.errors import CommitOutcomeUnknown
from infra.eventstore.store import PostgresEventStore

log = structlog.get_logger(__name__)
S = TypeVar("S", bound=BaseModel)

_STREAMS_KEPT = 10_000
_TRIES = 30
_GROUNDS_KEPT = 256

Body = Callable[[S], dict[str, Any]]
Timers = Callable[[S, Sequence[Event]], Sequence[SetTimer | CancelTimer]]


@dataclass(eq=False, slots=True)
class _Slot(Generic[S]):
    """What is known of one stream. ``tip`` is ``stored`` plus what has been decided and is being stored."""

    stored: Loaded[S] | None = None
    tip: Loaded[S] | None = None
    last: Pending | None = None
    """The newest submission; the tip rests on it."""
    epoch: int = 0
    """Grows whenever the tip is thrown away, so that only the first of several failures does so."""
    grounds: OrderedDict[int, None] = field(default_factory=OrderedDict)
    """Versions upon which this process has stored something: nobody else came between."""
    deciding: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0

    def forget_tip(self, epoch: int) -> None:
        """A submission of ``epoch`` failed: what was decided upon it counts no more."""
        if epoch == self.epoch:
            self.epoch += 1
            self.tip = None
            self.last = None

    def learn(self, loaded: Loaded[S]) -> Loaded[S]:
        """``loaded`` is stored. Returns the newest that is known to be; it is the tip if nothing is under way."""
        if self.stored is None or self.stored.version < loaded.version:
            self.stored = loaded
        if self.last is None:
            self.tip = self.stored
        return self.stored

    def learn_own(self, submitted: _Submitted[S]) -> None:
        """``submitted`` is stored."""
        self.grounds[submitted.before.version] = None
        if len(self.grounds) > _GROUNDS_KEPT:
            self.grounds.popitem(last=False)
        if self.last is submitted.pending:
            self.last = None
        self.learn(submitted.after)


@dataclass(frozen=True, slots=True)
class _Work(Generic[S]):
    """One call of ``execute``."""

    aggregate: Aggregate[S]
    stream_id: UUID
    decide: Decide[S]
    envelope: CommandEnvelope
    body: Body[S] | None
    timers: Timers[S] | None
    message_id: UUID | None

    @property
    def inbox(self) -> UUID:
        """The id under which it is known to have been done."""
        return self.message_id or self.envelope.command_id


@dataclass(frozen=True, slots=True)
class _Submitted(Generic[S]):
    """What was decided and is being stored: the stream ``before`` and ``after`` it, and the ``answer`` to be given."""

    pending: Pending
    epoch: int
    before: Loaded[S]
    after: Loaded[S]
    answer: Answer


class _Refused(Exception):
    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class AggregateStreams:
    """The streams of one context. Keeps the states of the streams used last."""

    def __init__(self, store: PostgresEventStore, *, keep: int = _STREAMS_KEPT) -> None:
        """``keep`` is how many states stay in memory."""
        self._store = store
        self._keep = keep
        self._slots: OrderedDict[tuple[str, UUID], _Slot[Any]] = OrderedDict()
        self._snapshots: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait for the snapshots that are being kept. Call before the store is closed."""
        await asyncio.gather(*self._snapshots, return_exceptions=True)

    async def load(self, aggregate: Aggregate[S], stream_id: UUID) -> Loaded[S]:
        """The current state, as it is stored."""
        slot = self._slot(aggregate, stream_id)
        try:
            return await self._refresh(slot, aggregate, stream_id)
        finally:
            slot.users -= 1

    async def execute(
        self,
        aggregate: Aggregate[S],
        stream_id: UUID,
        decide: Decide[S],
        envelope: CommandEnvelope,
        *,
        body: Body[S] | None = None,
        timers: Timers[S] | None = None,
        message_id: UUID | None = None,
    ) -> Answer:
        """Decide and commit; see the port.

        A client's key is finished by the commit that bears the command's own id: a handler that commits more than once
        gives its other commits a ``message_id``. Raises ConcurrencyConflict if other processes were always first.
        """
        work = _Work(aggregate, stream_id, decide, envelope, body, timers, message_id)
        key = envelope.idempotency
        if key is None:
            return await self._carry_out(work)
        finished = await self._store.claim(key, envelope.command_id)
        if finished is not None:
            return finished
        try:
            return await self._carry_out(work)
        except CommitOutcomeUnknown:
            raise  # it may be stored: the claim lapses by itself
        except Exception:
            await self._store.release_claim(key)
            raise

    async def _carry_out(self, work: _Work[S]) -> Answer:
        slot = self._slot(work.aggregate, work.stream_id)
        try:
            for _ in range(_TRIES - 1):
                try:
                    return await self._try(slot, work)
                except ConcurrencyConflict:
                    continue
            return await self._try(slot, work)
        except DuplicateMessage as error:
            return error.answer or Answer(context=self._store.context)
        except _Refused as refused:
            handled = await self._store.answer_of(work.inbox)
            if handled is not None:
                return handled
            raise refused.cause from None
        finally:
            slot.users -= 1

    async def _try(self, slot: _Slot[S], work: _Work[S]) -> Answer:
        """Decide once. Raises ConcurrencyConflict if it must be decided again, _Refused if ``decide`` raised."""
        refusal: Exception | None = None
        async with slot.deciding:  # first come, first decided
            before = slot.tip or await self._refresh(slot, work.aggregate, work.stream_id)
            resting_on = slot.last
            try:
                events = tuple(work.decide(before.state))
            except Exception as error:  # noqa: BLE001 - raised when it is certain that its ground is stored
                events, refusal = (), error
            submitted = self._submit(slot, work, before, events) if events else None
        if submitted is not None:
            return await self._stored(slot, work, submitted)
        await self._confirm(slot, before, resting_on)
        if refusal is not None:
            raise _Refused(refusal)
        commit, answer = self._commit_of(work, before.state, (), ())
        await self._store.commit(commit)
        return answer

    def _submit(self, slot: _Slot[S], work: _Work[S], before: Loaded[S], events: tuple[Event, ...]) -> _Submitted[S]:
        state = work.aggregate.fold(events, before.state)
        after = Loaded(work.stream_id, state, before.version + len(events))
        append = StreamAppend(work.stream_id, before.version, events)
        commit, answer = self._commit_of(work, state, (append,), events)
        pending = self._store.submit(commit, after=slot.last)
        slot.tip, slot.last = after, pending
        return _Submitted(pending, slot.epoch, before, after, answer)

    def _commit_of(
        self, work: _Work[S], state: S, appends: tuple[StreamAppend, ...], events: Sequence[Event]
    ) -> tuple[Commit, Answer]:
        answer = Answer(context=self._store.context, body=work.body(state) if work.body else {})
        commit = Commit(
            metadata=replace_metadata(work.envelope.metadata, causation_id=work.envelope.command_id),
            appends=appends,
            inbox=work.inbox,
            answer=answer,
            idempotency=work.envelope.idempotency if work.message_id is None else None,
            timers=tuple(work.timers(state, events)) if work.timers else (),
        )
        return commit, answer

    async def _stored(self, slot: _Slot[S], work: _Work[S], submitted: _Submitted[S]) -> Answer:
        try:
            position = await submitted.pending.outcome
        except BaseException:
            slot.forget_tip(submitted.epoch)
            raise
        slot.learn_own(submitted)
        every = work.aggregate.snapshot_every
        if submitted.after.version // every > submitted.before.version // every:
            self._keep_snapshot(work.aggregate, submitted.after)
        return submitted.answer.model_copy(update={"position": str(position)})

    async def _confirm(self, slot: _Slot[S], before: Loaded[S], resting_on: Pending | None) -> None:
        """Return when it is certain that ``before`` was what is stored. Raises ConcurrencyConflict if it was not."""
        if resting_on is not None:
            await asyncio.wait([resting_on.outcome])
            if resting_on.failed:
                raise ConcurrencyConflict(before.stream_id, before.version)
        if before.version in slot.grounds:
            return
        if await self._store.read_stream(before.stream_id, after=before.version):
            if slot.last is None:  # else what is under way finds out by itself
                slot.forget_tip(slot.epoch)
            raise ConcurrencyConflict(before.stream_id, before.version)

    async def _refresh(self, slot: _Slot[S], aggregate: Aggregate[S], stream_id: UUID) -> Loaded[S]:
        """Read what is stored beyond what is known."""
        known = slot.stored
        if known is None:
            snapshot = await self._store.load_snapshot(stream_id, aggregate)
            known = Loaded(stream_id, *(snapshot or (aggregate.initial, 0)))
        events = await self._store.read_stream(stream_id, after=known.version)
        if not events:
            return slot.learn(known)
        state = aggregate.fold((recorded.event for recorded in events), known.state)
        loaded = Loaded(stream_id, state, events[-1].version)
        if len(events) >= aggregate.snapshot_every:
            self._keep_snapshot(aggregate, loaded)
        return slot.learn(loaded)

    def _keep_snapshot(self, aggregate: Aggregate[S], loaded: Loaded[S]) -> None:
        """Nobody waits for a snapshot, and nobody misses one that could not be kept."""

        async def keep() -> None:
            try:
                await self._store.save_snapshot(loaded.stream_id, aggregate, loaded.state, loaded.version)
            except Exception as error:  # noqa: BLE001 - reported; the stream itself is complete without it
                log.warning(
                    "snapshot not kept", aggregate=aggregate.name, stream=str(loaded.stream_id), error=str(error)
                )

        task = asyncio.create_task(keep(), name=f"snapshot of {aggregate.name} {loaded.stream_id}")
        self._snapshots.add(task)
        task.add_done_callback(self._snapshots.discard)

    def _slot(self, aggregate: Aggregate[S], stream_id: UUID) -> _Slot[S]:
        """The slot of a stream, in use until its ``users`` is lowered again."""
        name = (aggregate.name, stream_id)
        slot = self._slots.setdefault(name, _Slot())
        self._slots.move_to_end(name)
        slot.users += 1
        while len(self._slots) > self._keep:
            oldest, unused = next(iter(self._slots.items()))
            if unused.users:
                break
            del self._slots[oldest]
        return slot
