"""The contract of SearchStore on both adapters, tantivy (the embedded default) and Elasticsearch: what is found."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.shared.errors import InvalidCommand
from infra.stores.cursors import seal
from infra.stores.hotels import scope_of
from projections.ports import HotelQuery, Sort
from tests.contract.search_store import Place, document, filled, found, hotel, paged, search_place, with_town

JUNE = tuple(dt.date(2026, 6, day) for day in range(1, 31))


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Adlon", {"h1"}),
        ("ADLON", {"h1"}),
        ("Adlno", {"h1"}),
        ("Adlan", {"h1"}),
        ("Adxxn", set()),
        ("hotel adlon", {"h1"}),
        ("adlon potsdam", set()),
        ("sao paulo", {"h3"}),
        ("São Paolo", {"h3"}),
        ("Berlim", {"h1", "h2", "h4"}),
        ("castle", {"h5"}),
        ("breakfsat tejo", {"h5"}),
        ("quiet rooms in alfama", {"h5"}),
        ("  ", {"h1", "h2", "h3", "h4", "h5"}),
        ("!?", set()),
        ('name:"x" OR *', set()),
        ("a" * 5000, set()),
    ],
)
async def test_text_finds_names_cities_and_descriptions_despite_typos(
    place: Place, text: str, expected: set[str]
) -> None:
    await with_town(place)
    assert set(await found(place, text=text)) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"h1", "h2", "h3", "h4", "h5"}),
        ({"city": "Berlin"}, {"h1", "h2"}),
        ({"city": " sao  PAULO "}, {"h3"}),
        ({"city": "Ber"}, set()),
        ({"stars": (2, 4)}, {"h2", "h3"}),
        ({"amenities": ("wifi",)}, {"h1", "h2", "h3", "h5"}),
        ({"amenities": ("wifi", "spa")}, {"h1", "h3"}),
        ({"amenities": ("sauna",)}, set()),
        ({"price_min": 90}, {"h1", "h3", "h5"}),
        ({"price_max": 90}, {"h2", "h3"}),
        ({"price_min": 61, "price_max": 99.5}, {"h3"}),
        ({"min_rating": 4.8}, {"h1", "h3"}),
        ({"guests": 4}, {"h1", "h2", "h3", "h4", "h5"}),
        ({"guests": 5}, set()),
        ({"text": "berlin", "stars": (5,), "price_max": 300}, {"h1"}),
        ({"latitude": 52.52, "longitude": 13.40}, {"h1", "h2", "h3", "h4", "h5"}),
        ({"latitude": 52.52, "longitude": 13.40, "radius_km": 5}, {"h1", "h2"}),
        ({"latitude": 52.52, "longitude": 13.40, "radius_km": 30}, {"h1", "h2", "h4"}),
        ({"latitude": 52.52, "longitude": 13.40, "radius_km": 20_000}, {"h1", "h2", "h3", "h4", "h5"}),
    ],
)
async def test_filters(place: Place, query: dict[str, Any], expected: set[str]) -> None:
    await with_town(place)
    assert set(await found(place, **query)) == expected


async def test_the_radius_is_a_circle_also_at_the_date_line_and_the_pole(place: Place) -> None:
    await filled(
        place,
        hotel("corner", "In the corner of the box", latitude=38.72 + 0.085, longitude=-9.14 + 0.11),
        hotel("edge", "Just inside", latitude=38.72 + 0.0898, longitude=-9.14),
        hotel("fiji", "East", latitude=-17.0, longitude=179.95),
        hotel("tonga", "West", latitude=-17.0, longitude=-179.95),
        hotel("pole", "North", latitude=89.95, longitude=170.0),
    )
    assert await found(place, latitude=38.72, longitude=-9.14, radius_km=10) == ["edge"]
    assert set(await found(place, latitude=-17.0, longitude=179.99, radius_km=15)) == {"fiji", "tonga"}
    assert await found(place, latitude=89.95, longitude=-10.0, radius_km=15) == ["pole"]


async def test_facets_count_what_the_circle_holds_and_not_its_box(place: Place) -> None:
    await filled(
        place,
        hotel("in", "In", "Lisboa", stars=3, latitude=38.72, longitude=-9.14),
        hotel("corner", "Corner", "Loures", stars=5, latitude=38.72 + 0.085, longitude=-9.14 + 0.11),
    )
    hits = await place.store.search(place.name, HotelQuery(latitude=38.72, longitude=-9.14, radius_km=10))
    assert (hits.total, hits.facets) == (1, {"stars": {"3": 1}, "city": {"Lisboa": 1}, "amenities": {}})
    hits = await place.store.search(place.name, HotelQuery(latitude=38.62, longitude=-9.24, radius_km=1))
    assert (hits.total, hits.facets) == (0, {"stars": {}, "city": {}, "amenities": {}})


@pytest.mark.parametrize(
    ("nights", "expected"),
    [
        (JUNE[0:1], {"free", "second", "rare"}),
        (JUNE[0:2], {"free", "rare"}),
        (JUNE[1:3], {"free", "first"}),
        (JUNE[:], {"free"}),
    ],
)
async def test_nights_need_a_room_on_each_of_them(
    place: Place, nights: tuple[dt.date, ...], expected: set[str]
) -> None:
    await filled(
        place,
        hotel("free", "Free"),
        hotel("first", "First night sold out", sold_out=["2026-06-01"]),
        hotel("second", "Second night sold out", sold_out=["2026-06-02", "2026-07-01"]),
        hotel("rare", "Open on two nights only", open_by_default=False, open_nights=["2026-06-01", "2026-06-02"]),
        hotel("never", "No rooms at all", open_by_default=False),
    )
    assert set(await found(place, nights=nights)) == expected
    assert len(await found(place)) == 5


async def test_facets_count_all_that_match(place: Place) -> None:
    await with_town(place)
    hits = await place.store.search(place.name, HotelQuery(limit=1))
    assert hits.total == 5
    assert hits.facets == {
        "stars": {"2": 1, "3": 1, "4": 1, "5": 2},
        "city": {"Berlin": 2, "Lisboa": 1, "Potsdam": 1, "São Paulo": 1},
        "amenities": {"wifi": 4, "spa": 2, "pool": 1},
    }
    hits = await place.store.search(place.name, HotelQuery(city="Berlin", stars=(5,)))
    assert hits.facets == {"stars": {"5": 1}, "city": {"Berlin": 1}, "amenities": {"wifi": 1, "spa": 1}}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sort": "price"}, ["h2", "h3", "h5", "h1", "h4"]),
        ({"sort": "rating"}, [{"h1", "h3"}, "h2", {"h4", "h5"}]),
        ({"sort": "stars"}, [{"h1", "h4"}, "h3", "h5", "h2"]),
        ({"sort": "name"}, ["h5", "h3", "h4", "h1", "h2"]),
        ({"sort": "distance", "latitude": 52.39, "longitude": 13.06}, ["h4", "h1", "h2", "h5", "h3"]),
        ({"sort": "relevance"}, [{"h1", "h3"}, "h2", {"h4", "h5"}]),
        ({"sort": "relevance", "text": "berlin"}, ["h4", "h1", "h2"]),
        ({"sort": "price", "text": "berlin"}, ["h2", "h1", "h4"]),
    ],
)
async def test_orders(place: Place, query: dict[str, Any], expected: list[str | set[str]]) -> None:
    await with_town(place)
    ids = await found(place, **query)
    grouped: list[str | set[str]] = []
    for group in expected:
        size = len(group) if isinstance(group, set) else 1
        taken, ids = ids[:size], ids[size:]
        grouped.append(set(taken) if isinstance(group, set) else taken[0])
    assert (grouped, ids) == (expected, [])


async def test_an_exact_word_is_better_than_a_similar_one_and_a_name_better_than_a_description(place: Place) -> None:
    await filled(
        place,
        hotel("similar", "Berlim", "Potsdam"),
        hotel("told", "Pension", "Potsdam", description="an hour from Berlin"),
        hotel("named", "Berlin", "Potsdam"),
        hotel("there", "Pension", "Berlin"),
    )
    assert await found(place, text="berlin") == ["named", "similar", "there", "told"]


@pytest.mark.parametrize("sort", ["relevance", "price", "rating", "stars", "distance", "name"])
@pytest.mark.parametrize("text", [None, "hotel"])
async def test_paging_shows_each_hotel_once(place: Place, sort: Sort, text: str | None) -> None:
    await filled(
        place,
        *(
            hotel(
                f"k{n:02}",
                f"Hotel {'ABC'[n % 3]}",
                latitude=n % 4,
                stars=n % 5 + 1,
                from_price=None if n % 6 == 0 else n % 7 + 0.1,
                rating=None if n % 5 == 0 else n % 3 / 3,
            )
            for n in range(25)
        ),
    )
    query = HotelQuery(text=text, sort=sort, latitude=1.0, longitude=-9.0, limit=4)
    ids = await paged(place, query)
    assert len(ids) == 25
    assert ids == [item["hotel_id"] for item in (await place.store.search(place.name, replace(query, limit=25))).items]
    assert set(ids) == {f"k{n:02}" for n in range(25)}


async def test_a_cursor_goes_on_where_its_page_ended_whatever_was_written(place: Place) -> None:
    await filled(place, *(hotel(f"k{n}", f"Hotel {n}", rating=5.0 - n) for n in range(5)))
    query = HotelQuery(text="hotel", limit=2)
    first = await place.store.search(place.name, query)
    assert [item["hotel_id"] for item in first.items] == ["k0", "k1"]
    await filled(place, hotel("before", "Hotel Before", rating=4.5), hotel("after", "Hotel After", rating=2.5))
    await place.store.save(place.build, [document(hotel("k1", "Hotel", listed=False), 2)])
    await place.store.save(place.build, [document(hotel("k3", "Hotel 3", rating=2.0, description="Hotel"), 2)])
    assert await paged(place, replace(query, cursor=first.next_cursor)) == ["k2", "after", "k3", "k4"]


async def test_a_foreign_cursor_is_refused(place: Place) -> None:
    await filled(place, *(hotel(f"k{n}", f"Hotel {n}") for n in range(3)))
    own = (await place.store.search(place.name, HotelQuery(sort="price", limit=1))).next_cursor
    assert own is not None
    foreign: list[tuple[Sort, str]] = [("name", own), ("price", own[:-4]), ("price", own[:-4] + "AAAA"), ("price", "")]
    scope = scope_of(place.name, HotelQuery(sort="price", limit=1))
    forgeries: list[list[Any]] = [[], [1.0], ["1", "k"], [1.0, None], [1.0, [1]]]
    foreign += [("price", seal(scope, forged)) for forged in forgeries]
    for sort, cursor in foreign:
        with pytest.raises(InvalidCommand) as refusal:
            await place.store.search(place.name, HotelQuery(sort=sort, limit=1, cursor=cursor))
        assert refusal.value.errors[0][0] == "cursor"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"latitude": 91.0, "longitude": 0.0}, "lat"),
        ({"latitude": float("nan"), "longitude": 0.0}, "lat"),
        ({"latitude": 1.0}, "lat"),
        ({"latitude": 1.0, "longitude": -181.0}, "lon"),
        ({"radius_km": 5.0}, "radius_km"),
        ({"latitude": 1.0, "longitude": 1.0, "radius_km": 0.0}, "radius_km"),
        ({"latitude": 1.0, "longitude": 1.0, "radius_km": float("inf")}, "radius_km"),
        ({"sort": "distance"}, "sort"),
        ({"price_max": float("nan")}, "price_max"),
        ({"min_rating": float("inf")}, "min_rating"),
        ({"guests": 10**20}, "guests"),
        ({"stars": (10**20,)}, "stars"),
        ({"limit": 0}, "limit"),
        ({"limit": 10**6}, "limit"),
    ],
)
async def test_what_cannot_be_searched_is_refused_by_field(place: Place, query: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidCommand) as refusal:
        await place.store.search(place.name, HotelQuery(**query))
    assert field in [name for name, _ in refusal.value.errors]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("Ber", ["Berlin", "Grand Berlin Palace"]),
        ("berl", ["Berlin", "Grand Berlin Palace"]),
        ("Brelin", ["Berlin", "Grand Berlin Palace"]),
        ("adl", ["Hotel Adlon"]),
        ("hotel ad", ["Hotel Adlon"]),
        ("sao", ["São Paulo"]),
        ("São P", ["São Paulo"]),
        ("al", ["Alfama Rooms"]),
        ("", []),
        ("?!", []),
        ("zzz", []),
    ],
)
async def test_suggestions_begin_like_the_prefix(place: Place, prefix: str, expected: list[str]) -> None:
    await with_town(place)
    assert await place.store.suggest(place.name, prefix) == expected


async def test_suggestions_are_limited_and_never_repeated(place: Place) -> None:
    await filled(place, *(hotel(f"k{n}", f"Berlin {n % 3}", "Berlin") for n in range(9)))
    assert await place.store.suggest(place.name, "ber") == ["Berlin", "Berlin 0", "Berlin 1", "Berlin 2"]
    assert await place.store.suggest(place.name, "ber", 2) == ["Berlin", "Berlin 0"]
