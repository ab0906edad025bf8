"""One holder at a time, and a holder whose session has ended knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from infra.eventstore import leadership
from infra.eventstore.errors import LeadershipLost
from infra.eventstore.leadership import leader_lock, try_lock, watched

LOCKS = """
SELECT pid FROM pg_locks, (SELECT hashtextextended($1, 0) AS key) k
WHERE locktype = 'advisory' AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = k.key AND"""
HOLDER = f"{LOCKS} granted"
WAITING = f"{LOCKS} NOT granted"


@pytest.fixture
def name(fresh_name: Callable[..., str]) -> str:
    return fresh_name("lock")


async def holding(pool: asyncpg.Pool, name: str, held: asyncio.Event, enough: asyncio.Event) -> None:
    async with leader_lock(pool, name):
        held.set()
        await enough.wait()


async def test_a_stand_by_takes_over_when_the_leader_lets_go(pool: asyncpg.Pool, name: str) -> None:
    events = [asyncio.Event() for _ in range(4)]
    first = asyncio.create_task(holding(pool, name, events[0], events[1]))
    await events[0].wait()
    second = asyncio.create_task(holding(pool, name, events[2], events[3]))
    while await pool.fetchval(WAITING, name) is None:
        assert not events[2].is_set()

    events[1].set()
    await first
    await asyncio.wait_for(events[2].wait(), 10)
    events[3].set()
    await second


async def test_the_holder_learns_that_its_session_has_ended(pool: asyncpg.Pool, name: str) -> None:
    held, enough = asyncio.Event(), asyncio.Event()
    leader = asyncio.create_task(holding(pool, name, held, enough))
    await held.wait()
    await pool.execute("SELECT pg_terminate_backend($1)", await pool.fetchval(HOLDER, name))

    await asyncio.wait([leader], timeout=10)
    assert leader.done()
    with pytest.raises(LeadershipLost, match=name):
        await leader
    async with asyncio.timeout(10), leader_lock(pool, name):
        pass


async def test_a_holder_whose_work_fails_while_it_loses_its_session_is_not_left_cancelled(
    pool: asyncpg.Pool, name: str
) -> None:
    """A group of tasks ends by its own errors, not by the cancellation that they met."""
    held = asyncio.Event()

    async def work() -> None:
        try:
            held.set()
            await asyncio.Event().wait()
        finally:
            raise ConnectionError("the server has gone")

    async def lead() -> int:
        with pytest.raises(ExceptionGroup):
            async with leader_lock(pool, name), asyncio.TaskGroup() as group:
                group.create_task(work())
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    leader = asyncio.create_task(lead())
    await held.wait()
    await pool.execute("SELECT pg_terminate_backend($1)", await pool.fetchval(HOLDER, name))
    assert await asyncio.wait_for(leader, 10) == 0


async def test_a_holder_that_is_cancelled_lets_go(pool: asyncpg.Pool, name: str) -> None:
    held, enough = asyncio.Event(), asyncio.Event()
    leader = asyncio.create_task(holding(pool, name, held, enough))
    await held.wait()
    leader.cancel()

    with pytest.raises(asyncio.CancelledError):
        await leader
    async with try_lock(pool, name) as free:
        assert free


async def test_a_stand_by_that_is_cancelled_holds_nothing(pool: asyncpg.Pool, name: str) -> None:
    async with leader_lock(pool, name):
        stand_by = asyncio.create_task(holding(pool, name, asyncio.Event(), asyncio.Event()))
        while await pool.fetchval(WAITING, name) is None:
            assert not stand_by.done()
        stand_by.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stand_by
        async with try_lock(pool, name) as free:
            assert not free
    async with try_lock(pool, name) as free:
        assert free


async def test_a_session_that_the_driver_has_lost_track_of_is_no_session(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that says goodbye just before it is probed makes asyncpg close the connection and tell nobody."""
    monkeypatch.setattr(leadership, "_HEARTBEAT_SECONDS", 0.05)
    async with pool.acquire() as connection:

        async def lost(*_: object, **__: object) -> None:
            raise asyncpg.InternalClientError("got result for unknown protocol state 0")

        monkeypatch.setattr(type(connection), "execute", lost)
        async with watched(connection) as broken:
            await asyncio.wait_for(broken.wait(), 10)
