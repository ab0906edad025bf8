"""The record of builds of read models: implements ``projections.builds.BuildRegistry``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from uuid import UUID

import asyncpg

from domain.shared.errors import IllegalTransition
from infra.eventstore.leadership import try_lock
from infra.eventstore.sql import in_schema
from projections.builds import Build, BuildState, ReplayRunning

_COLUMNS = (
    """name, projection, version, state, replay_id, created_at, finished_at, events_done, events_total, error, keep"""
)

# Rows are never deleted, so the number after the highest one was never used.
_CREATE = """
INSERT INTO @builds (name, projection, number, version, state, replay_id, keep)
SELECT $1 || '_' || next, $1, next, $2, 'building', $3, $4
FROM (SELECT coalesce(max(number), 0) + 1 AS next FROM @builds WHERE projection = $1) numbers
RETURNING #"""
# What a build could not take is nobody's concern any more once the build is gone.
_UPDATE = """
WITH gone AS (DELETE FROM @dead_letters WHERE consumer = $1 AND $3::text IN ('failed', 'dropped'))
UPDATE @builds SET version = $2, state = $3, finished_at = $4, events_done = $5, events_total = $6, error = $7
WHERE name = $1"""
_ADVANCE = "UPDATE @builds SET events_done = $2, events_total = $3 WHERE name = $1 RETURNING state"
_CHANGE = "UPDATE @builds SET state = $3, keep = coalesce($4, keep) WHERE name = $1 AND state = $2 RETURNING #"
_LIST = """
SELECT # FROM @builds WHERE state <> 'dropped' AND (projection = $1 OR $1 IS NULL)
ORDER BY created_at DESC, number DESC"""
_OF_REPLAY = "SELECT # FROM @builds WHERE replay_id = $1 ORDER BY created_at DESC LIMIT 1"


class PostgresBuilds:
    """The table ``builds`` of one context."""

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self._pool = pool
        self._context = context

    async def create(self, projection: str, version: int, replay_id: UUID, *, keep: bool = False) -> Build:
        """Record the next build of ``projection``, named ``<projection>_<n>``. Raises ReplayRunning."""
        async with self._pool.acquire() as connection, connection.transaction():
            # Two processes may ask at once; before anything is written, so that no reader of the log is held back.
            lock = self._name_of(f"numbers of {projection}")
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", lock)
            with _one_under_way(projection):
                rows = await connection.fetch(self._sql(_CREATE), projection, version, replay_id, keep)
        return _build_in(rows[0])

    async def update(self, build: Build) -> None:
        """Replace the record of ``build.name``. Raises LookupError if there is none."""
        done = await self._pool.execute(
            self._sql(_UPDATE),
            build.name,
            build.version,
            build.state,
            build.finished_at,
            build.events_done,
            build.events_total,
            build.error,
        )
        if done == "UPDATE 0":
            raise LookupError(f"no build {build.name!r} is on record in {self._context!r}; create it first")

    async def advance(self, build: Build) -> BuildState:
        """Record how far ``build`` is; returns the state on record. Raises LookupError if there is none."""
        row = await self._pool.fetchrow(self._sql(_ADVANCE), build.name, build.events_done, build.events_total)
        if row is None:
            raise LookupError(f"no build {build.name!r} is on record in {self._context!r}; create it first")
        state: BuildState = row[0]
        return state

    async def change(self, build: Build, state: BuildState, *, keep: bool | None = None) -> Build:
        """Change the state if nobody else has; see the port. Raises IllegalTransition, ReplayRunning."""
        with _one_under_way(build.projection):
            row = await self._pool.fetchrow(self._sql(_CHANGE), build.name, build.state, state, keep)
        if row is None:
            raise IllegalTransition(f"{build.name} is no longer {build.state}; look again")
        return _build_in(row)

    async def builds(self, projection: str | None = None) -> list[Build]:
        """All builds that were not dropped, newest first."""
        return [_build_in(row) for row in await self._pool.fetch(self._sql(_LIST), projection)]

    async def of_replay(self, replay_id: UUID) -> Build | None:
        """The build that a replay makes or made."""
        row = await self._pool.fetchrow(self._sql(_OF_REPLAY), replay_id)
        return None if row is None else _build_in(row)

    def only_replay_of(self, projection: str) -> AbstractAsyncContextManager[None]:
        """Hold the right to replay ``projection``. Raises ReplayRunning, or LeadershipLost if its session breaks."""
        return self._alone(f"replay of {projection}")

    def only_filling_of(self, build: str) -> AbstractAsyncContextManager[None]:
        """Hold the right to fill ``build``. Raises as ``only_replay_of`` does."""
        return self._alone(f"filling of {build}")

    @asynccontextmanager
    async def _alone(self, work: str) -> AsyncIterator[None]:
        async with try_lock(self._pool, self._name_of(work)) as held:
            if not held:
                raise ReplayRunning(f"another process is at the {work}; wait for it or stop it first")
            yield

    def _name_of(self, lock: str) -> str:
        return f"{self._context}: {lock}"

    def _sql(self, statement: str) -> str:
        return in_schema(statement.replace("#", _COLUMNS), self._context)


@contextmanager
def _one_under_way(projection: str) -> Iterator[None]:
    """The index ``builds_under_way_idx`` is the arbiter."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise ReplayRunning(
            f"a replay of {projection!r} is under way: wait until it has ended, or cancel it"
        ) from error


def _build_in(row: asyncpg.Record) -> Build:
    return Build.model_validate({**row, "replay_id": UUID(bytes=row["replay_id"].bytes)})
