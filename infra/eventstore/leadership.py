"""Locks that belong to a session: held by one process at a time, and freed by PostgreSQL when that process dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from infra.eventstore.errors import LeadershipLost

_TAKE = "SELECT pg_advisory_lock(hashtextextended($1, 0))"
_TRY = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
_FREE = "SELECT pg_advisory_unlock_all()"
# A statement that waits keeps its snapshot, which keeps vacuum from its work: so it is begun again now and then.
_PATIENCE = "SELECT set_config('lock_timeout', '5s', false)"
_NO_PATIENCE = "RESET lock_timeout"
_HEARTBEAT_SECONDS = 5.0


@asynccontextmanager
async def leader_lock(pool: asyncpg.Pool, name: str) -> AsyncIterator[None]:
    """Wait until no other session holds ``name``, then hold it while the body runs.

    When the session ends before the body does, the body is cancelled at once and LeadershipLost is raised from here.
    """
    async with pool.acquire() as connection, _freed_in_the_end(connection):
        await connection.execute(_PATIENCE)
        while not await _taken(connection, name):
            pass
        async with _fenced(connection, name):
            yield


@asynccontextmanager
async def try_lock(pool: asyncpg.Pool, name: str) -> AsyncIterator[bool]:
    """Hold ``name`` while the body runs if it is free: yields whether it is held. Otherwise like ``leader_lock``."""
    async with pool.acquire() as connection, _freed_in_the_end(connection):
        if await connection.fetchval(_TRY, name):
            async with _fenced(connection, name):
                yield True
        else:
            yield False


@asynccontextmanager
async def watched(connection: asyncpg.pool.PoolConnectionProxy) -> AsyncIterator[asyncio.Event]:
    """An event that is set when ``connection`` breaks.

    It is probed, so that a silent break is noticed too: the body must not use it.
    """
    broken = asyncio.Event()

    def note(_: object) -> None:
        broken.set()

    connection.add_termination_listener(note)
    probing = asyncio.create_task(_probe(connection, broken), name="probe of a session")
    try:
        yield broken
    finally:
        probing.cancel()
        await asyncio.wait([probing])
        if not broken.is_set():
            connection.remove_termination_listener(note)


async def _probe(connection: asyncpg.pool.PoolConnectionProxy, broken: asyncio.Event) -> None:
    while not broken.is_set():
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        try:
            await connection.execute("SELECT 1", timeout=_HEARTBEAT_SECONDS)
        except Exception:  # noqa: BLE001 - whatever it is, also the driver losing track: the session cannot be trusted
            _terminate(connection)
            broken.set()


def _terminate(connection: asyncpg.pool.PoolConnectionProxy) -> None:
    with suppress(asyncpg.InterfaceError):  # the pool has noticed before us, and has dropped it
        connection.terminate()


@asynccontextmanager
async def _freed_in_the_end(connection: asyncpg.pool.PoolConnectionProxy) -> AsyncIterator[None]:
    """Give ``connection`` back as it was, or not at all."""
    try:
        yield
    finally:
        try:
            await connection.execute(_FREE)
            await connection.execute(_NO_PATIENCE)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            _terminate(connection)  # the locks end with the session
        except BaseException:
            _terminate(connection)
            raise


async def _taken(connection: asyncpg.pool.PoolConnectionProxy, name: str) -> bool:
    try:
        await connection.execute(_TAKE, name)
    except asyncpg.LockNotAvailableError:
        return False
    return True


@asynccontextmanager
async def _fenced(connection: asyncpg.pool.PoolConnectionProxy, name: str) -> AsyncIterator[None]:
    """Cancel the body when ``connection`` breaks, and say so.

    Like asyncio.timeout it withdraws its cancellation in the end, however the body ends: a group of tasks prefers its
    own errors, and a holder that still counted as cancelled would never try to lead again.
    """
    holder = asyncio.current_task()
    if holder is None:
        raise RuntimeError("a lock is held by a task; there is none")
    lost = False

    async def tell(broken: asyncio.Event) -> None:
        nonlocal lost
        await broken.wait()
        lost = True
        holder.cancel()

    async with watched(connection) as broken:
        telling = asyncio.create_task(tell(broken), name=f"watch of the lock {name}")
        others = 0
        try:
            try:
                yield
            finally:
                telling.cancel()
                if lost:
                    others = holder.uncancel()
        except asyncio.CancelledError:
            if lost and not others:  # somebody else's cancellation stays one
                raise LeadershipLost(f"the session that held the lock {name!r} has ended") from None
            raise
