"""Several commits as one statement, which is one transaction and one round trip; and the reasons why it was refused."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from commands.ports import START, Answer, Commit, ConcurrencyConflict, DuplicateMessage, Position, SetTimer
from infra.eventstore.envelopes import encode_envelope
from infra.eventstore.mapper import EventRow, rows_of
from infra.eventstore.sql import in_schema

_HEADS_KEPT = 50_000


@dataclass(eq=False, slots=True)
class Pending:
    """A commit on its way. ``after`` is the commit whose events it was decided upon: if that fails, so does this.

    ``outcome`` ends with the position of its last event, or with the exception that says why nothing of it was stored.
    """

    commit: Commit
    rows: list[EventRow]
    after: Pending | None
    outcome: asyncio.Future[Position]
    commit_id: UUID = field(default_factory=uuid7)
    sent: bool = False
    """Whether the server may have seen it."""

    @property
    def failed(self) -> bool:
        """Whether it has ended otherwise than by being stored (as far as is known)."""
        return self.outcome.done() and (self.outcome.cancelled() or self.outcome.exception() is not None)

    def succeed(self, position: Position) -> None:
        """Tell whoever waits, if anybody still does."""
        if not self.outcome.done():
            self.outcome.set_result(position)

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits, if anybody still does."""
        if not self.outcome.done():
            self.outcome.set_exception(error)
            self.outcome.exception()  # it is no fault of asyncio's user if nobody waits any more

    def fail_as_conflict(self) -> None:
        """Nothing of it can be stored any more, because what it was decided upon is not so."""
        append = self.commit.appends[0] if self.commit.appends else None
        known = (append.stream_id, append.expected_version) if append else (self.commit_id, 0)
        self.fail(ConcurrencyConflict(*known))


def pending_of(commit: Commit, after: Pending | None, outcome: asyncio.Future[Position]) -> Pending:
    """Encode ``commit``. Raises what encoding raises."""
    metadata = commit.metadata_of_append or (commit.metadata,) * len(commit.appends)
    rows: list[EventRow] = []
    for append, around in zip(commit.appends, metadata, strict=True):
        events = [(uuid7(), event) for event in append.events]
        rows.extend(rows_of(append.stream_id, append.expected_version, events, around))
    return Pending(commit, rows, after, outcome)


class KnownHeads:
    """Versions that streams are known to have reached; the least recently used are forgotten."""

    def __init__(self) -> None:
        self._heads: OrderedDict[UUID, int] = OrderedDict()

    def reached(self, stream_id: UUID, version: int) -> bool:
        """Whether ``version`` of the stream is known to exist."""
        return version <= self._heads.get(stream_id, 0)

    def learn(self, stream_id: UUID, version: int) -> None:
        """``version`` of the stream exists."""
        if version > self._heads.get(stream_id, 0):
            self._heads[stream_id] = version
        self._heads.move_to_end(stream_id)
        if len(self._heads) > _HEADS_KEPT:
            self._heads.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Section:
    """One part of the statement: ``?`` stands for the arrays in ``columns``."""

    text: str
    columns: Sequence[Sequence[Any]]


_EVENTS = """appended AS (
  INSERT INTO @stored_events (originator_id, originator_version, topic, state, event_id, metadata)
  SELECT * FROM unnest(?::uuid[], ?::bigint[], ?::text[], ?::bytea[], ?::uuid[], ?::jsonb[])
  RETURNING transaction_id, notification_id)"""
_INBOX = """handled AS (
  INSERT INTO @inbox (message_id, commit_id, answer, last_stream, last_version)
  SELECT * FROM unnest(?::uuid[], ?::uuid[], ?::json[], ?::uuid[], ?::bigint[]))"""
_FINISHED = """finished AS (
  INSERT INTO @idempotency (scope, key, finished, fingerprint, owner, answer, last_stream, last_version)
  SELECT scope, key, true, fingerprint, owner, answer, last_stream, last_version
  FROM unnest(?::text[], ?::text[], ?::text[], ?::uuid[], ?::json[], ?::uuid[], ?::bigint[])
    AS f(scope, key, fingerprint, owner, answer, last_stream, last_version)
  RETURNING scope, key),
unclaimed AS (
  DELETE FROM @idempotency c USING finished f WHERE c.scope = f.scope AND c.key = f.key AND NOT c.finished)"""
_TIMERS_SET = """timers_set AS (
  INSERT INTO @timers AS t (timer_id, due_at, command)
  SELECT * FROM unnest(?::uuid[], ?::timestamptz[], ?::json[])
  ON CONFLICT (timer_id) DO UPDATE SET due_at = excluded.due_at, command = excluded.command, claimed_until = NULL)"""
_TIMERS_CANCELLED = """timers_cancelled AS (
  DELETE FROM @timers WHERE timer_id = ANY(?::uuid[]))"""
_CHECKPOINTS = """moved AS (
  INSERT INTO @checkpoints AS c (feed, context, transaction_id, notification_id)
  SELECT * FROM unnest(?::text[], ?::text[], ?::xid8[], ?::bigint[])
  ON CONFLICT (feed, context) DO UPDATE
  SET transaction_id = excluded.transaction_id, notification_id = excluded.notification_id
  WHERE (c.transaction_id, c.notification_id) < (excluded.transaction_id, excluded.notification_id))"""


def _sections(batch: Sequence[Pending]) -> list[_Section]:
    """What ``batch`` needs. Of several orders to one timer or checkpoint the last counts."""
    events = [row for pending in batch for row in pending.rows]
    inbox, finished = [], []
    timers: dict[UUID, SetTimer | None] = {}
    checkpoints: dict[tuple[str, str], Position] = {}
    for pending in batch:
        commit = pending.commit
        last = (pending.rows[-1].stream_id, pending.rows[-1].version) if pending.rows else (None, None)
        answer = commit.answer.model_dump_json() if commit.answer else None
        if commit.inbox is not None:
            inbox.append((commit.inbox, pending.commit_id, answer, *last))
        if (key := commit.idempotency) is not None:
            finished.append((key.scope, key.key, key.fingerprint, pending.commit_id, answer, *last))
        timers.update({t.timer_id: t if isinstance(t, SetTimer) else None for t in commit.timers})
        for checkpoint in commit.checkpoints:
            name = (checkpoint.feed, checkpoint.context)
            checkpoints[name] = max(checkpoint.position, checkpoints.get(name, START))
    # In one order in every process, so that two processes cannot wait for each other's rows in a circle.
    timers_set = sorted((t.timer_id, t.due_at, encode_envelope(t.command)) for t in timers.values() if t is not None)
    cancelled = [(timer_id,) for timer_id, timer in timers.items() if timer is None]
    moved = sorted((*name, *position) for name, position in checkpoints.items())
    parts: list[tuple[str, Sequence[Sequence[Any]]]] = [
        (_EVENTS, events),
        (_INBOX, inbox),
        (_FINISHED, finished),
        (_TIMERS_SET, timers_set),
        (_TIMERS_CANCELLED, cancelled),
        (_CHECKPOINTS, moved),
    ]
    return [_Section(text, list(zip(*rows, strict=True))) for text, rows in parts if rows]


def _statement(sections: Sequence[_Section]) -> str:
    pieces = ",\n".join(section.text for section in sections).split("?")
    numbered = "".join(f"{piece}${number}" for number, piece in enumerate(pieces[:-1], start=1)) + pieces[-1]
    wanted = "transaction_id, notification_id FROM appended ORDER BY notification_id"
    return f"WITH {numbered}\nSELECT {wanted if sections[0].text is _EVENTS else '1 WHERE false'}"


_EXISTING = """
SELECT originator_id, originator_version, event_id, transaction_id, notification_id
FROM @stored_events JOIN unnest($1::uuid[], $2::bigint[]) AS asked(id, version)
  ON originator_id = id AND originator_version = version"""


class BatchWriter:
    """Writes batches into one context's schema."""

    def __init__(self, pool: asyncpg.Pool, context: str, heads: KnownHeads) -> None:
        self._pool = pool
        self._context = context
        self._heads = heads
        self._statements: dict[tuple[str, ...], str] = {}

    async def write(self, batch: Sequence[Pending]) -> list[Position]:
        """Store all of ``batch`` or nothing, and return the position of each one's last event.

        Raises UniqueViolationError if something of it is there already, or another error of asyncpg.
        """
        sections = _sections(batch)
        if not sections:
            return [START] * len(batch)
        kind = tuple(section.text for section in sections)
        if kind not in self._statements:
            self._statements[kind] = in_schema(_statement(sections), self._context)
        async with self._pool.acquire() as connection:
            for pending in batch:
                pending.sent = True
            columns = (column for section in sections for column in section.columns)
            try:
                stored = await connection.fetch(self._statements[kind], *columns)
            except ValueError as error:  # refused by asyncpg's encoder already
                raise asyncpg.DataError(str(error)) from error
        positions, written = [], 0
        for pending in batch:
            written += len(pending.rows)
            positions.append(Position(*stored[written - 1]) if pending.rows else START)
        self.learn(batch)
        return positions

    def learn(self, batch: Iterable[Pending]) -> None:
        """Remember the versions that stored commits have brought their streams to."""
        for pending in batch:
            for append in pending.commit.appends:
                self._heads.learn(append.stream_id, append.expected_version + len(append.events))

    async def unfounded(self, batch: Sequence[Pending]) -> list[Pending]:
        """Commits that expect a version which their stream has not reached.

        Asked before the writing transaction begins, and that matters twice. The primary key refuses a version that is
        taken but not a gap. And because the version before was committed before this transaction got its id, the
        events of a stream lie in the log in the order of their versions.
        """
        reached: dict[UUID, int] = {}
        unsure: dict[tuple[UUID, int], list[Pending]] = {}
        failed: list[Pending] = []
        for pending in batch:
            for append in pending.commit.appends:
                stream_id, expected = append.stream_id, append.expected_version
                if stream_id in reached:
                    if expected > reached[stream_id]:
                        failed.append(pending)
                elif expected > 0 and not self._heads.reached(stream_id, expected):
                    unsure.setdefault((stream_id, expected), []).append(pending)
                reached[stream_id] = expected + len(append.events)
        if unsure:
            found = await self._pool.fetch(in_schema(_EXISTING, self._context), *zip(*unsure, strict=True))
            existing = {(row["originator_id"], row["originator_version"]) for row in found}
            for stream_id, version in existing:
                self._heads.learn(stream_id, version)
            failed += [pending for asked, theirs in unsure.items() if asked not in existing for pending in theirs]
        return failed

    async def settle(self, batch: Sequence[Pending]) -> None:
        """Find out what of ``batch`` is stored already, and end those commits: as stored, duplicate or conflict."""
        events = await self._existing_events(batch)
        handled = await self._existing_answers(batch)
        for pending in batch:
            places = [(row.stream_id, row.version) for row in pending.rows]
            theirs = [events[place] for place in places if place in events]
            ids = {row.event_id for row in pending.rows}
            answered = handled.get(pending.commit.inbox) or handled.get(pending.commit.idempotency)
            if theirs and all(event_id in ids for event_id, _ in theirs):
                # An earlier attempt, whose answer was lost with its connection, had stored it.
                self.learn([pending])
                pending.succeed(max(position for _, position in theirs))
            elif answered is not None and answered[0] == pending.commit_id:
                pending.succeed(START)
            elif answered is not None:
                pending.fail(DuplicateMessage(pending.commit.inbox or answered[0], answered[1]))
            elif theirs:
                pending.fail_as_conflict()

    async def _existing_events(self, batch: Sequence[Pending]) -> dict[tuple[UUID, int], tuple[UUID, Position]]:
        rows = [(row.stream_id, row.version) for pending in batch for row in pending.rows]
        if not rows:
            return {}
        found = await self._pool.fetch(in_schema(_EXISTING, self._context), *zip(*rows, strict=True))
        return {(stream, version): (event_id, Position(*place)) for stream, version, event_id, *place in found}

    async def _existing_answers(self, batch: Sequence[Pending]) -> dict[Any, tuple[UUID, Answer | None]]:
        """By message id and by idempotency key: which commit handled it, and how it was answered."""
        messages = [p.commit.inbox for p in batch if p.commit.inbox is not None]
        keys = [p.commit.idempotency for p in batch if p.commit.idempotency is not None]
        handled: dict[Any, tuple[UUID, Answer | None]] = {}
        if messages:
            found = await self._pool.fetch(in_schema(HANDLED, self._context), messages)
            handled.update({row["message_id"]: (row["commit_id"], answer_in(row)) for row in found})
        for key in keys:
            row = await self._pool.fetchrow(in_schema(FINISHED, self._context), key.scope, key.key)
            if row is not None:
                handled[key] = (row["owner"], answer_in(row))
        return handled


HANDLED = """
SELECT message_id, commit_id, answer, transaction_id, notification_id
FROM @inbox LEFT JOIN @stored_events ON originator_id = last_stream AND originator_version = last_version
WHERE message_id = ANY($1)"""

FINISHED = """
SELECT fingerprint, owner, answer, transaction_id, notification_id
FROM @idempotency LEFT JOIN @stored_events ON originator_id = last_stream AND originator_version = last_version
WHERE scope = $1 AND key = $2 AND finished"""


def answer_in(row: asyncpg.Record) -> Answer | None:
    """The answer of a row of HANDLED or FINISHED, with the position that its events were given."""
    if row["answer"] is None:
        return None
    answer = Answer.model_validate_json(row["answer"])
    if row["transaction_id"] is None:
        return answer
    return answer.model_copy(update={"position": str(Position(row["transaction_id"], row["notification_id"]))})
