"""How a replay writes a build that nobody reads or feeds yet: what it has written it knows, and it writes little often.

What a fill was given may be in memory for a while: only ``flush`` says that it is in the store. As nobody else writes
the build, documents are loaded only if an earlier try may have written them, and are written when enough have changed,
while the next events are folded.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import orjson

from commands.ports import LogRun, RecordedEvent, Temporary
from commands.turns import in_turns
from projections.folding import Folding, rows_of, writes_of
from projections.ports import CalendarStore, CalendarWrite, FactTable, FactTarget, FoldedDocument, FoldStore
from projections.projection import CalendarProjection, DocumentProjection, FactProjection

KEPT_BYTES = 32_000_000
"""How many bytes of documents (as JSON, which is a quarter of what they take) one fill keeps in memory."""
_ROWS_AT_ONCE = 10_000
"""Of facts: more are inserted no faster, and keep a thread busy in Python for longer at a time."""
_WRITES_AT_ONCE = 50
"""Of calendars: so many take the client a millisecond, in which nobody else has the event loop."""


class Fill(Protocol):
    """One build that is being filled. Each method may be called again after it has raised StoreUnavailable."""

    async def begin(self, *, afresh: bool) -> None:
        """Make the build ready; ``afresh``: throw away what an earlier try has left. Raises StoreUnavailable."""
        ...

    async def write(self, run: LogRun) -> None:
        """Take in the next events of one context. Raises StoreUnavailable, BuildMissing, CannotApply."""
        ...

    async def flush(self) -> None:
        """Return when everything that was taken in is durable. Raises as ``write`` does, and Overtaken."""
        ...

    async def close(self) -> None:
        """Stop writing. What was not flushed may be missing."""
        ...


class Overtaken(Temporary):
    """Somebody else writes the build as well: begin again where it stands."""


class DocumentFill:
    """Fold documents in memory; hand those that have changed to the store, many at once."""

    def __init__(self, build: str, projection: DocumentProjection, store: FoldStore) -> None:
        self._build = build
        self._projection = projection
        self._store = store
        self._known: dict[str, Folding] = {}
        self._complete = False
        """Whether what is not known is not in the store either."""
        self._changed: dict[str, Folding] = {}
        self._saving: asyncio.Task[None] | None = None
        self._weight = self._weighed = 0
        """Bytes, and number, of the documents that were weighed: one of each run."""

    async def begin(self, *, afresh: bool) -> None:
        """See Fill."""
        if afresh:
            await self._store.drop(self._build)
            await self._store.prepare(self._build)
        self._complete = afresh

    async def write(self, run: LogRun) -> None:
        """See Fill."""
        if not self._complete:
            await self._load(run)
        touched = await in_turns(run.events, self._fold)
        if touched and touched[-1]:
            self._weigh(touched[-1][-1])
        if len(self._changed) >= self._store.fill_size:
            await self._save()
        if len(self._known) * self._weight > KEPT_BYTES * self._weighed:
            await self.flush()
            await _let_go(self._known)
            self._complete = False

    async def flush(self) -> None:
        """See Fill."""
        while self._saving is not None or self._changed:
            await self._save()

    async def close(self) -> None:
        """See Fill."""
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)
        self._changed.clear()
        await _let_go(self._known)

    async def _load(self, run: LogRun) -> None:
        touched = await in_turns(run.events, self._projection.keys)
        unknown = list(dict.fromkeys(key for keys in touched for key in keys if key not in self._known))
        stored = await self._store.load(self._build, unknown) if unknown else {}
        self._known |= {key: Folding(key, stored.get(key)) for key in unknown}

    def _fold(self, recorded: RecordedEvent) -> list[Folding]:
        """Take in an event; the documents that it concerns."""
        touched = []
        for key in self._projection.keys(recorded):
            folding = self._known.get(key)
            if folding is None:
                folding = self._known[key] = Folding(key, None)
            folding.take(self._projection, recorded)
            if folding.changed:
                self._changed[key] = folding
            touched.append(folding)
        return touched

    async def _save(self) -> None:
        """Wait until what is being saved is; then begin to save what has changed since."""
        saving, self._saving = self._saving, None
        if saving is not None:
            await saving
        if self._changed:
            changed, self._changed = self._changed, {}
            self._saving = asyncio.create_task(self._save_these(changed), name=f"fill of {self._build}")

    async def _save_these(self, changed: dict[str, Folding]) -> None:
        unsaved = [folding for folding in changed.values() if folding.changed]
        try:
            documents = await in_turns(unsaved, Folding.document)
            refused = await self._store.save(self._build, documents, filling=True)
            if refused:
                await self._check(refused, documents)
        except BaseException:
            self._changed = changed | self._changed
            raise
        for document in documents:
            changed[document.key].stored = document.folded

    def _weigh(self, folding: Folding) -> None:
        self._weight += len(orjson.dumps(folding.body))
        self._weighed += 1

    async def _check(self, refused: frozenset[str], documents: Iterable[FoldedDocument]) -> None:
        """What was refused must be what an earlier try of ours has written. Raises Overtaken."""
        stored = await self._store.load(self._build, list(refused))
        for document in documents:
            there = stored.get(document.key)
            if document.key in refused and (there is None or there.positions != document.positions):
                raise Overtaken(f"document {document.key} of {self._build} was written by somebody else as well")


class CalendarFill:
    """Fold the writes to one calendar into one; Redis gets each cell's last value only."""

    def __init__(self, build: str, projection: CalendarProjection, store: CalendarStore) -> None:
        self._build = build
        self._projection = projection
        self._store = store
        self._writes: dict[tuple[str, str], CalendarWrite] = {}
        self._taken: LogRun | None = None
        """The runs that the writes come from, as one."""

    async def begin(self, *, afresh: bool) -> None:
        """See Fill."""
        if afresh:
            await self._store.drop(self._build)
            await self._store.prepare(self._build)

    async def write(self, run: LogRun) -> None:
        """See Fill."""
        if self._taken is not None and (self._taken.context, self._taken.position) != (run.context, run.prev):
            await self.flush()
        for writes in await in_turns(run.events, partial(writes_of, self._projection)):
            for write in writes:
                key = write.kind, write.key
                before = self._writes.get(key)
                self._writes[key] = write if before is None else _merged(before, write)
        self._taken = LogRun(run.context, self._taken.prev if self._taken else run.prev, run.position, ())

    async def flush(self) -> None:
        """See Fill."""
        if self._taken is None:
            return
        writes, taken = list(self._writes.values()), self._taken
        for first in range(0, max(1, len(writes)), _WRITES_AT_ONCE):
            # Only with the last of them the build has the whole run.
            last = first + _WRITES_AT_ONCE >= len(writes)
            run = taken if last else LogRun(taken.context, taken.prev, taken.prev, ())
            await self._store.write(self._build, writes[first : first + _WRITES_AT_ONCE], run)
        self._writes, self._taken = {}, None
        await _let_go(writes)

    async def close(self) -> None:
        """See Fill."""


class FactFill:
    """Collect rows; each insert is a part on the disk, so a few large ones are best."""

    def __init__(self, build: str, projection: FactProjection, store: FactTarget) -> None:
        self._build = build
        self._projection = projection
        self._store = store
        self._rows: defaultdict[FactTable, list[Sequence[Any]]] = defaultdict(list)

    async def begin(self, *, afresh: bool) -> None:
        """See Fill."""
        if afresh:
            await self._store.drop(self._build)
            await self._store.prepare(self._build, self._projection.tables)

    async def write(self, run: LogRun) -> None:
        """See Fill."""
        if sum(map(len, self._rows.values())) >= _ROWS_AT_ONCE:
            await self.flush()
        for rows in await in_turns(run.events, partial(rows_of, self._projection)):
            for table, row in rows:
                self._rows[table].append(row)

    async def flush(self) -> None:
        """See Fill."""
        for table in list(self._rows):
            await self._store.insert(self._build, table, self._rows[table])
            await _let_go(self._rows.pop(table))

    async def close(self) -> None:
        """See Fill."""


async def _let_go(kept: dict[Any, Any] | list[Any]) -> None:
    """Empty ``kept`` in turns: to free a hundred thousand objects at once takes tens of milliseconds."""
    let_go_of_one = kept.popitem if isinstance(kept, dict) else kept.pop

    def free(_: int) -> None:
        let_go_of_one()  # and do not return it: what is returned is kept until the last turn

    await in_turns(range(len(kept)), free)


def _merged(before: CalendarWrite, after: CalendarWrite) -> CalendarWrite:
    """Both as one write: what is later counts."""
    default = before.default if after.default is None else after.default
    cells = {**before.cells, **after.cells}
    return CalendarWrite(after.kind, after.key, cells, after.context, after.position, default)
