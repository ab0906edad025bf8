"""Runs sagas: a feed over the logs that concern them, whose effects and checkpoint are one commit.

A run is one commit: for each event the saga's state is loaded, the saga reacts, and its reaction, the commands that it
issues, its deadline and the checkpoint become true together. Deadlines come back as commands, and may be handled in
another process: what this one remembers of a saga is only good until the store says otherwise.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from pydantic import ValidationError

from commands.ports import (
    Answer,
    Checkpoint,
    Clock,
    Commit,
    ConcurrencyConflict,
    EventStore,
    LogRun,
    Metadata,
    Position,
    RecordedEvent,
    StreamAppend,
    caused_by,
)
from domain.saga.events import SagaReacted, Untold
from domain.shared.errors import IllegalTransition, NotFound
from domain.shared.messages import Event
from domain.shared.topics import TopicError
from sagas.commands import PassDeadline
from sagas.journal import Entry, Journal, Teller, event_of
from sagas.saga import Happening, Reaction, Saga

CONFLICTS = 10
"""How often a lost race is run again here, before whoever called hears of it."""


@dataclass(frozen=True, slots=True)
class _Told:
    """An event that concerns a saga."""

    saga: Saga[Any]
    subject_id: UUID
    recorded: RecordedEvent

    @property
    def saga_id(self) -> UUID:
        """Which one."""
        return self.saga.saga_id(self.subject_id)

    @property
    def starts(self) -> bool:
        """Whether the saga begins with it."""
        return type(self.recorded.event) in self.saga.starts


class SagaRuntime:
    """The feed ``sagas``; its home is the store of the bookings context, where the sagas' streams are.

    All work is serialised: runs of different contexts, deadlines and operators concern the same sagas.
    """

    name = "sagas"
    commits_checkpoint = True

    def __init__(
        self, sagas: Iterable[Saga[Any]], store: EventStore, clock: Clock, *, remembered: int = 20_000
    ) -> None:
        """``remembered``: how many sagas are kept in memory, the least recently touched are forgotten."""
        self._sagas = {saga.name: saga for saga in sagas}
        routes: dict[type[Event], list[Saga[Any]]] = {}
        for saga in self._sagas.values():
            for event_type in saga.routes:
                routes.setdefault(event_type, []).append(saga)
        self._routes: Mapping[type[Event], Sequence[Saga[Any]]] = routes
        self.contexts: tuple[str, ...] = tuple(dict.fromkeys(each.topic.partition(".")[0] for each in routes))
        self.topics: frozenset[str] | None = frozenset(each.topic for each in routes)
        self._store = store
        self._clock = clock
        self._teller = Teller(clock)
        self._remembered = remembered
        self._memory: OrderedDict[UUID, Journal] = OrderedDict()
        self._at_work = asyncio.Lock()

    async def handle(self, run: LogRun, checkpoint: Checkpoint) -> None:
        """See Feed. Raises what the store raises; what a saga raises, or has stored, quarantines that saga."""
        told = [
            _Told(saga, subject_id, recorded)
            for recorded in run.events
            for saga in self._routes.get(type(recorded.event), ())
            if (subject_id := saga.routes[type(recorded.event)](recorded.event)) is not None
        ]
        async with self._at_work:
            conflicts = 0
            while True:
                entries = await self._react(told, trusting=conflicts == 0)
                try:
                    await self._commit(entries, run.position, checkpoint)
                except ConcurrencyConflict:
                    conflicts += 1
                    if conflicts == CONFLICTS:
                        raise
                else:
                    return

    async def resumes_at(self, checkpoint: Checkpoint) -> Position:
        """See Feed: effects and checkpoint are one commit."""
        return checkpoint.position

    async def pass_deadline(self, command: PassDeadline, message_id: UUID, metadata: Metadata) -> Answer:
        """Tell a saga that its time is up, if it still waits for that. ``metadata`` is that of the command."""

        def decide(journal: Journal) -> Sequence[Entry]:
            if journal.deadline != command.due_at or journal.step != command.step:
                return ()
            caused = caused_by(metadata, message_id, f"saga:{journal.saga.name}", self._clock.now())
            return (self._teller.tell(journal, Happening(caused.at, deadline=command.step), caused),)

        return await self._on(command.saga_id, decide)

    async def retry(self, saga_id: UUID, message_id: UUID, metadata: Metadata) -> Answer:
        """Tell a quarantined saga again what was set aside, or a stuck one that its time is up.

        Raises NotFound; IllegalTransition for a saga that is neither.
        """

        def decide(journal: Journal) -> Sequence[Entry]:
            caused = self._by_operator(journal, message_id, metadata)
            if journal.quarantined:
                entries = [self._teller.resume(journal, caused)]
                for untold in journal.untold:
                    entries.append(self._teller.retell(untold, entries[-1].after, caused))
                return entries
            if journal.status == "running" and journal.deadline is not None and journal.deadline <= self._clock.now():
                return (self._teller.tell(journal, Happening(caused.at, deadline=journal.step), caused),)
            raise IllegalTransition(f"saga {saga_id} is {journal.status} ({journal.step}): there is nothing to retry")

        return await self._on(saga_id, decide)

    async def compensate(self, saga_id: UUID, message_id: UUID, metadata: Metadata) -> Answer:
        """Let a saga give back everything. What was set aside is told afterwards, except what fails again.

        Raises NotFound; IllegalTransition where the saga knows no way back (any more).
        """

        def decide(journal: Journal) -> Sequence[Entry]:
            caused = self._by_operator(journal, message_id, metadata)
            reaction, left = _way_back(journal, caused.at)
            entries = [self._teller.record(journal, reaction, "compensate", caused)]
            for untold in left:
                entry = self._teller.retell(untold, entries[-1].after, caused)
                if not entry.after.quarantined:
                    entries.append(entry)
            return entries

        return await self._on(saga_id, decide)

    def _by_operator(self, journal: Journal, message_id: UUID, metadata: Metadata) -> Metadata:
        """An operator's order belongs to the saga's story, and to its time."""
        return caused_by(journal.metadata or metadata, message_id, metadata.actor, self._clock.now())

    async def _react(self, told: Sequence[_Told], *, trusting: bool) -> list[Entry]:
        """How the sagas react to consecutive events.

        ``trusting``: what is remembered is taken to be so, and a saga that begins to be new; if that is wrong, the
        commit will conflict. But a saga that ignores something without a commit is looked up first.
        """
        sure: dict[UUID, Journal] = {} if trusting else await self._refresh(told)
        while True:
            journals = await self._journals(told, sure)
            entries: list[Entry] = []
            doubtful: list[_Told] = []
            for each in told:
                journal = journals[each.saga_id]
                actor = f"saga:{each.saga.name}"
                metadata = caused_by(each.recorded.metadata, each.recorded.event_id, actor, self._clock.now())
                entry = self._teller.tell(journal, Happening(metadata.at, each.recorded.event), metadata)
                journals[each.saga_id] = entry.after
                if entry.events:
                    entries.append(entry)
                elif journal.status != "finished" and each.saga_id not in sure:
                    doubtful.append(each)
            if not doubtful:
                return entries
            sure |= await self._refresh(doubtful)

    async def _journals(self, told: Sequence[_Told], sure: dict[UUID, Journal]) -> dict[UUID, Journal]:
        journals: dict[UUID, Journal] = {}
        unknown: list[_Told] = []
        for each in told:
            saga_id = each.saga_id
            known = sure.get(saga_id) or self._memory.get(saga_id)
            if known is not None:
                journals[saga_id] = known
            elif each.starts:
                journals.setdefault(saga_id, Journal(each.saga, saga_id, each.subject_id))
            elif saga_id not in journals:
                unknown.append(each)
        sure |= await self._refresh(unknown)
        return journals | {each.saga_id: sure[each.saga_id] for each in unknown}

    async def _refresh(self, told: Sequence[_Told]) -> dict[UUID, Journal]:
        """The journals of these sagas as the store has them."""
        known = {
            each.saga_id: self._memory.get(each.saga_id) or Journal(each.saga, each.saga_id, each.subject_id)
            for each in told
        }
        news = await asyncio.gather(
            *(self._store.read_stream(saga_id, after=journal.version) for saga_id, journal in known.items())
        )
        journals = {each.saga_id: each.after(events) for each, events in zip(known.values(), news, strict=True)}
        for journal in journals.values():
            self._remember(journal)
        return journals

    async def _on(self, saga_id: UUID, decide: Callable[[Journal], Sequence[Entry]]) -> Answer:
        """Let ``decide`` add to one saga, as the store has it."""
        async with self._at_work:
            conflicts = 0
            while True:
                journal = await self._journal(saga_id)
                entries = [entry for entry in decide(journal) if entry.events]
                try:
                    position = str(await self._commit(entries, saga_id, None)) if entries else None
                except ConcurrencyConflict:
                    conflicts += 1
                    if conflicts == CONFLICTS:
                        raise
                    continue
                after = entries[-1].after if entries else journal
                body = {"saga_id": str(saga_id), "step": after.step, "status": after.status}
                return Answer(context=self._store.context, position=position, body=body)

    async def _journal(self, saga_id: UUID) -> Journal:
        known = self._memory.get(saga_id)
        events = await self._store.read_stream(saga_id, after=known.version if known else 0)
        if known is None:
            begun = next((each.event for each in events if isinstance(each.event, SagaReacted)), None)
            if begun is None or begun.saga not in self._sagas:
                raise NotFound(f"there is no saga {saga_id}")
            known = Journal(self._sagas[begun.saga], saga_id, begun.subject_id)
        journal = known.after(events)
        self._remember(journal)
        return journal

    async def _commit(self, entries: Sequence[Entry], about: object, checkpoint: Checkpoint | None) -> Position:
        now = self._clock.now()
        commit = Commit(
            Metadata(correlation_id=uuid5(UUID(int=0), f"{self.name}:{about}"), at=now),
            appends=tuple(StreamAppend(entry.before.saga_id, entry.before.version, entry.events) for entry in entries),
            metadata_of_append=tuple(entry.metadata for entry in entries),
            timers=tuple(timer for entry in entries for timer in entry.timers),
            checkpoints=() if checkpoint is None else (checkpoint,),
        )
        touched = {entry.after.saga_id: entry.after for entry in entries}
        for saga_id in touched:
            self._memory.pop(saga_id, None)  # whatever the commit raises, it may have been stored
        position = await self._store.commit(commit)
        for journal in touched.values():
            self._remember(journal)
        return position

    def _remember(self, journal: Journal) -> None:
        self._memory[journal.saga_id] = journal
        self._memory.move_to_end(journal.saga_id)
        if len(self._memory) > self._remembered:
            self._memory.popitem(last=False)


def _way_back(journal: Journal, at: dt.datetime) -> tuple[Reaction[Any], Sequence[Untold]]:
    """How the saga gives back everything, and what is left to be told to it. Raises IllegalTransition."""
    saga = journal.saga
    try:
        state = journal.state()
    except ValidationError as error:
        raise IllegalTransition(
            f"saga {journal.saga_id} cannot be compensated, because this code cannot read what it has taken: "
            "retry or compensate it with code that can"
        ) from error
    if state is not None and saga.compensate is not None:
        return saga.compensate(state, at), journal.untold
    if state is None and saga.refuse is not None and journal.untold:
        first, *left = journal.untold
        try:
            event = event_of(first)
        except (TopicError, ValidationError) as error:
            raise IllegalTransition(
                f"saga {journal.saga_id} could not begin, and this code cannot read the event that it failed on "
                f"({first.topic}): retry it with code that can"
            ) from error
        return saga.refuse(event, at), left
    raise IllegalTransition(
        f"saga {journal.saga_id} ({saga.name}) knows no way back: retry it once the cause of its failure is mended"
    )
