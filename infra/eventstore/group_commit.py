"""Group commit: what arrives while one transaction is being committed forms the next one.

Nothing waits when the store is idle, and under load many commits share one fsync. Each commit still stands for itself:
a conflict, a duplicate or content that PostgreSQL refuses ends that commit alone, together with those that were decided
upon its events; the rest of its batch is written without it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from uuid import UUID

import asyncpg
import structlog

from commands.ports import Idempotency
from infra.eventstore.batch import BatchWriter, Pending
from infra.eventstore.errors import SERVER_AWAY, CommitOutcomeUnknown, EventStoreUnavailable

log = structlog.get_logger(__name__)

Observe = Callable[[int, int, float], None]
"""Told of every transaction: how many commits and events it had, and how many seconds it took."""

_IN_THE_WAY = (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_MAX_COMMITS = 1_000
_MAX_EVENTS = 5_000
_TRIES_TOGETHER = 5
_PATIENCE_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 1.0


class _Batch:
    """Commits that may share one statement: none needs a row that another one takes."""

    def __init__(self) -> None:
        self.commits: list[Pending] = []
        self.events = 0
        self._members: set[Pending] = set()
        self._heads: dict[UUID, int] = {}
        self._handled: set[UUID | Idempotency] = set()

    def take(self, pending: Pending) -> bool:
        """Add ``pending`` unless it must wait for the next batch."""
        commit = pending.commit
        before = pending.after
        if before is not None and not before.outcome.done() and before not in self._members:
            return False
        if commit.inbox in self._handled or commit.idempotency in self._handled:
            return False
        if any(self._heads.get(a.stream_id, a.expected_version) != a.expected_version for a in commit.appends):
            return False
        self._heads.update({a.stream_id: a.expected_version + len(a.events) for a in commit.appends})
        self._handled.update(one for one in (commit.inbox, commit.idempotency) if one is not None)
        self._members.add(pending)
        self.commits.append(pending)
        self.events += len(pending.rows)
        return True


class GroupCommit:
    """The single writer of one context in this process."""

    def __init__(
        self,
        writer: BatchWriter,
        stored: Callable[[], None],
        patience_seconds: float = _PATIENCE_SECONDS,
        observe: Observe | None = None,
    ) -> None:
        """``stored`` is called after every transaction. A server that is away is waited for ``patience_seconds``."""
        self._writer = writer
        self._stored = stored
        self._observe = observe
        self._patience_seconds = patience_seconds
        self._queue: deque[Pending] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    def submit(self, pending: Pending) -> None:
        """Put ``pending`` in line, behind all submitted before. Raises EventStoreUnavailable after ``close``."""
        if self._closed:
            raise EventStoreUnavailable("the event store is closed")
        self._queue.append(pending)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="group commit")

    async def close(self) -> None:
        """Take no more, and return when all that was submitted has ended."""
        self._closed = True
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        batch: list[Pending] = []
        try:
            while self._queue:
                batch = self._next_batch()
                await self._store(batch)
        except BaseException as error:  # cancelled, or a fault of ours: nobody may be left waiting
            _give_up(batch, error)
            _give_up(self._queue, error)
            self._queue.clear()
            raise
        finally:
            self._worker = None

    def _next_batch(self) -> list[Pending]:
        batch, deferred = _Batch(), []
        while self._queue and len(batch.commits) < _MAX_COMMITS and batch.events < _MAX_EVENTS:
            pending = self._queue.popleft()
            if pending.outcome.done():  # whoever submitted it has gone away
                continue
            if pending.after is not None and pending.after.failed:
                pending.fail_as_conflict()
            elif not batch.take(pending):
                deferred.append(pending)
        self._queue.extendleft(reversed(deferred))
        return batch.commits

    async def _store(self, batch: Sequence[Pending]) -> None:
        """Write ``batch``, sorting out what is in the way. Writing again is safe: event ids stay the same."""
        refusals = 0
        away: _Absence | None = None
        while batch := _standing(batch):
            try:
                await self._attempt(batch, settle_first=refusals > 0)
            except SERVER_AWAY as error:
                away = away or _Absence(self._patience_seconds)
                if not await away.lasts_on(error):
                    return _give_up(batch, error)
            except asyncpg.PostgresError as error:
                refusals += 1
                if not isinstance(error, _IN_THE_WAY) or refusals >= _TRIES_TOGETHER:
                    return await self._one_by_one(batch, error)
        return None

    async def _attempt(self, batch: Sequence[Pending], *, settle_first: bool) -> None:
        if settle_first:
            await self._writer.settle(batch)
        for pending in await self._writer.unfounded(_standing(batch)):
            pending.fail_as_conflict()
        batch = _standing(batch)
        if not batch:
            return
        begun = monotonic()
        positions = await self._writer.write(batch)
        if self._observe is not None:
            self._observe(len(batch), sum(len(pending.rows) for pending in batch), monotonic() - begun)
        for pending, position in zip(batch, positions, strict=True):
            pending.succeed(position)
        self._stored()

    async def _one_by_one(self, batch: Sequence[Pending], error: Exception) -> None:
        """PostgreSQL refuses something in ``batch``: find out in which commit."""
        if len(batch) == 1:
            return batch[0].fail(error)
        for pending in batch:
            await self._store([pending])
        return None


class _Absence:
    """A time during which the server does not answer."""

    def __init__(self, patience_seconds: float) -> None:
        self._ends_at = asyncio.get_running_loop().time() + patience_seconds
        self._pause = _FIRST_PAUSE_SECONDS

    async def lasts_on(self, error: BaseException) -> bool:
        """Wait a moment, longer each time; False when patience has run out."""
        if asyncio.get_running_loop().time() >= self._ends_at:
            return False
        log.warning("event store waits for PostgreSQL", error=_text_of(error))
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        return True


def _standing(batch: Sequence[Pending]) -> list[Pending]:
    """What is left of ``batch``: neither ended, nor decided upon something that has failed."""
    left = []
    for pending in batch:
        if pending.after is not None and pending.after.failed:
            pending.fail_as_conflict()
        if not pending.outcome.done():
            left.append(pending)
    return left


def _give_up(batch: Iterable[Pending], error: BaseException) -> None:
    """End ``batch`` with what is known about it."""
    for pending in batch:
        if pending.sent:
            pending.fail(CommitOutcomeUnknown(f"lost PostgreSQL during a commit: {_text_of(error)}"))
        else:
            pending.fail(EventStoreUnavailable(f"cannot reach PostgreSQL: {_text_of(error)}"))


def _text_of(error: BaseException) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
