"""What is over is forgotten, and nothing else: on a real server, with rows of every age."""

from __future__ import annotations

import datetime as dt
from uuid import uuid4

import asyncpg
import pytest

from infra.eventstore.leadership import try_lock
from infra.eventstore.sql import in_schema
from infra.messaging.stats import Stats
from infra.operating.retention import EVERY_SECONDS, FIRST_AFTER, Retention
from tests.fakes import NOW, FakeClock

DAY = dt.timedelta(days=1)
HANDLED = "INSERT INTO @inbox (message_id, commit_id, handled_at) VALUES (gen_random_uuid(), gen_random_uuid(), $1)"
KEYED = """
INSERT INTO @idempotency (scope, key, finished, fingerprint, owner, claimed_at)
VALUES ('somebody', $1, $2, '', gen_random_uuid(), $3)"""
ORDERED = """
INSERT INTO @retry_orders (action_id, letter_id, consumer, asked_at, outcome)
VALUES (gen_random_uuid(), gen_random_uuid(), 'pages', $1, $2)"""
TOLD = "INSERT INTO @feed_states (feed, state, rate, parked, at) VALUES ($1, 'running', 0, 0, $2)"
PARKED = """
INSERT INTO @dead_letters (letter_id, consumer, message_key, context, topic, message, error, traceback, attempts,
  behind, parked_at)
VALUES ($1, $2, 'a command', 'payments', 'payments.CapturePayment', '{}', 'KeyError', '', 5, false, $3)"""


class Tables:
    """The tables of one context, and the process that forgets."""

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self.pool = pool
        self.context = context
        self.stats = Stats()
        self.retention = Retention({context: pool}, FakeClock(), self.stats, batch=3)

    async def run(self, statement: str, *arguments: object) -> None:
        """Execute a statement on this context's tables."""
        await self.pool.execute(in_schema(statement, self.context), *arguments)

    async def left(self, table: str, column: str) -> list[object]:
        """The values of a column, in order."""
        rows = await self.pool.fetch(in_schema(f"SELECT {column} FROM @{table} ORDER BY {column}", self.context))  # noqa: S608 - names of this file
        return [row[0] for row in rows]


async def at_once(_: float) -> None:
    """No rest."""


@pytest.fixture
def tables(pool: asyncpg.Pool, context: str) -> Tables:
    return Tables(pool, context)


async def test_what_is_over_is_forgotten_in_small_batches(tables: Tables) -> None:
    for days in (29.9, 30.1, 31, 40, 50, 60, 70, 80):
        await tables.run(HANDLED, NOW - days * DAY)
    for key, finished, days in (("old", True, 7.1), ("new", True, 6.9), ("lost", False, 1.1), ("held", False, 0.9)):
        await tables.run(KEYED, key, finished, NOW - days * DAY)
    for outcome, days in (("handled", 31), ("handled", 29), (None, 99)):
        await tables.run(ORDERED, NOW - days * DAY, outcome)
    await tables.run(TOLD, "hotel_pages_1", NOW - 31 * DAY)
    await tables.run(TOLD, "hotel_pages_2", NOW)
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    await tables.retention.forget(tables.context, rest)
    assert await tables.left("inbox", "handled_at") == [NOW - 29.9 * DAY]
    assert await tables.left("idempotency", "key") == ["held", "new"]
    assert await tables.left("retry_orders", "asked_at") == [NOW - 99 * DAY, NOW - 29 * DAY]
    assert await tables.left("feed_states", "feed") == ["hotel_pages_2"]
    assert len(rests) == 2, "seven handled messages are three batches"
    assert tables.stats.counted("rows_forgotten", table="inbox") == 7
    assert tables.stats.counted("rows_forgotten") == 11


async def test_what_a_dead_letter_may_bring_again_is_remembered(tables: Tables) -> None:
    for days in (31, 49, 51):
        await tables.run(HANDLED, NOW - days * DAY)
    commands, pages = uuid4(), uuid4()
    await tables.run(PARKED, commands, f"commands:{tables.context}", NOW - 20 * DAY)
    await tables.run(PARKED, pages, "payment_pages_1", NOW - 90 * DAY)
    await tables.retention.forget(tables.context, at_once)
    assert await tables.left("inbox", "handled_at") == [NOW - 49 * DAY, NOW - 31 * DAY]
    await tables.run("DELETE FROM @dead_letters WHERE letter_id = $1", commands)
    await tables.retention.forget(tables.context, at_once)
    assert await tables.left("inbox", "handled_at") == []


async def test_one_process_forgets_at_a_time(tables: Tables) -> None:
    await tables.run(HANDLED, NOW - 31 * DAY)
    async with try_lock(tables.pool, f"{tables.context}: retention") as held:
        assert held
        await tables.retention.forget(tables.context, at_once)
        assert len(await tables.left("inbox", "handled_at")) == 1
    await tables.retention.forget(tables.context, at_once)
    assert await tables.left("inbox", "handled_at") == []


async def test_nothing_is_forgotten_before_the_queues_were_consumed_for_a_while(tables: Tables) -> None:
    await tables.run(HANDLED, NOW - 31 * DAY)
    seen: list[tuple[float, int]] = []

    class Enough(Exception):
        """The test has seen what it wanted."""

    async def wait(seconds: float) -> None:
        seen.append((seconds, len(await tables.left("inbox", "handled_at"))))
        if len(seen) == 2:
            raise Enough

    with pytest.raises(Enough):
        await tables.retention.watch(wait)
    assert seen == [(FIRST_AFTER, 1), (EVERY_SECONDS, 0)]
