"""The contract of DocumentStore on both adapters, PostgreSQL (the embedded default) and MongoDB: lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import chain
from typing import Any

import pytest

from domain.shared.errors import InvalidCommand
from infra.stores.cursors import seal
from projections.ports import Document, Where
from tests.contract.document_store import INDEXES, Place, document, document_place, everything, filled


@pytest.fixture(params=["postgres", "mongo"])
def server_url(request: pytest.FixtureRequest) -> str:
    """The server of the adapter under test."""
    fixture = {"postgres": "embedded_postgres_url", "mongo": "mongo_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture
async def place(server_url: str, fresh_name: Callable[..., str]) -> AsyncIterator[Place]:
    """A store with one prepared build, which is live."""
    async with document_place(server_url, fresh_name()) as place:
        yield place


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        ((Where("status", "eq", "open"),), {"a", "c"}),
        ((Where("status", "eq", None),), {"d", "e"}),
        ((Where("status", "in", ["shut", "open"]),), {"a", "b", "c"}),
        ((Where("status", "in", []),), set()),
        ((Where("rooms", "gte", 2),), {"b", "c"}),
        ((Where("rooms", "lt", 2),), {"a"}),
        ((Where("rooms", "gte", 1), Where("rooms", "lt", 3)), {"a", "b"}),
        ((Where("status", "eq", "open"), Where("rooms", "gte", 2)), {"c"}),
        ((Where("status", "gte", "p"),), {"b"}),
        ((Where("status", "lt", "p"),), {"a", "c"}),
        ((Where("rooms", "eq", "1"),), set()),
        ((Where("rooms", "gte", "1"),), set()),
        ((Where("status", "lt", 99),), set()),
        ((Where("it's", "eq", "o'k"),), {"e"}),
        ((Where("flag", "eq", True),), {"d"}),
        ((Where("status", "eq", "\0"),), set()),
    ],
)
async def test_lists_are_filtered(place: Place, tests: tuple[Where, ...], expected: set[str]) -> None:
    await filled(
        place,
        {
            "a": {"key": "a", "status": "open", "rooms": 1},
            "b": {"key": "b", "status": "shut", "rooms": 2},
            "c": {"key": "c", "status": "open", "rooms": 30},
            "d": {"key": "d", "status": None, "flag": True},
            "e": {"key": "e", "it's": "o'k"},
        },
    )
    assert set(chain(*await everything(place, 10, order_by="key", where=tests))) == expected
    assert await place.store.count(place.name, tests) == len(expected)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order_by", ["created", "rooms"])
async def test_pages_are_in_order_then_by_key_and_complete(place: Place, order_by: str, descending: bool) -> None:
    bodies = {
        f"k{number:02}": {"key": f"k{number:02}", "created": f"2026-01-0{number % 3 + 1}", "rooms": number % 12}
        for number in range(20)
    }
    await filled(place, bodies)
    expected = sorted(bodies, key=lambda key: (bodies[key][order_by], key), reverse=descending)
    pages = await everything(place, 3, order_by=order_by, descending=descending)
    assert list(chain(*pages)) == expected
    assert [len(page) for page in pages] == [3] * 6 + [2]
    assert await everything(place, 20, order_by=order_by, descending=descending) == [expected]


@pytest.mark.parametrize("descending", [False, True])
async def test_documents_without_the_field_come_first_and_are_paged_too(place: Place, descending: bool) -> None:
    bodies: dict[str, Document] = {key: {"key": key, "created": None} for key in "ab"}
    bodies |= {key: {"key": key} for key in "cd"}
    bodies |= {key: {"key": key, "created": f"1{key}"} for key in "efg"}
    await filled(place, bodies)
    expected = list("gfedcba") if descending else list("abcdefg")
    for limit in (1, 2, 3):
        assert list(chain(*await everything(place, limit, descending=descending))) == expected


async def test_a_cursor_goes_on_where_its_page_ended_whatever_was_inserted_or_deleted(place: Place) -> None:
    await filled(place, {key: {"key": key, "created": "1"} for key in "bdfh"})
    first = await place.store.find(place.name, (), order_by="created", descending=False, limit=2, cursor=None)
    assert [one["key"] for one in first.items] == ["b", "d"]
    await filled(place, {"a": {"key": "a", "created": "1"}, "e": {"key": "e", "created": "1"}})
    await place.store.save(place.build, [document("d", 2, None)])
    rest = await place.twin.find(
        place.name, (), order_by="created", descending=False, limit=5, cursor=first.next_cursor
    )
    assert [one["key"] for one in rest.items] == ["e", "f", "h"]


async def test_a_cursor_survives_a_replay(place: Place) -> None:
    bodies = {key: {"key": key, "created": "1"} for key in "abc"}
    await filled(place, bodies)
    first = await place.store.find(place.name, (), order_by="created", descending=False, limit=2, cursor=None)
    await place.store.prepare("pages_2")
    await place.store.filled("pages_2", INDEXES)
    await place.store.save("pages_2", [document(key, 1, body) for key, body in bodies.items()])
    await place.store.point(place.name, "pages_2")
    rest = await place.store.find(
        place.name, (), order_by="created", descending=False, limit=2, cursor=first.next_cursor
    )
    assert [one["key"] for one in rest.items] == ["c"]
    await place.store.drop("pages_2")


_FORGED: tuple[list[Any], ...] = ([], [1], ["1", 1], ["1", "a", "b"], ["1", "a\0"], [["1"], "a"])
"""Values that no list gives out, but that anybody can seal."""


async def test_a_foreign_cursor_is_refused(place: Place) -> None:
    await filled(place, {key: {"key": key, "created": "1"} for key in "abc"})
    page = await place.store.find(place.name, (), order_by="created", descending=False, limit=1, cursor=None)
    own = page.next_cursor
    assert own is not None
    for order_by, descending, cursor in (
        ("created", True, own),
        ("key", False, own),
        ("created", False, own[:-4]),
        ("created", False, own[:-4] + "AAAA"),
        ("created", False, ""),
        ("created", False, "nonsense"),
        ("created", False, "ünïcode \0 \ud800"),
        *(("created", False, seal(f"documents {place.name} created False", forged)) for forged in _FORGED),
    ):
        with pytest.raises(InvalidCommand) as refusal:
            await place.store.find(place.name, (), order_by=order_by, descending=descending, limit=1, cursor=cursor)
        assert refusal.value.errors[0][0] == "cursor"
