"""Read models to be replayed, and how what they hold is loaded once more by the store's own client in bulk.

The bulk load is given what it needs in memory and does nothing else: no guards, no events, one client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID

import asyncpg
import clickhouse_connect
import orjson
import tantivy
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_bulk
from motor.motor_asyncio import AsyncIOMotorClient
from redis.asyncio import Redis

from infra.bootstrap.read_models import BOOKING_LISTS
from infra.stores.elasticsearch import ElasticsearchHotels, indexed
from infra.stores.facts import ClickHouseFacts
from infra.stores.mongo import MongoDocuments, stored
from infra.stores.pg_documents import PostgresDocuments
from infra.stores.redis_calendar import RedisCalendars
from infra.stores.tantivy_index import WORDS, entry_of
from infra.stores.tantivy_search import TantivyHotels
from projections.booking_facts import BookingFacts
from projections.booking_pages import BookingPages
from projections.calendars import Calendars
from projections.hotel_search import HotelSearch
from projections.ports import FoldedDocument, FoldStore
from projections.writers import CalendarWriter, FactWriter, FoldWriter, ProjectionWriter

T = TypeVar("T")
_AT_ONCE = 1_000
_DATABASE = "bench"


class Subject(Protocol):
    """One read model in one store."""

    store: str
    kind: str

    @property
    def writer(self) -> ProjectionWriter:
        """How it is replayed."""
        ...

    async def fetch(self, build: str) -> int:
        """Take all that ``build`` holds into memory; returns how many documents, cells or rows that is."""
        ...

    async def load(self, build: str) -> None:
        """Load what was fetched into ``build``, which is prepared and empty."""
        ...


@dataclass
class Documents:
    """Documents of a FoldStore. ``everything`` gives those of a build, ``bulk`` loads them by the client."""

    store: str
    port: PostgresDocuments | MongoDocuments | ElasticsearchHotels | TantivyHotels
    writer: FoldWriter
    everything: Callable[[str], Awaitable[list[FoldedDocument]]]
    bulk: Callable[[str, Sequence[FoldedDocument]], Awaitable[None]]
    kind: str = "documents"
    _fetched: list[FoldedDocument] = field(default_factory=list)

    async def open(self) -> None:
        """Open the store."""
        await self.port.open()

    async def close(self) -> None:
        """Close the store."""
        await self.port.close()

    async def fetch(self, build: str) -> int:
        """See Subject."""
        self._fetched = await self.everything(build)
        return len(self._fetched)

    async def load(self, build: str) -> None:
        """See Subject."""
        await self.bulk(build, self._fetched)


@dataclass
class Cells:
    """Calendars in Redis: each is a hash and a string for each year."""

    writer: CalendarWriter
    redis: Redis
    prefix: str
    store: str = "Redis"
    kind: str = "keys"
    _fetched: list[tuple[bytes, Any]] = field(default_factory=list)

    async def fetch(self, build: str) -> int:
        """See Subject; counts the keys."""
        async for key in self.redis.scan_iter(match=f"{self.prefix}:days:{build}:*", count=_AT_ONCE):
            packed = await self.redis.type(key) == b"string"
            self._fetched.append((key, await (self.redis.get(key) if packed else self.redis.hgetall(key))))
        return len(self._fetched)

    async def load(self, build: str) -> None:
        """See Subject; into keys of another name."""
        for part in in_parts(self._fetched):
            async with self.redis.pipeline(transaction=False) as pipe:
                for key, value in part:
                    name = b"%s:%s" % (build.encode(), key)
                    if isinstance(value, bytes):
                        pipe.set(name, value)
                    else:
                        pipe.hset(name, mapping=value)
                await pipe.execute()


@dataclass
class Rows:
    """Facts in the ClickHouse engine."""

    writer: FactWriter
    facts: ClickHouseFacts
    directory: Path
    store: str = "ClickHouse (chdb)"
    kind: str = "rows"
    _fetched: dict[str, Sequence[Sequence[Any]]] = field(default_factory=dict)

    async def fetch(self, build: str) -> int:
        """See Subject."""
        for table in self.writer.projection.tables:
            found = await self.facts.query(f"SELECT * FROM {build}__{table.name}")  # noqa: S608 - the names are ours
            self._fetched[table.name] = [list(row.values()) for row in found]
        return sum(map(len, self._fetched.values()))

    async def load(self, build: str) -> None:
        """See Subject."""
        await asyncio.to_thread(self._load, build)

    def _load(self, build: str) -> None:
        client = clickhouse_connect.get_client(
            interface="chdb", path=str(self.directory), database=_DATABASE, tz_mode="aware"
        )
        for table in self.writer.projection.tables:
            names, kinds = zip(*table.columns, strict=True)
            rows = self._fetched[table.name]
            client.insert(f"{build}__{table.name}", rows, column_names=names, column_type_names=kinds)
        client.close()


def postgresql(pool: asyncpg.Pool, bookings: Sequence[UUID]) -> Documents:
    """Booking pages as JSONB; by one binary COPY."""

    async def bulk(build: str, documents: Sequence[FoldedDocument]) -> None:
        rows = ((one.key, one.folded, _json(dict(one.positions)), _json(one.body)) for one in documents)
        await pool.copy_records_to_table(build, schema_name=_DATABASE, records=rows)

    store = PostgresDocuments(pool, _DATABASE)
    return Documents(
        "PostgreSQL JSONB", store, FoldWriter(BookingPages(), store, BOOKING_LISTS), _by_key(store, bookings), bulk
    )


def mongodb(url: str) -> Documents:
    """Booking pages; by ``insert_many``."""

    async def everything(build: str) -> list[FoldedDocument]:
        # Not by key: FerretDB compares each of its documents with each of the keys.
        collection: Any = AsyncIOMotorClient(url)[_DATABASE][build]
        found = await collection.find().to_list(None)
        return [FoldedDocument(one["_id"], one["body"], one["folded"], one["positions"]) for one in found]

    async def bulk(build: str, documents: Sequence[FoldedDocument]) -> None:
        collection: Any = AsyncIOMotorClient(url)[_DATABASE][build]
        for part in in_parts(documents):
            await collection.insert_many([stored(one) for one in part], ordered=False)

    store = MongoDocuments(url, _DATABASE)
    return Documents("MongoDB (FerretDB)", store, FoldWriter(BookingPages(), store, BOOKING_LISTS), everything, bulk)


def elasticsearch(url: str, hotels: Sequence[UUID]) -> Documents:
    """Hotels to be searched; by the client's bulk helper."""

    async def bulk(build: str, documents: Sequence[FoldedDocument]) -> None:
        index = f"{_DATABASE}-{build}"
        actions = ({"_index": index, "_id": one.key, "_source": indexed(one)} for one in documents)
        async with AsyncElasticsearch(url, request_timeout=60) as client:
            await async_bulk(client, actions)
            await client.indices.refresh(index=index)

    store = ElasticsearchHotels(url, f"{_DATABASE}-")
    return Documents("Elasticsearch", store, FoldWriter(HotelSearch(), store), _by_key(store, hotels), bulk)


def tantivy_files(directory: Path, hotels: Sequence[UUID]) -> Documents:
    """Hotels to be searched; by a writer and one commit."""

    def load(build: str, documents: Sequence[FoldedDocument]) -> None:
        index = tantivy.Index.open(str(directory / "builds" / build))
        index.register_tokenizer("words", WORDS)
        writer = index.writer()
        for one in documents:
            writer.add_document(entry_of(one).content)
        writer.commit()

    async def bulk(build: str, documents: Sequence[FoldedDocument]) -> None:
        await asyncio.to_thread(load, build, documents)

    store = TantivyHotels(directory)
    return Documents("tantivy", store, FoldWriter(HotelSearch(), store), _by_key(store, hotels), bulk)


def redis(url: str) -> Cells:
    """Calendars; by a pipeline of SET and HSET."""
    client = Redis.from_url(url)
    prefix = f"{_DATABASE}:calendars"
    return Cells(CalendarWriter(Calendars(), RedisCalendars(client, prefix)), client, prefix)


def clickhouse(directory: Path) -> Rows:
    """Booking facts; by the client's ``insert``, a table at once."""
    facts = ClickHouseFacts.embedded(directory, _DATABASE)
    return Rows(FactWriter(BookingFacts(), facts), facts, directory)


def _by_key(store: FoldStore, keys: Sequence[UUID]) -> Callable[[str], Awaitable[list[FoldedDocument]]]:
    async def everything(build: str) -> list[FoldedDocument]:
        found: list[FoldedDocument] = []
        for part in in_parts([str(key) for key in keys]):
            found += (await store.load(build, part)).values()
        return found

    return everything


def in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """``items`` in parts of a thousand."""
    for first in range(0, len(items), _AT_ONCE):
        yield items[first : first + _AT_ONCE]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
