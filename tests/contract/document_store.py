"""What the contract tests of DocumentStore share: a store of the test's own, and lists of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from infra.stores.mongo import MongoDocuments
from infra.stores.pg_documents import PostgresDocuments
from projections.ports import Document, FoldedDocument, Where
from tests.contract.gate import Gate

INDEXES = (("status", "created"), ("hotel",))


@dataclass
class Place:
    """A store of the test's own, before whose server there is a gate; ``twin`` is another process's view of it."""

    store: Any
    twin: Any
    gate: Gate
    build: str
    name: str


@asynccontextmanager
async def document_place(server_url: str, own: str) -> AsyncIterator[Place]:
    """A store with one prepared build, which is live; ``own`` is the name of its schema or database."""
    gate = Gate(server_url)
    await gate.open()
    pools: list[Any] = []

    async def adapter() -> Any:
        if server_url.startswith("mongodb"):
            return MongoDocuments(gate.url, own)
        pools.append(await asyncpg.create_pool(gate.url, min_size=1, max_size=4))
        return PostgresDocuments(pools[-1], own)

    place = Place(await adapter(), await adapter(), gate, "pages_1", "pages")
    for store in (place.store, place.twin):
        await store.open()
    await place.store.prepare(place.build)
    await place.store.filled(place.build, INDEXES)
    await place.store.point(place.name, place.build)
    yield place
    await place.store.drop(place.build)
    for store in (place.store, place.twin):
        await store.close()
    for number, pool in enumerate(pools):
        if number == 0:
            await pool.execute(f'DROP SCHEMA IF EXISTS "{own}" CASCADE')
        await pool.close()
    await gate.shut()


def document(key: str, folded: int, body: Document | None, position: str = "7.1") -> FoldedDocument:
    return FoldedDocument(key, body, folded, {"bookings": position})


async def filled(place: Place, bodies: dict[str, Document]) -> None:
    """Save each body under its key."""
    assert await place.store.save(place.build, [document(key, 1, body) for key, body in bodies.items()]) == frozenset()


async def everything(
    place: Place, limit: int, *, order_by: str = "created", descending: bool = False, where: tuple[Where, ...] = ()
) -> list[list[str]]:
    """The keys of all pages of the list."""
    pages: list[list[str]] = []
    cursor = None
    while not pages or cursor is not None:
        page = await place.store.find(
            place.name, where, order_by=order_by, descending=descending, limit=limit, cursor=cursor
        )
        pages.append([one["key"] for one in page.items])
        cursor = page.next_cursor
    return pages
