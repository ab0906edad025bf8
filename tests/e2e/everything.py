"""Everything that a running platform keeps, as text, by the place where it is kept: to look for what should be gone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pymongo
import redis
import tantivy
from psycopg.sql import SQL, Identifier

from infra.embedded.processes import command_line
from tests.e2e.running import RunningPlatform

_MANY = 10_000
_FACTS = """
import sys
import clickhouse_connect
client = clickhouse_connect.get_client(interface="chdb", path=sys.argv[1])
tables = client.query("SELECT database, name FROM system.tables WHERE database NOT IN ('system', 'information_schema')")
for database, name in tables.result_rows:
    for row in client.query(f"SELECT * FROM `{database}`.`{name}`").result_rows:
        print(*row)
"""

_REDIS_READS: Mapping[bytes, Callable[[Any, bytes], Any]] = {
    b"none": lambda _, __: "",  # it has expired meanwhile
    b"string": lambda client, key: client.get(key) or "",
    b"hash": lambda client, key: list(client.hgetall(key).items()),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: list(client.smembers(key)),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
}

Kept = Iterator[tuple[str, str]]
"""Pairs of place and text."""


def places_of(words: Iterable[str], kept: Kept) -> dict[str, set[str]]:
    """Which of ``words`` are found where, whatever their case; places without any are left out."""
    wanted, found = set(words), dict[str, set[str]]()
    for place, text in kept:
        lowered = text.lower()
        here = {word for word in wanted if word.lower() in lowered}
        if here:
            found.setdefault(place, set()).update(here)
    return found


def everything_of(platform: RunningPlatform) -> Kept:
    """Every row, document, key and file but the analytics, for which see ``facts_of``.

    PostgreSQL and Elasticsearch are asked for what they keep; how they lay it out in files is their own affair.
    """
    yield from _postgresql(platform)
    yield from _redis(platform)
    yield from _documents(platform)
    yield from _search(platform)
    yield from _files(platform)


def facts_of(platform: RunningPlatform, folder: Path) -> Kept:
    """Every row of the embedded analytics: of a copy in ``folder``, because the engine lets in one process only."""
    copy = folder / "analytics"
    with suppress(shutil.Error):  # a part that was merged into another while it was copied: the other has its rows
        shutil.copytree(platform.data_dir / "analytics", copy, symlinks=True)
    done = subprocess.run(
        [sys.executable, "-c", _FACTS, str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    yield "analytics", done.stdout


def _postgresql(platform: RunningPlatform) -> Kept:
    url = platform.environment.get("NIGHTLEDGER_POSTGRES_URL") or _embedded_postgres(platform.data_dir)
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for table in tables:
            for row in connection.execute(SQL("SELECT * FROM {}").format(Identifier(*table))):
                yield ".".join(table), " ".join(_text(value) for value in row)


def _embedded_postgres(data_dir: Path) -> str:
    lines = (data_dir / "postgres" / "cluster" / "postmaster.pid").read_text().splitlines()
    return f"host={lines[4]} user=nightledger dbname=postgres"


def _redis(platform: RunningPlatform) -> Kept:
    url = platform.environment.get("NIGHTLEDGER_REDIS_URL") or _embedded_redis(platform.data_dir)
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(count=1_000):
            yield "redis", f"{_text(key)} {_text(_REDIS_READS[client.type(key)](client, key))}"


def _embedded_redis(data_dir: Path) -> str:
    words = command_line(int((data_dir / "redis" / "data" / "redis.pid").read_text()))
    return f"unix://{words[words.index('--unixsocket') + 1]}"


def _documents(platform: RunningPlatform) -> Kept:
    """The collections of MongoDB; the embedded documents are tables."""
    url = platform.environment.get("NIGHTLEDGER_MONGO_URL")
    if url is not None:
        with pymongo.MongoClient[dict[str, Any]](url) as client:
            database = client[platform.environment["NIGHTLEDGER_NAMESPACE"]]
            for name in database.list_collection_names():
                for document in database[name].find():
                    yield f"mongo {name}", _text(document)


def _search(platform: RunningPlatform) -> Kept:
    url = platform.environment.get("NIGHTLEDGER_ELASTICSEARCH_URL")
    if url is not None:
        indexes = f"{platform.environment['NIGHTLEDGER_NAMESPACE']}-*"
        answer = httpx.get(f"{url}/{indexes}/_search", params={"size": _MANY}, timeout=30).raise_for_status()
        yield "search", answer.text
        return
    for directory in (platform.data_dir / "search" / "builds").iterdir():
        searcher = tantivy.Index.open(str(directory)).searcher()
        for _, address in searcher.search(tantivy.Query.all_query(), limit=_MANY).hits:
            yield "search", _text(searcher.doc(address).to_dict())


def _files(platform: RunningPlatform) -> Kept:
    """The log, and every file of the data directory, raw."""
    yield "the log", platform.log.read_text(errors="replace")
    cluster = platform.data_dir / "postgres" / "cluster"
    for file in platform.data_dir.rglob("*"):
        if file.is_file() and cluster not in file.parents:
            yield f"file {file.relative_to(platform.data_dir)}", file.read_bytes().decode(errors="replace")


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode(errors="replace")
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=_text, ensure_ascii=False)
    return str(value)
