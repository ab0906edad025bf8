"""Who holds the readers of the log back: the oldest transaction that has written something and is still open."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

_HOLDERS = """
SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(state, ''), coalesce(query, ''), xact_start
FROM pg_stat_activity
WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
  AND backend_xid = pg_snapshot_xmin(pg_current_snapshot())::xid AND xact_start < now() - $1::interval
ORDER BY xact_start"""


@dataclass(frozen=True, slots=True)
class Holder:
    """A session whose open transaction holds every reader back. ``query`` is its last statement."""

    pid: int
    user: str
    application: str
    state: str
    query: str
    since: dt.datetime

    def __str__(self) -> str:
        return (
            f"pid {self.pid} ({self.user}, {self.application}, {self.state}) since {self.since:%H:%M:%S}: {self.query}"
        )


async def holders_of_readers(pool: asyncpg.Pool, at_least: dt.timedelta = dt.timedelta(seconds=1)) -> Sequence[Holder]:
    """Sessions that have held readers back for ``at_least``; end one with ``SELECT pg_terminate_backend(pid)``.

    Other users' sessions are seen only by a role that is a member of ``pg_read_all_stats``.
    """
    return [Holder(*row) for row in await pool.fetch(_HOLDERS, at_least)]
