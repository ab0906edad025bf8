"""Facts for analysts, bucket by bucket, against the rows that the log makes.

Each row has a check sum of everything in it and falls into a bucket by its key. The process that owns the facts adds
them up and answers one line per bucket; only where a bucket differs are its rows looked at. Rows do not tell up to
where the log was read, so a bucket to which something was added since is compared again as of later, until it has had
rest.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from commands.handling import Dependencies, Handlers, expect
from commands.ports import START, Answer, CommandEnvelope, RecordedEvent
from domain.shared.messages import Command
from projections.audit.findings import Findings, Period, Place
from projections.audit.read_models import Logs, ReadModelAudit, compare_live
from projections.builds import BuildRegistry
from projections.ports import FactStore, FactTable
from projections.projection import FactProjection

BUCKETS = 1024
FEWEST_BUCKETS = 64
ENOUGH_ROWS = 2_000
"""Unless all rows are made anew: with more than these, half of the buckets are left out, again and again."""
ROUNDS = 6
_SUM = 2**64
_AT_ONCE = 16
"""How many buckets that differ are asked for by row at a time."""


class DigestFacts(Command, name="analytics.DigestFacts"):
    """Answers {buckets: [[bucket, rows, sum]]} of a table; with ``rows`` also {rows: [[key, sum]]}."""

    table: str
    buckets: tuple[int, ...]
    rows: bool = False


Ask = Callable[[DigestFacts], Awaitable[Mapping[str, Any]]]
"""Sends the command to the process that owns the facts and returns its answer. Raises ServiceUnavailable."""


class Row(NamedTuple):
    """A row as the log makes it: its version in the table, its check sum, and the event that made it."""

    version: int
    check: int
    proof: Place


def fact_digest_handlers(facts: FactStore, tables: Iterable[FactTable]) -> Handlers:
    """The handlers of the process that owns the facts."""
    by_name = {table.name: table for table in tables}

    async def digest(dependencies: Dependencies, envelope: CommandEnvelope) -> Answer:
        del dependencies
        command = expect(DigestFacts, envelope)
        table = by_name[command.table]
        buckets = list(command.buckets)
        parameters = {"buckets": buckets}
        rows = await facts.query(_sums_of(table), parameters)
        body: dict[str, Any] = {"buckets": [[row["bucket"], row["rows"], row["total"]] for row in rows]}
        if command.rows:
            each = await facts.query(_rows_of(table), parameters)
            body["rows"] = [[row["key_text"], row["checksum"]] for row in each]
        return Answer(context="analytics", body=body)

    return {DigestFacts: digest}


class FactAudit(ReadModelAudit):
    """Makes the rows of some buckets anew, or of all, whatever the period: rows do not say when they were made."""

    def __init__(
        self,
        projection: FactProjection,
        ask: Ask,
        registry: BuildRegistry,
        period: Period,
        *,
        full: bool,
        salt: UUID,
    ) -> None:
        super().__init__(projection, period, full=full, salt=salt)
        self._projection = projection
        self._tables = projection.tables
        self._ask_owner = ask
        self._registry = registry
        start = salt.int % BUCKETS
        self._order = tuple((start + number) % BUCKETS for number in range(BUCKETS))
        self._buckets = frozenset(self._order)
        self._held = 0
        self._judging = False
        self._rows: dict[str, dict[int, dict[str, Row]]] = {table.name: {} for table in self._tables}
        self._places = {table.name: _places_in(table) for table in self._tables}
        self._touched: dict[str, set[int]] = {table.name: set() for table in self._tables}

    @property
    def projection(self) -> FactProjection:
        """See ReadModelAudit."""
        return self._projection

    def fold(self, recorded: RecordedEvent) -> None:
        """See ReadModelAudit."""
        for table, row in self._projection.rows(recorded):
            keys, versions = self._places[table.name]
            key = _text(row[place] for place in keys)
            bucket = zlib.crc32(key.encode()) % BUCKETS
            if bucket not in self._buckets:
                continue
            self._touched[table.name].add(bucket)
            rows = self._rows[table.name].setdefault(bucket, {})
            version = row[versions]
            self._held += key not in rows
            if key not in rows or rows[key].version <= version:
                rows[key] = Row(version, zlib.crc32(_text(row).encode()), Place.of(recorded))
        if self._held > ENOUGH_ROWS and not (self.full or self._judging) and len(self._buckets) > FEWEST_BUCKETS:
            self._leave_out_half()

    def _leave_out_half(self) -> None:
        """Which buckets stay is decided by their order, so those that stay have missed nothing."""
        self._buckets = frozenset(self._order[: len(self._buckets) // 2])
        for of_table in self._rows.values():
            for bucket in of_table.keys() - self._buckets:
                self._held -= len(of_table.pop(bucket))
        for touched in self._touched.values():
            touched.intersection_update(self._buckets)

    async def judge(self, logs: Logs) -> None:
        """See ReadModelAudit. Raises ServiceUnavailable."""
        self._judging = True

        async def compare(build: str) -> Findings:
            found = Findings(self.findings.name, self.findings.about)
            doubtful = {table.name: set(self._buckets) for table in self._projection.tables}
            for _ in range(ROUNDS):
                doubtful = await self._compare(doubtful, logs, found)
                if not any(doubtful.values()):
                    return found
                if not await logs.reached(self._projection, build, self.needed):
                    found.skipped = f"{build} falls behind the log; try again when its feed has caught up"
                    return found
            count = sum(len(buckets) for buckets in doubtful.values())
            found.note(f"{count} of {BUCKETS} buckets were being added to all the time and are not judged")
            return found

        await compare_live(self, self._live, logs, compare)

    async def _live(self) -> str | None:
        """The build that readers see. While one takes over there may be none on record as live for a moment."""
        names = {build.state: build.name for build in await self._registry.builds(self._projection.name)}
        return names.get("live") or names.get("swapping")

    async def _compare(self, buckets: Mapping[str, set[int]], logs: Logs, found: Findings) -> dict[str, set[int]]:
        """Judge ``buckets`` of each table; returns those that were added to meanwhile."""
        different = {table.name: await self._different(table, buckets[table.name], found) for table in self._tables}
        for touched in self._touched.values():
            touched.clear()
        if any(different.values()):
            await self._read_on(logs)
        for table in self._tables:
            await self._explain(table, sorted(different[table.name] - self._touched[table.name]), found)
        return {name: some & self._touched[name] for name, some in different.items()}

    async def _different(self, table: FactTable, buckets: Iterable[int], found: Findings) -> set[int]:
        """Buckets whose count or sum is not that of the rows made anew."""
        body = await self._ask(table, sorted(buckets), rows=False)
        stored = {bucket: (rows, total) for bucket, rows, total in body["buckets"]}
        different = set()
        for bucket in buckets:
            rows = self._rows[table.name].get(bucket, {})
            expected = len(rows), sum(row.check for row in rows.values()) % _SUM
            if stored.get(bucket, (0, 0)) == expected:
                found.checked += len(rows)
            else:
                different.add(bucket)
        return different

    async def _explain(self, table: FactTable, buckets: Sequence[int], found: Findings) -> None:
        """Say which rows of buckets that differ are missing, too many, or wrong."""
        for start in range(0, len(buckets), _AT_ONCE):
            some = buckets[start : start + _AT_ONCE]
            stored: dict[str, list[int]] = {}
            for key, check in (await self._ask(table, some, rows=True))["rows"]:
                stored.setdefault(key, []).append(check)
            expected = {key: row for bucket in some for key, row in self._rows[table.name].get(bucket, {}).items()}
            found.checked += len(expected)
            for key in sorted(stored.keys() | expected.keys()):
                self._explain_row(table, key, stored.get(key, []), expected.get(key), found)

    def _explain_row(self, table: FactTable, key: str, stored: list[int], row: Row | None, found: Findings) -> None:
        name = f"{table.name} ({', '.join(table.key)}) = ({key.replace('|', ', ')})"
        if row is None:
            found.violation(f"{name} is a row that the log does not make")
        elif not stored:
            found.violation(f"{name} is missing", row.proof)
        elif stored != [row.check]:
            wrong = "differs" if len(stored) == 1 else f"is there {len(stored)} times"
            found.violation(f"{name} {wrong} from what the log makes", row.proof)

    async def _ask(self, table: FactTable, buckets: Sequence[int], *, rows: bool) -> Mapping[str, Any]:
        return await self._ask_owner(DigestFacts(table=table.name, buckets=tuple(buckets), rows=rows))

    async def _read_on(self, logs: Logs) -> None:
        """Fold what has happened since, which notes the buckets that it touches."""
        for context in self._projection.contexts:
            source = logs.by_context[context]
            run = await source.read_log(self.needed.get(context, START), 1_000, topics=self._projection.topics)
            while run.position != run.prev:
                for recorded in run.events:
                    self.take(recorded)
                run = await source.read_log(run.position, 1_000, topics=self._projection.topics)


def _places_in(table: FactTable) -> tuple[Sequence[int], int]:
    """Where in a row its key is, and its version."""
    names = [name for name, _ in table.columns]
    return [names.index(name) for name in table.key], names.index(table.version)


def _text(values: Iterable[Any]) -> str:
    """Values as ClickHouse's ``toString`` writes them, with bars between."""
    return "|".join([_WRITERS.get(type(value), str)(value) for value in values])


def _moment(value: dt.datetime) -> str:
    moment = value.astimezone(dt.UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}"


# The rows of one booking have the same identifiers; to write one takes longer than everything else in the row.
_WRITERS: Mapping[type[Any], Callable[[Any], str]] = {dt.datetime: _moment, UUID: lru_cache(maxsize=1_024)(str)}


def _sums_of(table: FactTable) -> str:
    return f"""
        SELECT bucket, count() AS rows, sum(checksum) AS total FROM ({_checked_rows(table)})
        WHERE has({{buckets:Array(UInt32)}}, bucket) GROUP BY bucket
    """  # noqa: S608 - names come from the code


def _rows_of(table: FactTable) -> str:
    return f"""
        SELECT key_text, checksum FROM ({_checked_rows(table)}) WHERE has({{buckets:Array(UInt32)}}, bucket)
    """  # noqa: S608 - names come from the code


def _checked_rows(table: FactTable) -> str:
    key, everything = _concatenated(table.key), _concatenated([name for name, _ in table.columns])
    return f"""
        SELECT {key} AS key_text, toUInt32(CRC32({key}) % {BUCKETS}) AS bucket, CRC32({everything}) AS checksum
        FROM {table.name}
    """  # noqa: S608 - names come from the code


def _concatenated(columns: Sequence[str]) -> str:
    texts = ", '|', ".join(f"toString(`{column}`)" for column in columns)
    return f"concat({texts}, '')"
