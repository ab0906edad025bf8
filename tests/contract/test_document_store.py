"""The contract of DocumentStore, on both adapters: PostgreSQL (the embedded default) and MongoDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import asyncpg
import pytest

from domain.shared.errors import InvalidCommand
from infra.stores.mongo import MongoDocuments
from infra.stores.pg_documents import PostgresDocuments
from projections.ports import BuildMissing, Document, FoldedDocument, Page, StoreUnavailable, Where
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


@pytest.fixture(params=["postgres", "mongo"])
def server_url(request: pytest.FixtureRequest) -> str:
    """The server of the adapter under test."""
    fixture = {"postgres": "embedded_postgres_url", "mongo": "mongo_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture
async def place(server_url: str, fresh_name: Callable[..., str]) -> AsyncIterator[Place]:
    """A store with one prepared build, which is live."""
    gate = Gate(server_url)
    await gate.open()
    own = fresh_name()
    opened: list[Any] = []
    pools: list[Any] = []

    async def adapter() -> Any:
        if server_url.startswith("mongodb"):
            return MongoDocuments(gate.url, own)
        pools.append(await asyncpg.create_pool(gate.url, min_size=1, max_size=4))
        return PostgresDocuments(pools[-1], own)

    for _ in range(2):
        opened.append(await adapter())
        await opened[-1].open()
    place = Place(opened[0], opened[1], gate, "pages_1", "pages")
    await place.store.prepare(place.build, INDEXES)
    await place.store.point(place.name, place.build)
    yield place
    await place.store.drop(place.build)
    for store in opened:
        await store.close()
    for pool in pools:
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


async def test_what_was_saved_is_loaded_at_once_with_its_count_and_positions(place: Place) -> None:
    body = {
        "status": "ok",
        "n": 1,
        "price": 1.5,
        "list": [{"a": None}],
        "text": "Zürich \\u0000 'quoted'",
        "flag": True,
    }
    saved = document("a", 3, body, "12.9")
    assert await place.store.save(place.build, [saved]) == frozenset()
    assert await place.store.load(place.build, ["a", "unknown"]) == {"a": saved}
    assert await place.store.get(place.name, "a") == body
    assert await place.store.get(place.name, "unknown") is None


async def test_a_build_that_nobody_wrote_holds_nothing(place: Place) -> None:
    assert await place.store.load(place.build, ["a"]) == {}
    assert await place.store.save(place.build, []) == frozenset()
    assert await place.store.find(place.name, (), order_by="created", descending=False, limit=5, cursor=None) == Page(
        [], None
    )


@pytest.mark.parametrize("late", [1, 2])
async def test_an_equal_or_older_write_is_refused_and_reported(place: Place, late: int) -> None:
    await place.store.save(place.build, [document("a", 2, {"v": "second"})])
    refused = await place.store.save(place.build, [document("a", late, {"v": "late"}), document("b", 1, {"v": "new"})])
    assert refused == {"a"}
    assert await place.store.get(place.name, "a") == {"v": "second"}
    assert await place.store.get(place.name, "b") == {"v": "new"}


async def test_a_newer_write_replaces_the_whole_document(place: Place) -> None:
    await place.store.save(place.build, [document("a", 1, {"old": 1}, "7.1")])
    assert await place.store.save(place.build, [document("a", 2, {"new": 2}, "8.1")]) == frozenset()
    assert await place.store.load(place.build, ["a"]) == {"a": document("a", 2, {"new": 2}, "8.1")}


async def test_of_many_writers_at_once_the_newest_stays(place: Place) -> None:
    versions = range(1, 13)
    await asyncio.gather(
        *(
            (place.store if version % 2 else place.twin).save(
                place.build, [document(key, version, {"v": version}) for key in ("a", "b", "c")]
            )
            for version in versions
        )
    )
    refused = await place.store.save(place.build, [document(key, 13, {"v": 13}) for key in ("a", "b", "c")])
    stored = await place.twin.load(place.build, ["a", "b", "c"])
    assert refused == frozenset()
    assert {one.folded for one in stored.values()} == {13}


async def test_of_two_first_writers_one_is_refused(place: Place) -> None:
    answers = await asyncio.gather(
        *(store.save(place.build, [document("a", 1, {"by": by})]) for by, store in enumerate((place.store, place.twin)))
    )
    assert sorted(answers, key=len) == [frozenset(), frozenset({"a"})]
    winner = answers.index(frozenset())
    assert await place.store.get(place.name, "a") == {"by": winner}


async def test_a_deleted_document_is_gone_but_still_guards(place: Place) -> None:
    await filled(place, {"a": {"key": "a", "created": "1"}})
    assert await place.store.save(place.build, [document("a", 2, None)]) == frozenset()
    assert await place.store.get(place.name, "a") is None
    assert await everything(place, 10) == [[]]
    assert await place.store.count(place.name, ()) == 0
    assert await place.store.count(place.name, (Where("created", "eq", None),)) == 0
    assert await place.store.save(place.build, [document("a", 2, {"key": "a"})]) == {"a"}
    assert (await place.store.load(place.build, ["a"]))["a"].body is None
    assert await place.store.save(place.build, [document("a", 3, {"key": "a"})]) == frozenset()
    assert await place.store.get(place.name, "a") == {"key": "a"}


async def test_two_thousand_documents_are_one_call(place: Place) -> None:
    many = [document(f"k{number:04}", 1, {"key": number}) for number in range(2000)]
    assert await place.store.save(place.build, many) == frozenset()
    assert await place.store.count(place.name, ()) == 2000
    assert len(await place.store.load(place.build, [one.key for one in many])) == 2000
    assert await place.store.save(place.build, many) == {one.key for one in many}


async def test_readers_see_a_name_only_when_it_points_somewhere(place: Place) -> None:
    assert await place.store.pointed("nobody") is None
    assert await place.store.get("nobody", "a") is None
    assert await place.store.count("nobody", ()) == 0
    page = await place.store.find("nobody", (), order_by="x", descending=False, limit=1, cursor=None)
    assert page == Page([], None)


async def test_preparing_again_keeps_what_is_there(place: Place) -> None:
    await filled(place, {"a": {"key": "a"}})
    await place.store.prepare(place.build, INDEXES)
    assert await place.store.get(place.name, "a") == {"key": "a"}


async def test_pointing_swaps_what_readers_see_also_in_other_processes(place: Place) -> None:
    await filled(place, {"a": {"from": "old"}})
    await place.store.prepare("pages_2")
    await place.store.save("pages_2", [document("a", 1, {"from": "new"})])
    assert await place.twin.get(place.name, "a") == {"from": "old"}
    await place.store.point(place.name, "pages_2")
    assert await place.twin.get(place.name, "a") == {"from": "new"}
    assert await place.twin.pointed(place.name) == "pages_2"
    await place.store.drop(place.build)
    assert await place.twin.get(place.name, "a") == {"from": "new"}
    await place.store.drop("pages_2")


async def test_a_reader_never_misses_a_document_while_builds_are_swapped_and_dropped(place: Place) -> None:
    await filled(place, {"a": {"key": "a", "created": "1"}})
    swapping = asyncio.create_task(_swap_many_times(place, 15))
    seen = set[Any]()
    while not swapping.done():
        page = await place.twin.find(place.name, (), order_by="created", descending=False, limit=3, cursor=None)
        body = await place.twin.get(place.name, "a")
        seen.add((len(page.items), body is not None, await place.twin.count(place.name, ())))
    await place.store.drop(await swapping)
    assert seen == {(1, True, 1)}


async def _swap_many_times(place: Place, times: int) -> str:
    live = place.build
    for number in range(2, 2 + times):
        following = f"pages_{number}"
        await place.store.prepare(following, INDEXES)
        await place.store.save(following, [document("a", 1, {"key": "a", "created": "1"})])
        await place.store.point(place.name, following)
        await place.store.drop(live)
        live = following
    return live


async def test_a_dropped_build_is_gone_with_its_pointer(place: Place) -> None:
    await filled(place, {"a": {"key": "a"}})
    await place.store.drop(place.build)
    await place.store.drop(place.build)
    assert await place.twin.pointed(place.name) is None
    assert await place.twin.get(place.name, "a") is None
    with pytest.raises(BuildMissing):
        await place.store.load(place.build, ["a"])
    with pytest.raises(BuildMissing):
        await place.twin.save(place.build, [document("a", 1, {"key": "a"})])
    await place.store.prepare(place.build)
    assert await place.store.load(place.build, ["a"]) == {}


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
    await place.store.prepare("pages_2", INDEXES)
    await place.store.save("pages_2", [document(key, 1, body) for key, body in bodies.items()])
    await place.store.point(place.name, "pages_2")
    rest = await place.store.find(
        place.name, (), order_by="created", descending=False, limit=2, cursor=first.next_cursor
    )
    assert [one["key"] for one in rest.items] == ["c"]
    await place.store.drop("pages_2")


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
    ):
        with pytest.raises(InvalidCommand) as refusal:
            await place.store.find(place.name, (), order_by=order_by, descending=descending, limit=1, cursor=cursor)
        assert refusal.value.errors[0][0] == "cursor"


async def test_a_server_that_is_gone_is_reported_soon_and_found_again(place: Place) -> None:
    await filled(place, {"a": {"key": "a"}})
    await place.store.ping()
    await place.gate.shut()
    calls: list[Callable[[], Any]] = [
        place.store.ping,
        lambda: place.store.get(place.name, "a"),
        lambda: place.store.save(place.build, [document("b", 1, {})]),
        lambda: place.store.load(place.build, ["a"]),
        lambda: place.store.count(place.name, ()),
        lambda: place.store.find(place.name, (), order_by="key", descending=False, limit=1, cursor=None),
        lambda: place.store.point(place.name, place.build),
        lambda: place.store.pointed(place.name),
        lambda: place.store.prepare(place.build, INDEXES),
        lambda: place.store.drop("pages_9"),
    ]

    async def refused(call: Callable[[], Any]) -> None:
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(call(), 10)

    await asyncio.gather(*(refused(call) for call in calls))
    await place.gate.open()
    async with asyncio.timeout(20):
        while True:
            try:
                assert await place.store.get(place.name, "a") == {"key": "a"}
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)
    assert await place.store.load(place.build, ["b"]) == {}
