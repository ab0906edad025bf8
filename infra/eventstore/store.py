"""The event store of one context on PostgreSQL: implements ``commands.ports.EventStore``."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import asyncpg
import structlog
from pydantic import BaseModel, ValidationError

from commands.ports import (
    START,
    Answer,
    Checkpoint,
    Commit,
    Idempotency,
    LogRun,
    Position,
    RecordedEvent,
)
from commands.turns import in_turns
from domain.shared import topics as registry
from domain.shared.aggregate import Aggregate
from infra.eventstore.batch import HANDLED, BatchWriter, KnownHeads, Pending, answer_in, pending_of
from infra.eventstore.group_commit import GroupCommit, Observe
from infra.eventstore.idempotency import IdempotencyKeys
from infra.eventstore.mapper import RecordReader
from infra.eventstore.sql import in_schema
from infra.eventstore.tail import LogTail
from infra.eventstore.watch import LogWatch

log = structlog.get_logger(__name__)
S = TypeVar("S", bound=BaseModel)

SCAN_AT_LEAST = 10_000
"""How many rows one ``read_log`` with topics looks at before it returns what it has, if only that it has moved on."""

_END = Position(2**63 - 1, 2**63 - 1)

_STREAM = """
SELECT # FROM @stored_events
WHERE originator_id = $1 AND originator_version > $2 AND originator_version <= $3 ORDER BY originator_version"""

# Only transactions older than every open one: nothing that becomes visible later can lie before them.
_NEXT = """FROM @stored_events
WHERE (transaction_id, notification_id) > ($1::xid8, $2::bigint)
  AND (transaction_id, notification_id) <= ($3::xid8, $4::bigint)
  AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())"""
_LOG = "SELECT # & ORDER BY transaction_id, notification_id LIMIT $5"
_NEWEST = "SELECT # & ORDER BY transaction_id DESC, notification_id DESC LIMIT $5"
_CORRELATED = """
SELECT # FROM @stored_events WHERE (metadata->>'correlation_id')::uuid = $1
ORDER BY transaction_id, notification_id"""
_COUNT = "SELECT count(*) &"
_COUNT_OF_TOPICS = "SELECT count(*) & AND topic = ANY($5::text[])"
_COUNT_BY_TOPIC = "SELECT topic, count(*) & GROUP BY topic"
_FIRST_AFTER = """
SELECT recorded_at & AND (topic = ANY($5::text[]) OR $5 IS NULL) ORDER BY transaction_id, notification_id LIMIT 1"""

# One statement, hence one snapshot: those wanted among the next $6 rows, then a row that says how far those $6 reach;
# that one is needed, and looked for, only when fewer than $5 were found.
_LOG_OF_TOPICS = """
WITH taken AS MATERIALIZED (
  SELECT * FROM (SELECT # & ORDER BY transaction_id, notification_id LIMIT $6) scanned
  WHERE topic = ANY($7::text[]) LIMIT $5)
SELECT * FROM taken
UNION ALL
SELECT transaction_id, notification_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM (
  SELECT transaction_id, notification_id FROM (
    SELECT transaction_id, notification_id & ORDER BY transaction_id, notification_id LIMIT $6) scanned
  ORDER BY transaction_id DESC, notification_id DESC LIMIT 1) reached
WHERE (SELECT count(*) FROM taken) < $5
ORDER BY transaction_id, notification_id, originator_version NULLS LAST"""

_SAVE_SNAPSHOT = """
INSERT INTO @snapshots AS s (originator_id, aggregate, snapshot_version, originator_version, state)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (originator_id, aggregate) DO UPDATE
SET snapshot_version = excluded.snapshot_version, originator_version = excluded.originator_version,
    state = excluded.state
WHERE (s.snapshot_version, s.originator_version) < (excluded.snapshot_version, excluded.originator_version)"""
_LOAD_SNAPSHOT = """
SELECT state, originator_version FROM @snapshots
WHERE originator_id = $1 AND aggregate = $2 AND snapshot_version = $3"""


class PostgresEventStore:
    """The log and the streams of ``context``, in the schema of that name (see ``schema.migrate``).

    Use it as an async context manager, or call ``open`` and ``close``. Methods raise EventStoreUnavailable,
    CommitOutcomeUnknown or asyncpg's errors when PostgreSQL is away; reading raises UnreadableEvent.
    """

    def __init__(self, pool: asyncpg.Pool, context: str, observe: Observe | None = None) -> None:
        self.context = context
        self._pool = pool
        self._heads = KnownHeads()
        self._reader = RecordReader(context)
        self._watch = LogWatch(pool, context)
        self._tail = LogTail(lambda position, limit: self._fetch(_LOG, *position, *_END, limit))
        writer = BatchWriter(pool, context, self._heads)
        self._group = GroupCommit(writer, self._watch.stored, observe=observe)
        self._keys = IdempotencyKeys(pool, context)

    async def open(self) -> None:
        """Check the registry of topics (TopicError) and begin to listen for new events."""
        registry.check()
        await self._watch.open()

    async def close(self) -> None:
        """Finish the commits that were begun, then stop."""
        await self._group.close()
        await self._watch.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def commit(self, commit: Commit) -> Position:
        """Make ``commit`` durable; see the port."""
        return await self.submit(commit).outcome

    def submit(self, commit: Commit, after: Pending | None = None) -> Pending:
        """Put ``commit`` in line and return at once; its ``outcome`` tells what ``commit`` would have returned.

        ``after`` is an earlier submission whose events this one was decided upon: if that is not stored, this one fails
        with ConcurrencyConflict, even if its version happens to fit.
        """
        pending = pending_of(commit, after, asyncio.get_running_loop().create_future())
        self._group.submit(pending)
        return pending

    async def read_stream(
        self, stream_id: UUID, *, after: int = 0, up_to: int | None = None
    ) -> Sequence[RecordedEvent]:
        """Events of one stream; see the port."""
        rows = await self._fetch(_STREAM, stream_id, after, _END[1] if up_to is None else up_to)
        events = [self._reader.read(row) for row in rows]
        if events:
            self._heads.learn(stream_id, events[-1].version)
        return events

    async def read_log(
        self, after: Position, limit: int, *, topics: frozenset[str] | None = None, up_to: Position | None = None
    ) -> LogRun:
        """The next events of the log; see the port.

        With ``topics`` a bounded number of rows is looked at: a run may be empty and yet have moved on. With ``up_to``
        the log is read as it is stored, although newer events may be remembered for the feeds that follow it.
        """
        topics = None if topics is None else registry.stored_as(topics)
        newest = await self._tail.after(after) if up_to is None else None
        if newest is not None:
            rows = newest[:limit] if topics is None else _reduced(newest, limit, topics)
        elif topics is None:
            rows = await self._fetch(_LOG, *after, *(up_to or _END), limit)
        else:
            scan = max(SCAN_AT_LEAST, limit)
            rows = await self._fetch(_LOG_OF_TOPICS, *after, *(up_to or _END), limit, scan, sorted(topics))
        if not rows:
            if up_to is None and limit > 0:
                self._tail.begin_at(after)
            return LogRun(self.context, after, after, ())
        wanted = (row for row in rows if row[4] is not None and (topics is None or row[4] in topics))
        # All feeds want the newest events. What is older is read by whoever is behind, and not remembered.
        read = self._reader.decode if up_to else self._reader.read if newest is None else self._reader.keep
        events = await in_turns(wanted, read)
        return LogRun(self.context, after, Position(*rows[-1][:2]), tuple(events))

    async def newest(self, limit: int) -> Sequence[RecordedEvent]:
        """The last events that a reader may take now; see the port."""
        rows = await self._fetch(_NEWEST, *START, *_END, limit)
        return [self._reader.read(row) for row in reversed(rows)]

    async def correlated(self, correlation_id: UUID) -> Sequence[RecordedEvent]:
        """Every event that followed from one request; see the port."""
        return [self._reader.read(row) for row in await self._fetch(_CORRELATED, correlation_id)]

    async def head(self) -> Position:
        """Position of the last event that a reader may take now."""
        return (await self._watch.heads())[1]

    async def count(self, after: Position, topics: frozenset[str] | None = None) -> int:
        """How many events readers may take after ``after``; see the port."""
        if topics is None:
            rows = await self._fetch(_COUNT, *after, *_END)
        else:
            rows = await self._fetch(_COUNT_OF_TOPICS, *after, *_END, sorted(registry.stored_as(topics)))
        counted: int = rows[0][0]
        return counted

    async def counts(self) -> Mapping[str, int]:
        """How many events readers may take, by topic; see the port."""
        rows = await self._fetch(_COUNT_BY_TOPIC, *START, *_END)
        return {row["topic"]: row["count"] for row in rows}

    async def first_after(self, after: Position, topics: frozenset[str] | None = None) -> dt.datetime | None:
        """When the first event after ``after`` was recorded, though it may be unreadable; see the port."""
        names = None if topics is None else sorted(registry.stored_as(topics))
        rows = await self._fetch(_FIRST_AFTER, *after, *_END, names)
        return rows[0][0] if rows else None

    async def wait_beyond(self, position: Position, wait_seconds: float) -> bool:
        """Return True as soon as ``head()`` is beyond ``position``, False after ``wait_seconds``."""
        return await self._watch.wait_beyond(position, wait_seconds)

    async def load_snapshot(self, stream_id: UUID, aggregate: Aggregate[S]) -> tuple[S, int] | None:
        """The newest usable snapshot and its version; see the port."""
        rows = await self._fetch(_LOAD_SNAPSHOT, stream_id, aggregate.name, aggregate.snapshot_version)
        if not rows:
            return None
        try:
            return type(aggregate.initial).model_validate_json(rows[0][0]), rows[0][1]
        except ValidationError as error:
            log.warning(
                "snapshot is not usable, so the whole stream is read: let the aggregate's snapshot_version grow",
                aggregate=aggregate.name,
                stream_id=str(stream_id),
                error=str(error),
            )
            return None

    async def save_snapshot(self, stream_id: UUID, aggregate: Aggregate[S], state: S, version: int) -> None:
        """Keep ``state`` as of ``version``; an older one than stored is ignored."""
        state_json = state.__pydantic_serializer__.to_json(state)
        await self._fetch(_SAVE_SNAPSHOT, stream_id, aggregate.name, aggregate.snapshot_version, version, state_json)

    async def answer_of(self, message_id: UUID) -> Answer | None:
        """What the message was answered; None if it was not handled."""
        rows = await self._fetch(HANDLED, [message_id])
        return answer_in(rows[0]) if rows else None

    async def claim(self, idempotency: Idempotency, command_id: UUID) -> Answer | None:
        """Claim a client's key; see the port."""
        return await self._keys.claim(idempotency, command_id)

    async def release_claim(self, idempotency: Idempotency) -> None:
        """Give up a claim whose request was refused."""
        await self._keys.release(idempotency)

    async def checkpoint(self, feed: str, context: str) -> Position:
        """Where ``feed`` stands in ``context``'s log; START if it never ran."""
        rows = await self._fetch(
            "SELECT transaction_id, notification_id FROM @checkpoints WHERE feed = $1 AND context = $2", feed, context
        )
        return Position(*rows[0]) if rows else START

    async def checkpoints(self) -> Sequence[Checkpoint]:
        """All checkpoints kept in this store."""
        rows = await self._fetch(
            "SELECT feed, context, transaction_id, notification_id FROM @checkpoints ORDER BY feed, context"
        )
        return [Checkpoint(feed, context, Position(*place)) for feed, context, *place in rows]

    async def set_back(self, checkpoint: Checkpoint) -> None:
        """See EventStore."""
        await self._fetch(
            "UPDATE @checkpoints SET transaction_id = $3, notification_id = $4 WHERE feed = $1 AND context = $2"
            " AND (transaction_id, notification_id) > ($3, $4)",
            checkpoint.feed,
            checkpoint.context,
            *checkpoint.position,
        )

    async def _fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        full = statement.replace("&", _NEXT).replace("#", RecordReader.columns)
        return await self._pool.fetch(in_schema(full, self.context), *arguments)


def _reduced(rows: list[asyncpg.Record], limit: int, topics: frozenset[str]) -> list[asyncpg.Record]:
    """``rows`` up to the last that may be taken when no more than ``limit`` of ``topics`` are wanted."""
    wanted = 0
    for count, row in enumerate(rows, start=1):
        wanted += row[4] in topics
        if wanted == limit:
            return rows[:count]
    return rows
