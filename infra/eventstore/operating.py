"""What operators order and what is told of it: implements ``commands.operating``."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from commands.operating import FeedControl, FeedState, OperatorAction
from infra.eventstore.sql import in_schema

_ORDER = """
INSERT INTO @feed_controls AS c (subject, paused, by, why, at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (subject) DO UPDATE
SET paused = excluded.paused, by = excluded.by, why = excluded.why, at = excluded.at"""
_PAUSED = "SELECT subject, paused, by, why, at FROM @feed_controls WHERE paused"
_REPORT = """
INSERT INTO @feed_states AS s (feed, state, last_error, rate, parked, at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::bigint[], $6::timestamptz[])
ON CONFLICT (feed) DO UPDATE
SET state = excluded.state, last_error = excluded.last_error, rate = excluded.rate, parked = excluded.parked,
    at = excluded.at"""
_STATES = "SELECT feed, state, last_error, rate, parked, at FROM @feed_states ORDER BY feed"


class PostgresFeedControls:
    """The tables ``feed_controls`` and ``feed_states`` of one context."""

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self._pool = pool
        self._context = context

    async def order(self, control: FeedControl) -> None:
        """Replace the last order."""
        await self._pool.execute(
            in_schema(_ORDER, self._context), control.subject, control.paused, control.by, control.why, control.at
        )

    async def paused(self) -> Mapping[str, FeedControl]:
        """The orders to pause that are in force, by subject."""
        rows = await self._pool.fetch(in_schema(_PAUSED, self._context))
        return {row["subject"]: FeedControl(*row) for row in rows}

    async def report(self, states: Sequence[FeedState]) -> None:
        """Tell how feeds stand."""
        # In one order in every process, so that two processes cannot wait for each other's rows in a circle.
        ordered = sorted(states, key=lambda state: state.feed)
        columns = [
            [getattr(state, name) for state in ordered]
            for name in ("feed", "state", "last_error", "rate", "parked", "at")
        ]
        await self._pool.execute(in_schema(_REPORT, self._context), *columns)

    async def states(self) -> Sequence[FeedState]:
        """How the feeds stood when their processes last told."""
        return [FeedState(*row) for row in await self._pool.fetch(in_schema(_STATES, self._context))]


_BEGIN = """
INSERT INTO @operator_actions (action_id, at, actor, action, target, why, outcome)
VALUES ($1, $2, $3, $4, $5, $6, $7)"""
_END = "UPDATE @operator_actions SET outcome = $2 WHERE action_id = $1"
_NEWEST = """
SELECT action_id, at, actor, action, target, why, outcome FROM @operator_actions
WHERE at < $2 OR $2 IS NULL ORDER BY at DESC, action_id DESC LIMIT $1"""


class PostgresActionLog:
    """The table ``operator_actions`` of one context."""

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self._pool = pool
        self._context = context

    async def begin(self, action: OperatorAction) -> None:
        """Put an order on record."""
        await self._pool.execute(
            in_schema(_BEGIN, self._context),
            action.action_id,
            action.at,
            action.actor,
            action.action,
            action.target,
            action.why,
            None if action.outcome is None else json.dumps(action.outcome),
        )

    async def end(self, action_id: UUID, outcome: Mapping[str, Any]) -> None:
        """Add what came of it."""
        await self._pool.execute(in_schema(_END, self._context), action_id, json.dumps(outcome))

    async def newest(self, limit: int, before: dt.datetime | None = None) -> Sequence[OperatorAction]:
        """Newest first."""
        rows = await self._pool.fetch(in_schema(_NEWEST, self._context), limit, before)
        return [_action_in(row) for row in rows]


def _action_in(row: asyncpg.Record) -> OperatorAction:
    outcome = row["outcome"]
    return OperatorAction(
        action_id=UUID(bytes=row["action_id"].bytes),
        at=row["at"],
        actor=row["actor"],
        action=row["action"],
        target=row["target"],
        why=row["why"],
        outcome=None if outcome is None else json.loads(outcome),
    )
