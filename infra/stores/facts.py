"""Facts in ClickHouse: one table per build, one view per table that readers know.

The engine's client is synchronous; it runs in threads of its own. In process there is one such thread, so everything is
done one after the other. Inserts are on disk when they return, which doubles their cost: about 10 ms for 1 row in
process, 20 ms for 500. So rows are best inserted in runs.

The engine in process belongs to one process: what another one fills a build with is spooled, and taken in at the end.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from infra.stores.clickhouse import (
    UNKNOWN_DATABASE,
    UNKNOWN_TABLE,
    Connect,
    in_process,
    is_out_of_service,
    over_http,
)
from infra.stores.fact_rows import arrow_of, forget_spooled, spooled_rows, spooled_tables
from projections.ports import BuildMissing, FactTable, StoreUnavailable

T = TypeVar("T")

DATABASE = "nightledger"
_REMOTE_THREADS = 4
_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
_LITTLE = {"max_threads": 1, "max_insert_threads": 1}
"""An insert is done soon enough by one thread, and leaves the other processors to others."""
_DURABLE = "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"


class ClickHouseFacts:
    """FactStore. Made by ``remote`` or ``embedded``; it connects when it is first used."""

    def __init__(self, connect: Connect, threads: int, spool: Path | None = None) -> None:
        self._connect = connect
        self._spool = spool
        self._client: Client | None = None
        self._connecting = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="facts")

    @classmethod
    def remote(cls, url: str, database: str = DATABASE) -> Self:
        """Over HTTP, in ``database`` of the server at ``url``."""
        return cls(over_http(url, _checked(database)), _REMOTE_THREADS)

    @classmethod
    def embedded(cls, directory: Path, database: str = DATABASE, *, spool: Path | None = None) -> Self:
        """In this process, kept in ``directory``. Its use raises AnotherStoreOpen if another directory is open.

        ``spool``: where SpooledFacts of other processes leaves what they fill builds with.
        """
        return cls(in_process(directory, _checked(database)), 1, spool)

    async def close(self) -> None:
        """Finish what has begun and close the engine."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._disconnect)
        self._threads.shutdown(wait=True)

    async def prepare(self, build: str, tables: Sequence[FactTable]) -> None:
        """See FactStore."""
        for table in tables:
            columns = ", ".join(f"`{_checked(name)}` {kind}" for name, kind in table.columns)
            await self._command(
                f"CREATE TABLE IF NOT EXISTS {_table(build, table.name)} ({columns})"
                f" ENGINE = ReplacingMergeTree(`{_checked(table.version)}`)"
                f" ORDER BY ({', '.join(_checked(name) for name in table.key)}) {_DURABLE}"
            )

    async def insert(self, build: str, table: FactTable, rows: Sequence[Sequence[Any]]) -> None:
        """See FactStore."""
        if rows:
            await self._run(lambda client: _insert(client, build, table.name, arrow_of(table, rows)))

    async def filled(self, build: str) -> None:
        """See Builds."""
        if self._spool is None:
            return
        spool = self._spool
        await self.prepare(build, await asyncio.to_thread(spooled_tables, spool, build))
        spooled = spooled_rows(spool, build)

        def take_in(client: Client) -> bool:
            found = next(spooled, None)
            if found is not None:
                _insert(client, build, *found)
            return found is not None

        while await self._run(take_in):
            pass  # in parts, because queries wait meanwhile
        # The directory stays until the build is dropped: whoever goes on filling it finds where.

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Mapping[str, Any]]:
        """See FactStore."""
        try:
            return await self._run(
                lambda client: list(client.query(sql, parameters=dict(parameters or {})).named_results())
            )
        except DatabaseError as error:
            if error.code in {UNKNOWN_TABLE, UNKNOWN_DATABASE}:
                raise StoreUnavailable(f"these facts are not there yet, or were lost: {error}") from error
            raise

    async def point(self, name: str, build: str) -> None:
        """See Builds. Each view is replaced atomically; the pointer, itself a view, comes last. Raises BuildMissing."""
        tables = await self._tables(build)
        if not tables:
            raise BuildMissing(build)
        for table in tables:
            await self._command(
                f"CREATE OR REPLACE VIEW `{_checked(table)}` AS SELECT * FROM {_table(build, table)} FINAL"  # noqa: S608 - names are checked
            )
        await self._command(f"CREATE OR REPLACE VIEW `{_pointer(name)}` AS SELECT '{_checked(build)}' AS build")

    async def pointed(self, name: str) -> str | None:
        """See Builds."""
        sql = f"SELECT build FROM `{_pointer(name)}`"  # noqa: S608 - names are checked
        try:
            rows = await self._run(lambda client: client.query(sql).result_rows)
        except DatabaseError as error:
            if error.code in {UNKNOWN_TABLE, UNKNOWN_DATABASE}:
                return None
            raise
        build: str = rows[0][0]
        return build

    async def drop(self, build: str) -> None:
        """See Builds."""
        if self._spool is not None:
            await asyncio.to_thread(forget_spooled, self._spool, build)
        for table in await self._tables(build):
            await self._command(f"DROP TABLE IF EXISTS {_table(build, table)} SYNC")

    async def _tables(self, build: str) -> list[str]:
        """Names of the build's tables, as readers know them."""
        prefix = f"{_checked(build)}__"
        found = await self._run(
            lambda client: (
                client.query(
                    "SELECT name FROM system.tables"
                    " WHERE database = currentDatabase() AND startsWith(name, {prefix:String}) ORDER BY name",
                    parameters={"prefix": prefix},
                ).result_rows
            )
        )
        return [row[0].removeprefix(prefix) for row in found]

    async def _command(self, sql: str) -> None:
        await self._run(lambda client: client.command(sql))

    async def _run(self, work: Callable[[Client], T]) -> T:
        """Do ``work`` in a thread. What the engine refuses for lack of service raises StoreUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._work, work)

    def _work(self, work: Callable[[Client], T]) -> T:
        with _available():
            with self._connecting:
                if self._client is None:
                    self._client = self._connect()
            return work(self._client)

    def _disconnect(self) -> None:
        with self._connecting:
            if self._client is not None:
                self._client.close()
            self._client = None


def _insert(client: Client, build: str, table: str, rows: pa.Table) -> None:
    """Raises BuildMissing."""
    try:
        client.insert_arrow(f"{_checked(build)}__{_checked(table)}", rows, settings=_LITTLE)
    except DatabaseError as error:
        if error.code in {UNKNOWN_TABLE, UNKNOWN_DATABASE}:
            raise BuildMissing(build) from error
        raise


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (ClickHouseError, OSError) as error:
        if is_out_of_service(error):
            raise StoreUnavailable(f"ClickHouse: {error}") from error
        raise


def _checked(name: str) -> str:
    """Raises ValueError for what cannot be written into SQL as a name."""
    if not _NAME.match(name):
        raise ValueError(f"{name!r} cannot name a table or column: use letters, digits and underscores")
    return name


def _table(build: str, table: str) -> str:
    return f"`{_checked(build)}__{_checked(table)}`"


def _pointer(name: str) -> str:
    return f"pointer__{_checked(name)}"
