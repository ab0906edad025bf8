"""How a run of events is written into one build of a read model, whatever kind it is: in bulk, and harmless twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

from commands.ports import START, Checkpoint, LogRun, Position, RecordedEvent
from projections.fills import CalendarFill, DocumentFill, FactFill, Fill
from projections.folding import Folding, rows_of, writes_of
from projections.ports import (
    Builds,
    CalendarStore,
    FactStore,
    FactTable,
    FactTarget,
    FoldedDocument,
    FoldStore,
)
from projections.projection import CalendarProjection, DocumentProjection, FactProjection, Projection


class FillWriter(Protocol):
    """How builds of one projection are filled."""

    @property
    def projection(self) -> Projection:
        """What is kept."""
        ...

    def filling(self, build: str) -> Fill:
        """A way to write a build that nobody reads or feeds yet; see ``projections.fills``."""
        ...

    async def resumes_at(self, build: str, checkpoint: Checkpoint) -> Position:
        """How far ``build`` has what was written into it: ``checkpoint`` unless its store has lost some of it.

        Raises StoreUnavailable, BuildMissing.
        """
        ...


class ProjectionWriter(FillWriter, Protocol):
    """One projection together with the store that keeps it."""

    @property
    def store(self) -> Builds:
        """Where it is kept."""
        ...

    async def filled(self, build: str) -> None:
        """Make ``build``, which was filled in whichever process, ready for readers and small writes.

        Raises StoreUnavailable, BuildMissing.
        """
        ...

    async def write(self, build: str, run: LogRun) -> None:
        """Apply consecutive events of one context. Raises StoreUnavailable, WentBack, or whatever ``apply`` raises."""
        ...


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

    def filling(self, build: str) -> Fill:
        """See ProjectionWriter."""
        return DocumentFill(build, self.projection, self.store)

    async def filled(self, build: str) -> None:
        """See ProjectionWriter."""
        await self.store.filled(build, self._indexes)

    async def resumes_at(self, build: str, checkpoint: Checkpoint) -> Position:
        """See ProjectionWriter: these stores keep what they have acknowledged."""
        del build
        return checkpoint.position

    async def write(self, build: str, run: LogRun) -> None:
        """Fold and save; see ProjectionWriter."""
        touching: defaultdict[str, list[RecordedEvent]] = defaultdict(list)
        for recorded in run.events:
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
        """The document after those events that are not in it yet; None if all are."""
        folding = Folding(key, stored)
        for recorded in events:
            folding.take(self.projection, recorded)
        return folding.document() if folding.changed else None


class CalendarWriter:
    """Sends the cells of a run to the calendar store in one pipeline."""

    def __init__(self, projection: CalendarProjection, store: CalendarStore) -> None:
        self.projection = projection
        self.store = store

    def filling(self, build: str) -> Fill:
        """See ProjectionWriter."""
        return CalendarFill(build, self.projection, self.store)

    async def filled(self, build: str) -> None:
        """See ProjectionWriter."""
        await self.store.filled(build)

    async def resumes_at(self, build: str, checkpoint: Checkpoint) -> Position:
        """See ProjectionWriter: Redis may come back older than it was."""
        if checkpoint.position == START:
            return START
        return min(checkpoint.position, await self.store.reached(build, checkpoint.context))

    async def write(self, build: str, run: LogRun) -> None:
        """Write absolute values; see ProjectionWriter."""
        writes = [write for recorded in run.events for write in writes_of(self.projection, recorded)]
        await self.store.write(build, writes, run)


class FactFiller:
    """A FillWriter: all that a process can do which may not have the engine itself, only where its rows are taken."""

    def __init__(self, projection: FactProjection, target: FactTarget) -> None:
        self.projection = projection
        self._target = target

    def filling(self, build: str) -> Fill:
        """See FillWriter."""
        return FactFill(build, self.projection, self._target)

    async def resumes_at(self, build: str, checkpoint: Checkpoint) -> Position:
        """See FillWriter: an insert is on the disk when it returns."""
        del build
        return checkpoint.position


class FactWriter(FactFiller):
    """Inserts the rows of a run, one bulk insert per table."""

    def __init__(self, projection: FactProjection, store: FactStore) -> None:
        super().__init__(projection, store)
        self.store = store

    async def filled(self, build: str) -> None:
        """See ProjectionWriter."""
        await self.store.filled(build)

    async def write(self, build: str, run: LogRun) -> None:
        """Insert; see ProjectionWriter."""
        by_table: defaultdict[FactTable, list[Sequence[Any]]] = defaultdict(list)
        for recorded in run.events:
            for table, row in rows_of(self.projection, recorded):
                by_table[table].append(row)
        for table, rows in by_table.items():
            await self.store.insert(build, table, rows)
