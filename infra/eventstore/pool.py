"""The pool of PostgreSQL connections that everything of one database shares."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, ClassVar

import asyncpg
from asyncpg.pool import PoolAcquireContext

from commands.ports import Temporary
from infra.eventstore.errors import SERVER_AWAY, PostgresAway

IDLE_IN_TRANSACTION_SECONDS = 10
"""A transaction that is left open holds every reader of the log back: the server ends it after this long."""

_SESSION = {
    "application_name": "nightledger",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
    # Short statements only: compiling them costs more than it saves.
    "jit": "off",
    # A client that vanished without a word must not keep its locks for hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


_FIRST_NORMAL_OID = 16_384
"""Below it are the objects that every database has from the beginning, by the same numbers (access/transam.h)."""
_NOTHING_PREPARED = SimpleNamespace(name="nothing was prepared")
"""In place of the statement that has asked: one without a name would have taken the place of what is being prepared."""


async def create_pool(url: str, *, min_size: int = 1, max_size: int = 32) -> asyncpg.Pool:
    """Open a pool on ``url`` (``postgresql://...``, or a Unix socket by ``?host=/directory``).

    Connections are opened as they are needed. Each context of the process keeps one for LISTEN, and each lock that is
    held keeps one, so ``max_size`` must be well above their number. Raises what asyncpg raises if the server is away.
    """
    # create_pool makes asyncpg's own class only; these are its defaults.
    return await _Pool(
        url,
        min_size=min_size,
        max_size=max_size,
        max_queries=50_000,
        max_inactive_connection_lifetime=300.0,
        loop=None,
        connection_class=_Connection,
        record_class=asyncpg.Record,
        server_settings=_SESSION,
        reset=_keep_as_it_is,
        command_timeout=60,
    )


class _Connection(asyncpg.Connection):
    """Asks the server once, not on each connection, what PostgreSQL's own types are, such as ``uuid[]``.

    To find out takes four round trips, and the server some ten milliseconds: on every connection the first request that
    has an array would wait for that. asyncpg offers no setting for it.
    """

    __slots__ = ()
    _known: ClassVar[dict[tuple[int, ...], list[asyncpg.Record]]] = {}

    async def _introspect_types(
        self,
        typeoids: Iterable[int],
        timeout: float,  # noqa: ASYNC109 - asyncpg's own
    ) -> tuple[list[asyncpg.Record], Any]:
        wanted = tuple(sorted(typeoids))
        known = self._known.get(wanted)
        if known is not None:
            return known, _NOTHING_PREPARED
        types, statement = await super()._introspect_types(wanted, timeout)  # type: ignore[misc]  # it is private
        if all(oid < _FIRST_NORMAL_OID for oid in wanted):
            self._known[wanted] = types
        return types, statement


class _Pool(asyncpg.Pool):
    """Whoever uses it is told that the server is away by PostgresAway, whichever way asyncpg has noticed."""

    def acquire(self, *, timeout: float | None = None) -> _Use:
        return _Use(self, timeout)


class _Use(PoolAcquireContext):
    """A connection while it is used."""

    async def __aenter__(self) -> asyncpg.pool.PoolConnectionProxy:
        try:
            return await super().__aenter__()
        except SERVER_AWAY as error:
            raise _away(error) from error

    async def __aexit__(self, *ended: object) -> None:
        error, connection = ended[1], self.connection
        # The pool has taken it back already if its server has gone: then it answers nothing but an InterfaceError, also
        # when it is asked whether it is closed. Nothing public of asyncpg tells.
        if connection is not None and connection._con is None:  # type: ignore[attr-defined]  # noqa: SLF001
            connection = None
        # An InterfaceError on a connection that is whole tells of a mistake of ours, such as a missing argument.
        ours = isinstance(error, asyncpg.InterfaceError) and connection is not None and not connection.is_closed()
        if isinstance(error, asyncpg.InternalClientError) and connection is not None:
            connection.terminate()  # it lost its server in the middle of something, and would fail for ever
        await super().__aexit__(*ended)
        if isinstance(error, SERVER_AWAY) and not isinstance(error, Temporary) and not ours:
            raise _away(error) from error


def _away(error: BaseException) -> PostgresAway:
    return PostgresAway(f"PostgreSQL: {type(error).__name__}: {error}")


async def _keep_as_it_is(_connection: asyncpg.Connection) -> None:
    """Skip asyncpg's reset, a round trip per use: whoever takes a lock or listens here gives it back itself."""
