"""Rows of facts as Arrow tables: typed by column, and a fifth of the work for the client that its own rows are.

A fill in a process that does not have the embedded engine keeps them in files (Arrow's IPC format) in a directory, for
the process that has it. There is one directory for each build: ``tables.json`` says which tables the build has, and
``<number>.<table>.arrow`` holds the rows of one insert. A file is there whole or not at all.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
from pydantic import TypeAdapter

from projections.ports import BuildMissing, FactTable

_TYPES = {
    "UUID": pa.binary(16),
    "String": pa.string(),
    "LowCardinality(String)": pa.string(),
    "Date32": pa.date32(),
    "DateTime64(3, 'UTC')": pa.timestamp("ms", "UTC"),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Int64": pa.int64(),
}
_ROWS_AT_ONCE = 100_000
_TABLES = TypeAdapter(list[FactTable])


def arrow_of(table: FactTable, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """``rows`` in order of ``table.columns``. Raises ValueError, which names the column, for what does not fit it."""
    columns = []
    for (name, kind), values in zip(table.columns, zip(*rows, strict=True), strict=True):
        try:
            column = pa.array([value.bytes if isinstance(value, UUID) else value for value in values], _TYPES[kind])
        except (pa.ArrowException, OverflowError, KeyError) as error:
            raise ValueError(f"column {name} of {table.name} ({kind}) cannot take a value: {error}") from error
        if column.null_count:
            raise ValueError(f"column {name} of {table.name} ({kind}) cannot be empty")
        columns.append(column)
    return pa.Table.from_arrays(columns, names=[name for name, _ in table.columns])


class SpooledFacts:
    """Takes what a fill writes, as a FactStore would, and keeps it under ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def prepare(self, build: str, tables: Sequence[FactTable]) -> None:
        """See FactStore."""
        await asyncio.to_thread(self._prepare, build, tables)

    async def insert(self, build: str, table: FactTable, rows: Sequence[Sequence[Any]]) -> None:
        """See FactStore."""
        await asyncio.to_thread(self._insert, build, table, rows)

    async def drop(self, build: str) -> None:
        """See Builds."""
        await asyncio.to_thread(forget_spooled, self._directory, build)

    def _prepare(self, build: str, tables: Sequence[FactTable]) -> None:
        (self._directory / build).mkdir(parents=True, exist_ok=True)
        _write(self._directory / build / "tables.json", _TABLES.dump_json(list(tables)))

    def _insert(self, build: str, table: FactTable, rows: Sequence[Sequence[Any]]) -> None:
        place = self._directory / build
        if not place.is_dir():
            raise BuildMissing(build)
        number = max((int(file.name.partition(".")[0]) for file in place.glob("*.arrow")), default=0) + 1
        found, sink = arrow_of(table, rows), pa.BufferOutputStream()
        with pa.ipc.new_file(sink, found.schema) as writer:
            writer.write_table(found)
        _write(place / f"{number:08}.{table.name}.arrow", sink.getvalue())


def spooled_tables(directory: Path, build: str) -> list[FactTable]:
    """The tables of ``build``; none if nothing was spooled for it."""
    try:
        return _TABLES.validate_json((directory / build / "tables.json").read_bytes())
    except FileNotFoundError:
        return []


def spooled_rows(directory: Path, build: str) -> Iterator[tuple[str, pa.Table]]:
    """What was inserted into ``build``, table by table, many rows at once: each insert is a part that must be merged.

    The files of what was handed out are deleted when more is asked for.
    """
    files: defaultdict[str, list[Path]] = defaultdict(list)
    for file in sorted((directory / build).glob("*.arrow")):
        files[file.name.split(".")[1]].append(file)
    for table, waiting in files.items():
        while waiting:
            read, rows = list[Path](), list[pa.Table]()
            while waiting and sum(map(len, rows)) < _ROWS_AT_ONCE:
                read.append(waiting.pop(0))
                with pa.OSFile(str(read[-1])) as source, pa.ipc.open_file(source) as reader:
                    rows.append(reader.read_all())
            yield table, pa.concat_tables(rows).combine_chunks()
            for file in read:
                file.unlink()


def forget_spooled(directory: Path, build: str) -> None:
    """Delete what is kept for ``build``; no error if nothing is."""
    shutil.rmtree(directory / build, ignore_errors=True)


def _write(file: Path, content: bytes | pa.Buffer) -> None:
    """Write durably, and as one."""
    new = file.with_suffix(".new")
    with new.open("wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    new.replace(file)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
