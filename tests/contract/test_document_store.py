"""The contract of DocumentStore on both adapters, PostgreSQL (the embedded default) and MongoDB: writes and builds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from projections.ports import BuildMissing, Page, StoreUnavailable, Where
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


async def test_what_fills_a_build_is_guarded_like_every_write(place: Place) -> None:
    """Whether or not a document is there already: an earlier try may have written it."""
    await place.store.save(place.build, [document("a", 2, {"v": "there"}), document("b", 2, {"v": "there"})])
    filling = [document("a", 2, {"v": "late"}), document("b", 3, {"v": "\\u0000 \u0000"}), document("c", 1, None)]
    assert await place.store.save(place.build, filling, filling=True) == {"a"}
    await place.store.filled(place.build)
    stored = await place.store.load(place.build, ["a", "b", "c"])
    assert {key: one.folded for key, one in stored.items()} == {"a": 2, "b": 3, "c": 1}
    assert await place.store.get(place.name, "a") == {"v": "there"}
    assert str((await place.store.get(place.name, "b") or {})["v"]).startswith("\\u0000 ")
    assert await place.store.save(place.build, [], filling=True) == frozenset()
    await place.store.drop(place.build)
    with pytest.raises(BuildMissing, match=place.build):
        await place.store.save(place.build, [document("d", 1, {})], filling=True)


@pytest.mark.parametrize("filling", [False, True])
async def test_two_thousand_documents_are_one_call(place: Place, filling: bool) -> None:
    many = [document(f"k{number:04}", 1, {"key": number}) for number in range(2000)]
    assert await place.store.save(place.build, many, filling=filling) == frozenset()
    await place.store.filled(place.build)
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
    await place.store.prepare(place.build)
    await place.store.filled(place.build, INDEXES)
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
        await place.store.prepare(following)
        await place.store.filled(following, INDEXES)
        await place.store.save(following, [document("a", 1, {"key": "a", "created": "1"})])
        await place.store.point(place.name, following)
        await place.store.drop(live)
        live = following
    return live


async def test_a_reader_whose_build_is_dropped_under_it_asks_the_next(place: Place, monkeypatch: Any) -> None:
    await filled(place, {"a": {"key": "a", "created": "1"}})
    live = place.build
    numbers = iter(range(2, 10))
    look_up = place.twin.pointed

    async def pointed_just_before_a_swap(name: str) -> str | None:
        """What is live, which is no more when the caller hears of it."""
        nonlocal live
        answer: str | None = await look_up(name)
        if answer == live and swaps:
            swaps.pop()
            live = f"pages_{next(numbers)}"
            await place.store.prepare(live)
            await place.store.filled(live, INDEXES)
            await place.store.save(live, [document("a", 1, {"key": "a", "created": "1"})])
            await place.store.point(name, live)
            await place.store.drop(answer)
        return answer

    monkeypatch.setattr(place.twin, "pointed", pointed_just_before_a_swap)
    swaps = [1]
    assert await place.twin.get(place.name, "a") == {"key": "a", "created": "1"}
    swaps = [1, 2]
    assert await place.twin.count(place.name, ()) == 1
    swaps = [1]
    page = await place.twin.find(place.name, (), order_by="created", descending=False, limit=3, cursor=None)
    assert (len(page.items), swaps) == (1, [])
    await place.store.drop(live)


@pytest.mark.parametrize("server_url", ["mongo"], indirect=True)
@pytest.mark.parametrize("other", [2, 3])
async def test_a_writer_that_is_overtaken_after_it_looked_is_refused(
    place: Place, monkeypatch: Any, other: int
) -> None:
    """In PostgreSQL looking and writing are one statement, so nothing can come between."""
    await filled(place, {"a": {"by": "both"}, "b": {"by": "both"}})
    look = place.store._folded  # noqa: SLF001 - the only place where another writer can be let in between

    async def looked_just_before_another_writes(keys: Any, build: str) -> Any:
        answer = await look(keys, build)
        await place.twin.save(place.build, [document("a", other, {"by": "other"})])
        return answer

    monkeypatch.setattr(place.store, "_folded", looked_just_before_another_writes)
    ours = [document(key, 2, {"by": "us"}, "9.9") for key in ("a", "b")]
    assert await place.store.save(place.build, ours) == {"a"}
    stored = await place.twin.load(place.build, ["a", "b"])
    assert {key: one.body for key, one in stored.items()} == {"a": {"by": "other"}, "b": {"by": "us"}}


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
        lambda: place.store.prepare(place.build),
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
