"""The pool of PostgreSQL connections that everything of one database shares."""

from __future__ import annotations

import asyncpg

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


async def create_pool(url: str, *, min_size: int = 1, max_size: int = 32) -> asyncpg.Pool:
    """Open a pool on ``url`` (``postgresql://...``, or a Unix socket by ``?host=/directory``).

    Connections are opened as they are needed. Each context of the process keeps one for LISTEN, and each lock that is
    held keeps one, so ``max_size`` must be well above their number. Raises what asyncpg raises if the server is away.
    """
    return await asyncpg.create_pool(
        url, min_size=min_size, max_size=max_size, server_settings=_SESSION, reset=_keep_as_it_is, command_timeout=60
    )


async def _keep_as_it_is(_connection: asyncpg.Connection) -> None:
    """Skip asyncpg's reset, a round trip per use: whoever takes a lock or listens here gives it back itself."""
