"""The contract of SearchStore on both adapters, tantivy (the embedded default) and Elasticsearch: writes and builds."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from domain.shared.errors import InvalidCommand
from infra.stores.tantivy_search import TantivyHotels
from projections.ports import BuildMissing, FoldedDocument, HotelQuery, StoreUnavailable
from tests.contract.search_store import Place, document, filled, found, hotel, search_place

SECOND = 1.0
NIGHT = dt.date(2026, 6, 1)


@pytest.fixture(params=["tantivy", "elasticsearch"])
def server_url(request: pytest.FixtureRequest) -> str | None:
    """The server of the adapter under test, None for the embedded one."""
    if request.param == "tantivy":
        return None
    url: str = request.getfixturevalue("elasticsearch_url")
    return url


@pytest.fixture
async def place(server_url: str | None, tmp_path: Path, fresh_name: Callable[..., str]) -> AsyncIterator[Place]:
    """A store with one prepared build, which is live."""
    async with search_place(server_url, tmp_path / "search", fresh_name()) as place:
        yield place


async def test_what_was_saved_is_loaded_and_found_at_once(place: Place) -> None:
    body = hotel("a", "Adlon", extra={"deep": [1, {"": None}]}, _state={"rooms": {"2026-06-01": 3}})
    saved = document(body, 3, "12.9")
    assert await place.store.save(place.build, [saved]) == frozenset()
    assert await place.store.load(place.build, ["a", "unknown"]) == {"a": saved}
    hits = await place.store.search(place.name, HotelQuery())
    assert hits.items == [{field: value for field, value in body.items() if field != "_state"}]
    assert await place.store.load(place.build, []) == {}
    assert await place.store.save(place.build, []) == frozenset()


@pytest.mark.parametrize("late", [1, 2])
async def test_an_equal_or_older_write_is_refused_and_reported(place: Place, late: int) -> None:
    await place.store.save(place.build, [document(hotel("a", "Second"), 2)])
    refused = await place.store.save(place.build, [document(hotel("a", "Late"), late), document(hotel("b", "New"))])
    assert refused == {"a"}
    loaded = await place.store.load(place.build, ["a", "b"])
    assert {key: (one.folded, one.body["name"]) for key, one in loaded.items()} == {"a": (2, "Second"), "b": (1, "New")}
    assert await found(place, text="Late") == []


async def test_a_newer_write_replaces_the_hotel(place: Place) -> None:
    await filled(place, hotel("a", "Before", from_price=10.0))
    assert await place.store.save(place.build, [document(hotel("a", "After", from_price=20.0), 2)]) == frozenset()
    assert await found(place, text="Before") == []
    assert await found(place, text="After", price_min=20) == ["a"]
    assert await found(place) == ["a"]


async def test_of_many_writers_at_once_the_newest_stays(place: Place) -> None:
    await asyncio.gather(
        *(place.store.save(place.build, [document(hotel("a", f"Version {n}"), n)]) for n in (3, 1, 7, 5, 2, 6, 4))
    )
    assert (await place.store.load(place.build, ["a"]))["a"].folded == 7
    assert await found(place, text="Version 7") == ["a"]


async def test_what_fills_a_build_is_guarded_and_found_when_it_is_full(place: Place) -> None:
    await place.store.save(place.build, [document(hotel("a", "There"), 2)])
    filling = [document(hotel("a", "Late"), 2), document(hotel("b", "New")), document(hotel("c", "Newer"))]
    assert await place.store.save(place.build, filling, filling=True) == {"a"}
    assert await place.store.save(place.build, [document(hotel("c", "Newest"), 2)], filling=True) == frozenset()
    await place.store.filled(place.build)
    assert sorted(await found(place)) == ["a", "b", "c"]
    assert await found(place, text="Newest") == ["c"]
    assert await found(place, text="Late") == []
    # Small writes can be found at once from here on, as if the build had never been filled.
    await filled(place, hotel("d", "Live"))
    assert await found(place, text="Live") == ["d"]
    await place.store.drop(place.build)
    with pytest.raises(BuildMissing, match=place.build):
        await place.store.save(place.build, [document(hotel("e", "Lost"))], filling=True)


async def test_a_deleted_hotel_is_gone_but_still_guards(place: Place) -> None:
    await filled(place, hotel("a", "Adlon"))
    assert await place.store.save(place.build, [FoldedDocument("a", None, 2, {"hotels": "8.1"})]) == frozenset()
    assert await found(place) == []
    assert await place.store.suggest(place.name, "Adl") == []
    assert await place.store.save(place.build, [document(hotel("a", "Adlon"), 2)]) == {"a"}
    assert await place.store.load(place.build, ["a"]) == {"a": FoldedDocument("a", None, 2, {"hotels": "8.1"})}
    assert await place.store.save(place.build, [document(hotel("a", "Adlon"), 3)]) == frozenset()
    assert await found(place) == ["a"]


async def test_a_hotel_that_is_not_listed_is_never_found(place: Place) -> None:
    inventory_only = {"listed": False, "sold_out": ["2026-06-01"], "rating": None, "from_price": None}
    await place.store.save(place.build, [FoldedDocument("a", inventory_only, 1, {"inventory": "7.1"})])
    hits = await place.store.search(place.name, HotelQuery())
    assert (hits.total, hits.items, hits.facets["stars"]) == (0, [], {})
    assert (await place.store.load(place.build, ["a"]))["a"].body == inventory_only
    await place.store.save(place.build, [document(hotel("a", "Adlon", listed=False), 2)])
    assert await found(place) == await found(place, text="Adlon") == []
    assert await place.store.suggest(place.name, "Adlon") == []


async def test_two_thousand_hotels_are_one_call_and_searched_fast(place: Place) -> None:
    many = [
        hotel(f"k{n:04}", f"Hotel {n}", f"City {n % 50}", latitude=n / 50, longitude=n / 50, stars=n % 5 + 1)
        for n in range(2000)
    ]
    await filled(place, *many)
    assert len(await place.store.load(place.build, [body["hotel_id"] for body in many])) == 2000
    queries = (
        HotelQuery(text="hotel"),
        HotelQuery(sort="name"),
        HotelQuery(latitude=20.0, longitude=20.0, radius_km=2000.0, sort="distance"),
    )
    for query in queries:
        durations = []
        for _ in range(5):
            begun = time.perf_counter()
            assert (await place.store.search(place.name, query)).total > 100
            durations.append(time.perf_counter() - begun)
        assert min(durations) < 0.25, "a search of two thousand hotels takes 50 ms on an idle machine"


async def test_a_night_that_sold_out_is_not_found_within_a_second(place: Place) -> None:
    await filled(place, hotel("a", "Adlon"))
    assert await found(place, nights=(NIGHT,)) == ["a"]
    begun = time.monotonic()
    await place.store.save(place.build, [document(hotel("a", "Adlon", sold_out=["2026-06-01"]), 2)])
    assert await found(place, nights=(NIGHT,)) == []
    assert time.monotonic() - begun < SECOND


async def test_readers_see_a_name_only_when_it_points_somewhere(place: Place) -> None:
    assert await place.store.pointed("nobody") is None
    hits = await place.store.search("nobody", HotelQuery())
    assert (hits.items, hits.total, hits.next_cursor) == ([], 0, None)
    assert hits.facets == {"stars": {}, "city": {}, "amenities": {}}
    assert await place.store.suggest("nobody", "a") == []


async def test_pointing_swaps_what_readers_see(place: Place) -> None:
    await filled(place, hotel("a", "Old"))
    await place.store.prepare("search_2")
    await place.store.save("search_2", [document(hotel("a", "New"))])
    assert (await place.store.search(place.name, HotelQuery())).items[0]["name"] == "Old"
    await place.store.point(place.name, "search_2")
    assert await place.store.pointed(place.name) == "search_2"
    assert (await place.store.search(place.name, HotelQuery())).items[0]["name"] == "New"
    await place.store.drop(place.build)
    assert (await place.store.search(place.name, HotelQuery())).items[0]["name"] == "New"
    await place.store.drop("search_2")


async def test_a_reader_never_misses_a_hotel_while_builds_are_swapped_and_dropped(place: Place) -> None:
    await filled(place, hotel("a", "Adlon"))
    swapping = asyncio.create_task(_swap_many_times(place, 5))
    seen = set[tuple[int, Sequence[str]]]()
    while not swapping.done():
        hits = await place.store.search(place.name, HotelQuery(text="adlon"))
        seen.add((hits.total, tuple(await place.store.suggest(place.name, "Adl"))))
    await place.store.drop(await swapping)
    assert seen == {(1, ("Adlon",))}


async def test_readers_in_two_processes_find_a_whole_index_or_its_successor(tmp_path: Path) -> None:
    """Of the embedded store: a directory is deleted file by file, and who opens it meanwhile must not see a part."""
    writing, reading = TantivyHotels(tmp_path), TantivyHotels(tmp_path)
    for store in (writing, reading):
        await store.open()
    await writing.prepare("search_1")
    await writing.point("search", "search_1")
    place = Place(writing, "search_1", "search", None)
    await filled(place, hotel("a", "Adlon"))
    swapping = asyncio.create_task(_swap_many_times(place, 60))
    seen: set[int] = set()

    async def read(store: TantivyHotels) -> None:
        while not swapping.done():
            seen.add((await store.search("search", HotelQuery(text="adlon"))).total)

    await asyncio.gather(read(writing), read(writing), read(reading), read(reading))
    assert seen == {1}
    assert [directory.name for directory in (tmp_path / "builds").iterdir()] == [await swapping]
    await writing.close()


async def _swap_many_times(place: Place, times: int) -> str:
    live = place.build
    for number in range(2, 2 + times):
        following = f"search_{number}"
        await place.store.prepare(following)
        await place.store.save(following, [document(hotel("a", "Adlon"))])
        await place.store.point(place.name, following)
        await place.store.drop(live)
        live = following
    return live


async def test_a_dropped_build_is_gone_with_its_pointer_and_can_be_prepared_again(place: Place) -> None:
    await filled(place, hotel("a", "Adlon"))
    await place.store.prepare(place.build)
    assert await found(place) == ["a"]
    await place.store.drop(place.build)
    await place.store.drop(place.build)
    assert await place.store.pointed(place.name) is None
    assert await found(place) == []
    with pytest.raises(BuildMissing):
        await place.store.load(place.build, ["a"])
    with pytest.raises(BuildMissing):
        await place.store.save(place.build, [document(hotel("a", "Adlon"), 2)])
    await place.store.prepare(place.build)
    assert await place.store.load(place.build, ["a"]) == {}


@pytest.mark.parametrize("server_url", ["elasticsearch"], indirect=True)
async def test_a_server_that_is_gone_is_reported_soon_and_found_again(place: Place) -> None:
    assert place.gate is not None
    await filled(place, hotel("a", "Adlon"))
    await place.store.ping()
    await place.gate.shut()
    calls: list[Callable[[], Any]] = [
        place.store.ping,
        lambda: place.store.search(place.name, HotelQuery()),
        lambda: place.store.suggest(place.name, "a"),
        lambda: place.store.save(place.build, [document(hotel("b", "Bristol"))]),
        lambda: place.store.load(place.build, ["a"]),
        lambda: place.store.point(place.name, place.build),
        lambda: place.store.pointed(place.name),
        lambda: place.store.prepare("search_9"),
        lambda: place.store.drop("search_9"),
    ]

    async def refused(call: Callable[[], Any]) -> None:
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(call(), 10)

    await asyncio.gather(*(refused(call) for call in calls))
    await place.gate.open()
    assert await found(place) == ["a"]


async def test_the_embedded_index_is_durable_and_has_one_writer_at_a_time(tmp_path: Path) -> None:
    first, second = TantivyHotels(tmp_path), TantivyHotels(tmp_path)
    for store in (first, second):
        await store.open()
        await store.ping()
    await first.prepare("search_1")
    await first.point("search", "search_1")
    await first.save("search_1", [document(hotel("a", "Adlon"), 5)])
    assert [item["name"] for item in (await second.search("search", HotelQuery())).items] == ["Adlon"]
    with pytest.raises(StoreUnavailable):
        await second.save("search_1", [document(hotel("a", "Bristol"), 6)])
    await first.save("search_1", [document(hotel("a", "Carlton"), 6)])
    assert [item["name"] for item in (await second.search("search", HotelQuery())).items] == ["Carlton"]
    await first.close()
    assert await second.save("search_1", [document(hotel("a", "Bristol"), 6)]) == {"a"}
    assert await second.save("search_1", [document(hotel("a", "Bristol"), 7)]) == frozenset()
    await second.close()
    third = TantivyHotels(tmp_path)
    await third.open()
    assert (await third.load("search_1", ["a"]))["a"].folded == 7
    assert [item["name"] for item in (await third.search("search", HotelQuery())).items] == ["Bristol"]
    await third.close()


async def test_a_reader_whose_embedded_build_is_dropped_under_it_asks_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Elasticsearch a search by alias is one step, so nothing can come between."""
    store = TantivyHotels(tmp_path)
    await store.open()
    for build in ("search_1", "search_2"):
        await store.prepare(build)
        await store.save(build, [document(hotel("a", build))])
    await store.drop("search_1")
    await store.point("search", "search_2")
    looked_up = iter(["search_1", "search_2", "search_1", "search_2"])
    monkeypatch.setattr(store, "_pointed", lambda _name: next(looked_up))
    assert [item["name"] for item in (await store.search("search", HotelQuery())).items] == ["search_2"]
    assert await store.suggest("search", "search") == ["search_2"]
    await store.close()


async def test_an_embedded_build_that_one_process_fills_can_be_fed_by_another(tmp_path: Path) -> None:
    filling, feeding = TantivyHotels(tmp_path), TantivyHotels(tmp_path)
    for store in (filling, feeding):
        await store.open()
    await filling.prepare("search_1")
    for name in ("Adlon", "Bristol"):
        await filling.save("search_1", [document(hotel(name, name))], filling=True)
    await feeding.filled("search_1")
    assert await feeding.save("search_1", [document(hotel("Adlon", "Adlon"))]) == {"Adlon"}
    await feeding.save("search_1", [document(hotel("Carlton", "Carlton"))])
    await feeding.point("search", "search_1")
    found = await feeding.search("search", HotelQuery(sort="name"))
    assert [item["name"] for item in found.items] == ["Adlon", "Bristol", "Carlton"]
    for store in (filling, feeding):
        await store.close()


async def test_an_embedded_build_whose_directory_was_deleted_takes_no_writes(tmp_path: Path) -> None:
    store = TantivyHotels(tmp_path)
    await store.open()
    await store.prepare("search_1")
    await store.save("search_1", [document(hotel("a", "Adlon"))])
    shutil.rmtree(tmp_path / "builds")
    with pytest.raises(BuildMissing):
        await store.save("search_1", [document(hotel("b", "Bristol"))])
    with pytest.raises(BuildMissing):
        await store.load("search_1", ["a"])
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await store.close()


async def test_the_embedded_index_says_when_its_directory_is_gone(tmp_path: Path) -> None:
    store = TantivyHotels(tmp_path / "never made")
    with pytest.raises(StoreUnavailable):
        await store.ping()


async def test_names_that_cannot_be_file_names_are_refused(tmp_path: Path) -> None:
    store = TantivyHotels(tmp_path)
    await store.open()
    for name in ("../escape", "", ".", "a/b"):
        for call in (store.prepare, store.drop, store.pointed):
            with pytest.raises(InvalidCommand):
                await call(name)
