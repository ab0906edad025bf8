"""What the contract tests of SearchStore share: a store of the test's own, and hotels to look for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.stores.elasticsearch import ElasticsearchHotels
from infra.stores.tantivy_search import TantivyHotels
from projections.ports import Document, FoldedDocument, HotelQuery
from tests.contract.gate import Gate


@dataclass
class Place:
    """A store of the test's own with one live build; ``gate`` is before its server, if it has one."""

    store: Any
    build: str
    name: str
    gate: Gate | None


@asynccontextmanager
async def search_place(server_url: str | None, directory: Path, prefix: str) -> AsyncIterator[Place]:
    """A store with one prepared build, which is live: Elasticsearch's, or without a URL the embedded one's."""
    gate = None if server_url is None else Gate(server_url)
    store: Any = TantivyHotels(directory)
    if gate is not None:
        await gate.open()
        store = ElasticsearchHotels(gate.url, f"{prefix}-".lower())
    await store.open()
    await store.prepare("search_1")
    await store.point("search", "search_1")
    yield Place(store, "search_1", "search", gate)
    await store.drop("search_1")
    await store.close()
    if gate is not None:
        await gate.shut()


def hotel(key: str, name: str, city: str = "Lisboa", **fields: Any) -> Document:
    return {
        "hotel_id": key,
        "listed": True,
        "name": name,
        "city": city,
        "country": "PT",
        "description": "",
        "stars": 3,
        "amenities": [],
        "latitude": 38.72,
        "longitude": -9.14,
        "currency": "EUR",
        "from_price": 100.0,
        "rating": None,
        "max_guests": 4,
        "sold_out": [],
        "open_by_default": True,
        **fields,
    }


def document(body: Document, folded: int = 1, position: str = "7.1") -> FoldedDocument:
    return FoldedDocument(body["hotel_id"], body, folded, {"hotels": position})


TOWN = (
    hotel("h1", "Hotel Adlon", "Berlin", stars=5, latitude=52.516, longitude=13.38, from_price=250.0, rating=4.8),
    hotel("h2", "Pension Spree", "Berlin", stars=2, latitude=52.52, longitude=13.41, from_price=60.0, rating=3.1),
    hotel("h3", "Casa do Rio", "São Paulo", stars=4, latitude=-23.55, longitude=-46.63, from_price=90.0, rating=4.8),
    hotel("h4", "Grand Berlin Palace", "Potsdam", stars=5, latitude=52.39, longitude=13.06, from_price=None),
    hotel("h5", "Alfama Rooms", "Lisboa", description="Quiet rooms near the castle, breakfast with a view of the Tejo"),
)
AMENITIES = {"h1": ["wifi", "spa"], "h2": ["wifi"], "h3": ["pool", "spa", "wifi"], "h4": [], "h5": ["wifi"]}


async def filled(place: Place, *bodies: Document) -> None:
    assert await place.store.save(place.build, [document(body) for body in bodies]) == frozenset()


async def with_town(place: Place) -> None:
    await filled(place, *(body | {"amenities": AMENITIES[body["hotel_id"]]} for body in TOWN))


async def found(place: Place, **query: Any) -> list[str]:
    """Ids of what is found, in order."""
    hits = await place.store.search(place.name, HotelQuery(**query))
    assert hits.total == len(hits.items)
    return [item["hotel_id"] for item in hits.items]


async def paged(place: Place, query: HotelQuery) -> list[str]:
    """Ids of all pages."""
    ids: list[str] = []
    hits = await place.store.search(place.name, query)
    while True:
        ids += [item["hotel_id"] for item in hits.items]
        if hits.next_cursor is None:
            return ids
        assert len(hits.items) == query.limit
        hits = await place.store.search(place.name, replace(query, cursor=hits.next_cursor))
