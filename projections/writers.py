"""How a run of events is written into one build of a read model, whatever kind it is: in bulk, and harmless twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

from commands.ports import Position, RecordedEvent
from projections.ports import (
    Builds,
    CalendarStore,
    CalendarWrite,
    FactStore,
    FactTable,
    FoldedDocument,
    FoldStore,
)
from projections.projection import CalendarProjection, DocumentProjection, FactProjection, Projection


class ProjectionWriter(Protocol):
    """One projection together with the store that keeps it."""

    @property
    def projection(self) -> Projection:
        """What is kept."""
        ...

    @property
    def store(self) -> Builds:
        """Where it is kept."""
        ...

    async def prepare(self, build: str) -> None:
        """Create what the build needs; idempotent."""
        ...

    async def write(self, build: str, events: Sequence[RecordedEvent]) -> None:
        """Apply consecutive events of one context. Raises StoreUnavailable, or whatever ``apply`` raises."""
        ...


class CannotApply(Exception):
    """A projection failed on an event. Carries both, so that the operator sees which event it was."""

    def __init__(self, projection: str, recorded: RecordedEvent, cause: Exception) -> None:
        super().__init__(
            f"{projection} cannot apply {recorded.event.topic} ({recorded.event_id}, {recorded.context} "
            f"{recorded.position}, stream {recorded.stream_id} version {recorded.version}): "
            f"{type(cause).__name__}: {cause}"
        )
        self.projection = projection
        self.recorded = recorded
        self.cause = cause


class FoldWriter:
    """Loads the documents that a run touches, folds in memory, saves in bulk.

    Runs of different contexts into one build are serialised, because both would fold the same documents; a save that
    another process overtook is folded again on what that one wrote.
    """

    def __init__(
        self, projection: DocumentProjection, store: FoldStore, indexes: Sequence[tuple[str, ...]] = ()
    ) -> None:
        self.projection = projection
        self.store = store
        self._indexes = indexes
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def prepare(self, build: str) -> None:
        """Create the collection or index."""
        await self.store.prepare(build, self._indexes)

    async def write(self, build: str, events: Sequence[RecordedEvent]) -> None:
        """Fold and save; see ProjectionWriter."""
        touching: defaultdict[str, list[RecordedEvent]] = defaultdict(list)
        for recorded in events:
            for key in self.projection.keys(recorded):
                touching[key].append(recorded)
        async with self._locks[build]:
            while touching:
                stored = await self.store.load(build, list(touching))
                folded = [
                    document
                    for key, its_events in touching.items()
                    if (document := self._fold(key, stored.get(key), its_events)) is not None
                ]
                refused = await self.store.save(build, folded) if folded else frozenset()
                touching = defaultdict(list, {key: touching[key] for key in refused})

    def _fold(self, key: str, stored: FoldedDocument | None, events: Sequence[RecordedEvent]) -> FoldedDocument | None:
        """The document after those events that are not in it yet; None if all are.

        What is in it is kept per stream, not per context: when an event was parked, later ones of other streams go
        into the same document before it does.
        """
        body = stored.body if stored else None
        positions = dict(stored.positions) if stored else {}
        count = stored.folded if stored else 0
        before = count
        for recorded in events:
            stream = str(recorded.stream_id)
            seen = positions.get(stream)
            if seen is not None and recorded.position <= Position.parse(seen):
                continue
            try:
                body = self.projection.apply(body, recorded)
            except Exception as error:
                raise CannotApply(self.projection.name, recorded, error) from error
            positions[stream] = str(recorded.position)
            count += 1
        return FoldedDocument(key, body, count, positions) if count > before else None


class CalendarWriter:
    """Sends the cells of a run to the calendar store in one pipeline."""

    def __init__(self, projection: CalendarProjection, store: CalendarStore) -> None:
        self.projection = projection
        self.store = store

    async def prepare(self, build: str) -> None:
        """Make the prefix ready."""
        await self.store.prepare(build)

    async def write(self, build: str, events: Sequence[RecordedEvent]) -> None:
        """Write absolute values; see ProjectionWriter."""
        writes: list[CalendarWrite] = []
        for recorded in events:
            try:
                writes.extend(self.projection.writes(recorded))
            except Exception as error:
                raise CannotApply(self.projection.name, recorded, error) from error
        if writes:
            await self.store.write(build, writes)


class FactWriter:
    """Inserts the rows of a run, one bulk insert per table."""

    def __init__(self, projection: FactProjection, store: FactStore) -> None:
        self.projection = projection
        self.store = store

    async def prepare(self, build: str) -> None:
        """Create the tables."""
        await self.store.prepare(build, self.projection.tables)

    async def write(self, build: str, events: Sequence[RecordedEvent]) -> None:
        """Insert; see ProjectionWriter."""
        by_table: defaultdict[FactTable, list[Sequence[Any]]] = defaultdict(list)
        for recorded in events:
            try:
                for table, row in self.projection.rows(recorded):
                    by_table[table].append(row)
            except Exception as error:
                raise CannotApply(self.projection.name, recorded, error) from error
        for table, rows in by_table.items():
            await self.store.insert(build, table, rows)
