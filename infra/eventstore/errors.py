"""What can go wrong with the event store itself, as opposed to what the domain refuses."""

from __future__ import annotations

import asyncpg

from commands.ports import Temporary


class EventStoreUnavailable(Temporary):
    """PostgreSQL did not answer, or this process is closing its store. Nothing was stored; try again later."""


class PostgresAway(EventStoreUnavailable, ConnectionError):
    """What SERVER_AWAY names, as the pool raises it: a Temporary for those who ask, an OSError for those who mend."""


SERVER_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
"""Errors that say nothing about what was asked: the server, or the way to it, is gone or overloaded."""


class CommitOutcomeUnknown(Temporary):
    """The connection was lost during a commit and the server has not come back to be asked what became of it.

    Repeat the command under the same id: its inbox row keeps it from taking effect twice.
    """


class LogOfAnotherServer(Exception):
    """The log carries transaction ids that this PostgreSQL server has not given out yet.

    That happens when a logical dump is restored into a new server: readers would wait for those transactions for ever.
    """

    def __init__(self, context: str, newest: int, current: int) -> None:
        super().__init__(
            f"the log of {context!r} has events of transaction {newest}, but this server is only at {current}: it was "
            f"restored from a logical dump of another server. Stop this server, run "
            f"`pg_resetwal --next-transaction-id={newest + 1}` on its data directory, and start again; "
            f"or restore a physical backup"
        )


class LeadershipLost(Temporary):
    """The session that held a lock has ended, so somebody else may hold it by now: stop acting as its holder."""
