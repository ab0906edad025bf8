"""The two ways to a ClickHouse engine: a server over HTTP, or the engine in this process (chdb). One client API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError

from projections.ports import StoreUnavailable

Connect = Callable[[], Client]

UNKNOWN_TABLE = 60
UNKNOWN_DATABASE = 81
_OUT_OF_SERVICE = frozenset({159, 164, 202, 209, 210, 241, 242, 243, 252, 394, 999})
"""Timeouts, read-only, too many queries, network, memory, disk, too many parts, cancelled, Keeper."""


class AnotherStoreOpen(Exception):
    """An embedded store is open at another path in this process; the engine knows one at a time. Close that first."""


def over_http(url: str, database: str) -> Connect:
    """Connect to a server; ``url`` is ``http(s)://user:password@host:port`` (``clickhouse://`` means the same)."""
    dsn = url.replace("clickhouses://", "https://", 1).replace("clickhouse://", "http://", 1)

    def connect() -> Client:
        # Without a session several threads may query at once.
        def open_client(**more: Any) -> Client:
            return clickhouse_connect.get_client(dsn=dsn, tz_mode="aware", autogenerate_session_id=False, **more)

        _create_database(open_client(), database)
        return open_client(database=database)

    return connect


def in_process(directory: Path, database: str) -> Connect:
    """Open the engine in this process on ``directory``, which then belongs to this process alone."""

    def connect() -> Client:
        def open_client(**more: Any) -> Client:
            return clickhouse_connect.get_client(interface="chdb", path=str(directory), tz_mode="aware", **more)

        try:
            _create_database(open_client(), database)
            return open_client(database=database)
        except ProgrammingError as error:
            if "already initialized with path" in str(error):
                raise AnotherStoreOpen(f"cannot open {directory}: {error}") from error
            raise StoreUnavailable(f"cannot open {directory}; does another process use it? {error}") from error

    return connect


def _create_database(client: Client, database: str) -> None:
    try:
        client.command(f"CREATE DATABASE IF NOT EXISTS `{database}`")
    finally:
        client.close()


def is_out_of_service(error: Exception) -> bool:
    """Whether the engine could not serve, as opposed to being asked something wrong."""
    if isinstance(error, DatabaseError) and error.code is not None:
        return error.code in _OUT_OF_SERVICE
    return isinstance(error, OperationalError | OSError)
