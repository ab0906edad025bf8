"""Documents in PostgreSQL: one table per build, ``(key, folded, positions, body)``, the body as JSONB.

Which build a name means is a row of the table ``pointers``, so that pointing is one atomic upsert.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import orjson

from commands.turns import in_turns
from infra.eventstore.changing import change_alone
from infra.eventstore.errors import SERVER_AWAY
from infra.stores.cursors import ANYTHING, seal, unseal
from projections.ports import BuildMissing, Document, FoldedDocument, Page, StoreUnavailable, Where

T = TypeVar("T")
_Row = tuple[str, int, str, str | None]
"""Key, folded, positions and body (both as JSON) of a document."""
_POINTERS = "pointers"
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""The escape of NUL in JSON, not preceded by a backslash that is itself escaped."""
_PATIENCE_SECONDS = 5.0
_BULK_PATIENCE_SECONDS = 30.0
_INDEXING_PATIENCE_SECONDS = 3_600.0


class PostgresDocuments:
    """The DocumentStore on PostgreSQL. ``pool`` belongs to the caller; everything is kept in ``schema``."""

    def __init__(self, pool: asyncpg.Pool[Any], schema: str = "documents") -> None:
        self._pool = pool
        self._schema = schema
        self._copying = asyncio.Lock()
        """Held while a fill writes: several at once would leave the server's other clients no processor."""

    async def open(self) -> None:
        """Create what is missing; processes that start together wait for each other."""
        async with self._changing():
            pass

    async def close(self) -> None:
        """Nothing of its own to close: the pool is the caller's."""

    async def ping(self) -> None:
        """Raises StoreUnavailable if the server does not answer."""
        await self._fetch("SELECT 1")

    async def prepare(self, build: str) -> None:
        """See FoldStore."""
        async with self._changing() as connection:
            await connection.execute(
                f'CREATE TABLE IF NOT EXISTS {self._table(build)} (key text COLLATE "C" PRIMARY KEY, '
                "folded bigint NOT NULL, positions jsonb NOT NULL, body jsonb)"
            )

    async def point(self, name: str, build: str) -> None:
        """See Builds."""
        await self._fetch(
            f"INSERT INTO {self._table(_POINTERS)} VALUES ($1, $2) "  # noqa: S608 - names are quoted
            "ON CONFLICT (name) DO UPDATE SET build = excluded.build",
            name,
            build,
        )

    async def pointed(self, name: str) -> str | None:
        """See Builds."""
        query = f"SELECT build FROM {self._table(_POINTERS)} WHERE name = $1"  # noqa: S608 - names are quoted
        try:
            rows = await self._fetch(query, name)
        except asyncpg.UndefinedTableError:
            return None  # everything was dropped: ``prepare`` begins anew
        return rows[0]["build"] if rows else None

    async def drop(self, build: str) -> None:
        """See Builds."""
        async with self._changing() as connection:
            pointers = self._table(_POINTERS)
            await connection.execute(f"DELETE FROM {pointers} WHERE build = $1", build)  # noqa: S608 - names are quoted
            await connection.execute(f"DROP TABLE IF EXISTS {self._table(build)}")

    async def load(self, build: str, keys: Sequence[str]) -> Mapping[str, FoldedDocument]:
        """See FoldStore."""
        rows = await self._fetch_of(
            build,
            "SELECT key, folded, positions::text AS positions, body::text AS body "  # noqa: S608 - names are quoted
            f"FROM {self._table(build)} WHERE key = ANY($1::text[])",
            list(keys),
        )
        return {
            row["key"]: FoldedDocument(row["key"], _read(row["body"]), row["folded"], orjson.loads(row["positions"]))
            for row in rows
        }

    async def save(self, build: str, documents: Sequence[FoldedDocument], *, filling: bool = False) -> frozenset[str]:
        """See FoldStore. One statement; in order of key, so that two writers never wait for each other in a circle."""
        ordered = sorted(documents, key=lambda document: document.key)
        rows = await in_turns(ordered, _row)
        saved = await (self._copied(build, rows) if filling else self._inserted(build, rows))
        return frozenset(document.key for document in documents) - saved

    async def filled(self, build: str, indexes: Sequence[tuple[str, ...]] = ()) -> None:
        """See FoldStore; each index ends with the key, which is what lists are ordered by last."""
        for number, fields in enumerate(indexes):
            columns = ", ".join(f"({_field(field)})" for field in fields)
            index = f"{_quoted(f'{build}_{number}')} ON {self._table(build)} ({columns}, key)"
            await self._fetch_of(build, f"CREATE INDEX IF NOT EXISTS {index}", patience=_INDEXING_PATIENCE_SECONDS)

    @property
    def fill_size(self) -> int:
        """See FoldStore. While a transaction has written and is open, readers of every log on the server wait."""
        return 1_000

    async def _inserted(self, build: str, rows: Sequence[_Row]) -> frozenset[str]:
        columns = zip(*rows, strict=True) if rows else ((), (), (), ())
        new = "unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) AS new (key, folded, positions, body)"
        found = await self._fetch_of(build, self._upsert(build, new), *(list(column) for column in columns))
        return frozenset(row["key"] for row in found)

    async def _copied(self, build: str, rows: Sequence[_Row]) -> frozenset[str]:
        """As ``_inserted``; the driver takes a tenth of the time for COPY that it takes for arrays."""
        try:
            async with self._copying, self._connection() as connection, connection.transaction():
                await connection.execute(
                    "CREATE TEMP TABLE filling (key text, folded bigint, positions jsonb, body jsonb) ON COMMIT DROP"
                )
                await connection.copy_records_to_table("filling", records=rows, timeout=_BULK_PATIENCE_SECONDS)
                upsert = self._upsert(build, "filling")
                found = await connection.fetch(upsert, timeout=_BULK_PATIENCE_SECONDS)
        except asyncpg.UndefinedTableError as error:
            raise BuildMissing(build) from error
        return frozenset(row["key"] for row in found)

    def _upsert(self, build: str, new: str) -> str:
        return (
            f"INSERT INTO {self._table(build)} AS stored (key, folded, positions, body) "  # noqa: S608 - names are quoted
            f"SELECT key, folded, positions::jsonb, body::jsonb FROM {new} "
            "ON CONFLICT (key) DO UPDATE "
            "SET folded = excluded.folded, positions = excluded.positions, body = excluded.body "
            "WHERE stored.folded < excluded.folded RETURNING key"
        )

    async def get(self, name: str, key: str) -> Document | None:
        """See DocumentStore."""
        rows = await self._read(
            name,
            lambda table: self._fetch(f"SELECT body::text AS body FROM {table} WHERE key = $1", key),  # noqa: S608 - names are quoted
        )
        return _read(rows[0]["body"]) if rows else None

    async def find(
        self, name: str, where: Sequence[Where], *, order_by: str, descending: bool, limit: int, cursor: str | None
    ) -> Page:
        """See DocumentStore; documents without ``order_by`` come first, or last if descending."""
        scope = f"documents {name} {order_by} {descending}"
        tests, values = _tests(where)
        order = _field(order_by)
        if cursor is not None:
            value, key = unseal(scope, cursor, (ANYTHING, str))
            values += [_json(value), key]
            sign = "<" if descending else ">"
            tests.append(f"({order}, key) {sign} (${len(values) - 1}::text::jsonb, ${len(values)}::text)")
        direction = "DESC" if descending else "ASC"
        rest = f"{' AND '.join(tests)} ORDER BY {order} {direction}, key {direction} LIMIT {limit + 1:d}"
        rows = await self._read(
            name,
            lambda table: self._fetch(f"SELECT key, body::text AS body FROM {table} WHERE {rest}", *values),  # noqa: S608 - fields are quoted
        )
        found = [(row["key"], orjson.loads(row["body"])) for row in rows or ()]
        shown = found[:limit]
        more = len(found) > limit
        next_cursor = seal(scope, [shown[-1][1].get(order_by), shown[-1][0]]) if more else None
        return Page([body for _, body in shown], next_cursor)

    async def count(self, name: str, where: Sequence[Where]) -> int:
        """See DocumentStore."""
        tests, values = _tests(where)
        rows = await self._read(
            name,
            lambda table: self._fetch(f"SELECT count(*) FROM {table} WHERE {' AND '.join(tests)}", *values),  # noqa: S608 - fields are quoted
        )
        return int(rows[0]["count"]) if rows else 0

    def _table(self, name: str) -> str:
        return f"{_quoted(self._schema)}.{_quoted(name)}"

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            async with self._pool.acquire(timeout=_PATIENCE_SECONDS) as connection:
                yield connection
        except SERVER_AWAY as error:
            raise StoreUnavailable(f"PostgreSQL does not answer: {type(error).__name__} {error}") from error

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[Any]:
        """A transaction that has what all builds need, and excludes others like it."""
        async with self._connection() as connection, connection.transaction():
            await change_alone(connection, self._schema)
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(self._schema)}")
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table(_POINTERS)} (name text PRIMARY KEY, build text NOT NULL)"
            )
            yield connection

    async def _fetch(self, query: str, *values: Any, patience: float = _PATIENCE_SECONDS) -> list[Any]:
        async with self._connection() as connection:
            rows: list[Any] = await connection.fetch(query, *values, timeout=patience)
            return rows

    async def _fetch_of(
        self, build: str, query: str, *values: Any, patience: float = _BULK_PATIENCE_SECONDS
    ) -> list[Any]:
        """Rows of a bulk query on ``build``. Raises BuildMissing."""
        try:
            return await self._fetch(query, *values, patience=patience)
        except asyncpg.UndefinedTableError as error:
            raise BuildMissing(build) from error

    async def _read(self, name: str, query: Callable[[str], Awaitable[T]]) -> T | None:
        """The answer of the live build; None if there is none.

        A build that is swapped away and dropped between the two steps has no table: then its successor is asked.
        """
        build = await self.pointed(name)
        while build is not None:
            try:
                return await query(self._table(build))
            except asyncpg.UndefinedTableError:
                live = await self.pointed(name)
                if live == build:
                    raise BuildMissing(build) from None
                build = live
        return None


def _row(document: FoldedDocument) -> _Row:
    positions = orjson.dumps(dict(document.positions)).decode()
    return document.key, document.folded, positions, None if document.body is None else _json(document.body)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _field(name: str) -> str:
    """A top-level field as an expression; absent is the same as null. Indexes are on exactly this expression."""
    literal = name.replace("'", "''")
    return f"coalesce(body -> '{literal}', 'null'::jsonb)"


def _tests(where: Sequence[Where]) -> tuple[list[str], list[Any]]:
    """Conditions and their parameters. Ranges hold only between values of one JSON type, as they do in MongoDB."""
    tests, values = ["body IS NOT NULL"], list[Any]()
    for test in where:
        field, place = _field(test.field), f"${len(values) + 1}::text::jsonb"
        match test.op:
            case "eq":
                tests.append(f"{field} = {place}")
            case "in":
                tests.append(f"{field} = ANY(${len(values) + 1}::text[]::jsonb[])")
            case "gte":
                tests.append(f"{field} >= {place} AND jsonb_typeof({field}) = jsonb_typeof({place})")
            case "lt":
                tests.append(f"{field} < {place} AND jsonb_typeof({field}) = jsonb_typeof({place})")
        values.append([_json(value) for value in test.value] if test.op == "in" else _json(test.value))
    return tests, values


def _json(value: Any) -> str:
    """JSON that JSONB can keep: it refuses NUL, which is shown as what it is, a character that cannot be shown."""
    text = orjson.dumps(value).decode()
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def _read(body: str | None) -> Document | None:
    return None if body is None else orjson.loads(body)
