"""Hotels over HTTP: made, changed, found and offered."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.unit.api.conftest import CHECK_IN, CHECK_OUT, HOTEL, STAY, World, book, offer_token, ok, open_hotel, refused
from tests.unit.api.fake_reads import MemorySearch


@pytest.fixture
async def hotelier(world: World) -> httpx.AsyncClient:
    return await world.as_("hotelier")


@pytest.fixture
async def hotel(hotelier: httpx.AsyncClient) -> dict[str, str]:
    return await open_hotel(hotelier)


async def test_a_hotel_has_a_page(world: World, hotel: dict[str, str]) -> None:
    answer = await world.anonymous.get(f"/v1/hotels/{hotel['hotel_id']}")
    page = ok(answer)
    assert (page["name"], page["location"], page["version"]) == (HOTEL["name"], HOTEL["location"], 4)
    assert page["room_types"][0]["name"] == "Double"
    assert page["rate_plans"][0]["per_child"] == {"amount": "0.00", "currency": "EUR"}
    assert "owner_id" not in page
    assert answer.headers["etag"] == '"4"'
    again = await world.anonymous.get(f"/v1/hotels/{hotel['hotel_id']}", headers={"If-None-Match": 'W/"4"'})
    assert again.status_code == 304
    refused(await world.anonymous.get(f"/v1/hotels/{uuid4()}"), 404, "not-found")


@pytest.mark.parametrize(
    ("what", "change", "another"),
    [
        ("rate-plans/{rate_plan_id}/prices", {"amount": "70.00"}, {"amount": "71.00"}),
        ("room-types/{room_type_id}/allotment", {"rooms": 3}, {"rooms": 4}),
        ("room-types/{room_type_id}/restrictions", {"closed": True}, {"min_nights": 2}),
    ],
)
async def test_nights_change_only_if_nobody_was_faster(
    hotelier: httpx.AsyncClient, hotel: dict[str, str], what: str, change: dict[str, Any], another: dict[str, Any]
) -> None:
    path = f"/v1/hotels/{hotel['hotel_id']}/{what.format(**hotel)}"
    nights = {"from": str(CHECK_IN), "to": str(CHECK_OUT)}
    first = (await hotelier.put(path, json=nights | change)).headers["etag"]
    tag = (await hotelier.put(path, json=nights | another)).headers["etag"]
    refused(await hotelier.put(path, json=nights | change, headers={"If-Match": first}), 412, "version-mismatch")
    answer = await hotelier.put(path, json=nights | change, headers={"If-Match": tag})
    ok(answer)
    assert answer.headers["etag"] != tag


async def test_a_hotel_changes_only_if_nobody_was_faster(hotelier: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    path = f"/v1/hotels/{hotel['hotel_id']}"
    tag = (await hotelier.get(path)).headers["etag"]
    answer = await hotelier.patch(path, json={"stars": 5, "location": {"lat": 1, "lon": 2}}, headers={"If-Match": tag})
    assert ok(answer) == {"version": 5}
    assert answer.headers["etag"] == '"5"'
    for stale in (tag, 'W/"5"', "5", '"x"'):
        refused(await hotelier.patch(path, json={"stars": 3}, headers={"If-Match": stale}), 412, "version-mismatch")
    refused(await hotelier.patch(path, json={"stars": 3}, headers={"If-Match": '"1", "5"'}), 400, "invalid-request")
    ok(await hotelier.patch(path, json={"stars": 3}, headers={"If-Match": "*"}))
    page = ok(await hotelier.get(path))
    assert (page["stars"], page["location"]) == (3, {"lat": 1.0, "lon": 2.0})


async def test_a_hotel_is_its_hoteliers(world: World, hotelier: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    room_type, plan = hotel["room_type_id"], hotel["rate_plan_id"]
    path = f"/v1/hotels/{hotel['hotel_id']}"
    nights = {"from": str(CHECK_IN), "to": str(CHECK_IN)}
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", path, {"stars": 1}),
        ("POST", f"{path}/room-types", {"name": "Suite", "max_adults": 2, "rooms": 1}),
        ("POST", f"{path}/rate-plans", {"name": "Other", "room_type_id": room_type}),
        ("PUT", f"{path}/rate-plans/{plan}/prices", nights | {"amount": "1.00"}),
        ("PUT", f"{path}/room-types/{room_type}/allotment", nights | {"rooms": 1}),
        ("PUT", f"{path}/room-types/{room_type}/restrictions", nights | {"closed": True}),
    ]
    other, guest, operator = await world.as_("hotelier"), await world.as_("guest"), await world.as_("operator")
    for method, address, body in changes:
        refused(await other.request(method, address, json=body), 403, "forbidden")
        refused(await guest.request(method, address, json=body), 403, "forbidden")
        refused(await world.anonymous.request(method, address, json=body), 401, "unauthenticated")
        assert (await hotelier.request(method, address, json=body)).is_success
        assert (await operator.request(method, address, json=body)).status_code in {200, 201, 409}
    refused(await guest.post("/v1/hotels", json=HOTEL), 403, "forbidden")


async def test_making_things_again_changes_nothing(hotelier: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "h1"}
    first = ok(await hotelier.post("/v1/hotels", json=HOTEL, headers=key), 201)
    assert ok(await hotelier.post("/v1/hotels", json=HOTEL, headers=key), 201) == first
    refused(await hotelier.post("/v1/hotels", json=HOTEL | {"stars": 1}, headers=key), 422, "idempotency-mismatch")
    path = f"/v1/hotels/{first['hotel_id']}"
    kind = {"name": "Double", "max_adults": 2, "rooms": 3}
    for headers in ({}, {}, {"Idempotency-Key": "r1"}):
        answer = await hotelier.post(f"{path}/room-types", json=kind, headers=headers)
        assert answer.status_code == (409 if headers else 201), answer.text
    refused(await hotelier.post(f"{path}/room-types", json=kind | {"rooms": 4}), 409, "already-exists")
    room_type = ok(await hotelier.get(path))["room_types"][0]["room_type_id"]
    plan = {"name": "Flexible", "room_type_id": room_type}
    plans = [ok(await hotelier.post(f"{path}/rate-plans", json=plan, headers=key), 201) for _ in range(2)]
    assert plans[0] == plans[1]
    assert len(ok(await hotelier.get(path))["rate_plans"]) == 1


async def test_policies_and_prices(hotelier: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    path = f"/v1/hotels/{hotel['hotel_id']}"
    tiers = [{"hours_before": 0, "percent": 100}, {"hours_before": 72, "percent": 20}]
    plan = {"name": "Tiers", "room_type_id": hotel["room_type_id"], "cancellation_policy": tiers}
    plan_id = ok(await hotelier.post(f"{path}/rate-plans", json=plan), 201)["rate_plan_id"]
    prices = {
        "from": str(CHECK_IN),
        "to": str(CHECK_IN + dt.timedelta(days=13)),
        "amount": {"amount": "90.00", "currency": "EUR"},
        "per_child": "10",
        "weekdays": [1, 2, 3, 4, 5, 6, 7],
    }
    ok(await hotelier.put(f"{path}/rate-plans/{plan_id}/prices", json=prices))
    offers = ok(await hotelier.get(f"{path}/offers", params=STAY | {"children": 1}))["offers"]
    assert [offer["total"]["amount"] for offer in offers] == ["200.00", "200.00"]
    tiered = next(offer for offer in offers if offer["rate_plan_id"] == plan_id)
    assert tiered["cancellation"] == [{"hours_before": 72, "percent": 20}, {"hours_before": 0, "percent": 100}]
    assert tiered["nightly"][0] == {"date": str(CHECK_IN), "amount": "100.00", "currency": "EUR"}


async def test_an_allotment_cannot_fall_below_what_is_sold(
    world: World, hotelier: httpx.AsyncClient, hotel: dict[str, str]
) -> None:
    guest = await world.as_("guest")
    ok(await book(guest, await offer_token(guest, hotel["hotel_id"], rooms=2)), 201)
    path = f"/v1/hotels/{hotel['hotel_id']}/room-types/{hotel['room_type_id']}/allotment"
    body = {"from": str(CHECK_IN), "to": str(CHECK_IN), "rooms": 1}
    refused(await hotelier.put(path, json=body), 409, "allotment-below-sold", "rooms")
    ok(await hotelier.put(path, json=body | {"rooms": 2}))
    assert ok(await guest.get(f"/v1/hotels/{hotel['hotel_id']}/offers", params=STAY))["offers"] == []


async def test_availability_night_by_night(world: World, hotelier: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    path = f"/v1/hotels/{hotel['hotel_id']}"
    closed = {"from": str(CHECK_IN), "to": str(CHECK_IN), "closed": True}
    ok(await hotelier.put(f"{path}/room-types/{hotel['room_type_id']}/restrictions", json=closed))
    period = {"from": str(CHECK_IN), "to": str(CHECK_OUT)}
    [item] = ok(await world.anonymous.get(f"{path}/availability", params=period))["items"]
    assert item["nights"] == [
        {"date": str(CHECK_IN), "rooms_left": 0, "closed": True},
        {"date": str(CHECK_IN + dt.timedelta(days=1)), "rooms_left": 10, "closed": False},
    ]
    wrong: list[dict[str, str]] = [
        {},
        {"from": str(CHECK_IN)},
        {"from": str(CHECK_OUT), "to": str(CHECK_IN)},
        {"from": str(CHECK_IN), "to": str(CHECK_IN)},
        {"from": "2026-07-01", "to": "2027-07-08"},
        {"from": "0001-01-01", "to": "0001-01-02"},
        {"from": "9999-12-30", "to": "9999-12-31"},
        {"from": "2026-02-30", "to": "2026-03-01"},
    ]
    for params in wrong:
        refused(await world.anonymous.get(f"{path}/availability", params=params), 400, "invalid-request")
    refused(await world.anonymous.get(f"/v1/hotels/{uuid4()}/availability", params=period), 404, "not-found")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"check_in": "2020-01-01", "check_out": "2020-01-03"}, "check_in"),
        ({"check_in": "2026-05-31"}, "check_in"),
        ({"check_out": str(CHECK_IN)}, "check_out"),
        ({"check_out": str(CHECK_IN - dt.timedelta(days=1))}, "check_out"),
        ({"check_out": str(CHECK_IN + dt.timedelta(days=91))}, "check_out"),
        ({"check_out": "9999-12-31"}, "check_out"),
        ({"check_out": "soon"}, "check_out"),
        ({"adults": 0}, "adults"),
        ({"adults": -1}, "adults"),
        ({"adults": 31}, "adults"),
        ({"adults": 10**30}, "adults"),
        ({"adults": "two"}, "adults"),
        ({"children": -1}, "children"),
        ({"rooms": 0}, "rooms"),
        ({"rooms": 3}, "rooms"),
    ],
)
async def test_offers_for_impossible_stays(
    world: World, hotel: dict[str, str], changes: dict[str, Any], field: str
) -> None:
    answer = await world.anonymous.get(f"/v1/hotels/{hotel['hotel_id']}/offers", params=STAY | changes)
    refused(answer, 400, "invalid-request", field)


async def test_what_does_not_fit_is_not_offered(world: World, hotel: dict[str, str]) -> None:
    async def count(**changes: Any) -> int:
        answer = await world.anonymous.get(f"/v1/hotels/{hotel['hotel_id']}/offers", params=STAY | changes)
        return len(ok(answer)["offers"])

    assert await count() == 1
    assert await count(adults=3) == 0
    assert await count(adults=4, rooms=2) == 1
    assert await count(children=2) == 0
    assert await count(check_out=str(CHECK_IN + dt.timedelta(days=60))) == 0  # no prices beyond a month


async def test_hotels_are_found_with_the_lowest_total(world: World, hotel: dict[str, str]) -> None:
    params: dict[str, Any] = STAY | {
        "q": "alfam",
        "city": "Lisbon",
        "lat": 38.7,
        "lon": -9.1,
        "radius_km": 10,
        "stars": "3,4",
        "amenities": ["wifi", "pool"],
        "price_min": 10,
        "price_max": 500,
        "min_rating": 0,
        "sort": "price",
        "limit": 5,
        "rooms": 2,
        "children": 1,
    }
    answer = ok(await world.anonymous.get("/v1/hotels", params=params))
    [item] = answer["items"]
    assert item["hotel_id"] == hotel["hotel_id"]
    assert item["from_price"] == {"amount": "100.00", "currency": "EUR"}
    assert item["from_total"] == {"amount": "400.00", "currency": "EUR"}
    assert answer["facets"] == {"city": {"Lisbon": 1}}
    asked = MemorySearch.asked
    assert asked is not None
    assert (asked.text, asked.stars, asked.amenities, asked.guests) == ("alfam", (3, 4), ("wifi", "pool"), 2)
    assert asked.nights == (CHECK_IN, CHECK_IN + dt.timedelta(days=1))
    [undated] = ok(await world.anonymous.get("/v1/hotels"))["items"]
    assert undated["from_total"] is None


@pytest.mark.parametrize(
    "params",
    [
        {"lat": 91, "lon": 0},
        {"lat": "nan", "lon": 0},
        {"lat": 1},
        {"lon": 1},
        {"radius_km": 5},
        {"lat": 1, "lon": 1, "radius_km": 0},
        {"lat": 1, "lon": 1, "radius_km": "inf"},
        {"sort": "distance"},
        {"sort": "beauty"},
        {"stars": "6"},
        {"stars": "four"},
        {"price_min": 10, "price_max": 5},
        {"price_min": -1},
        {"price_min": "nan"},
        {"check_in": str(CHECK_IN)},
        {"check_out": str(CHECK_OUT)},
        {"check_in": "2020-01-01", "check_out": "2020-01-02"},
        {"adults": 0},
        {"limit": 0},
        {"limit": 1000},
        {"q": "a" * 201},
        {"q": "a\0b"},
        {"city": "\n\x01"},
        {"amenities": "a" * 51},
        {"amenities": ["x"] * 21},
        {"cursor": "c" * 2001},
    ],
)
async def test_searches_that_make_no_sense(world: World, params: dict[str, Any]) -> None:
    refused(await world.anonymous.get("/v1/hotels", params=params), 400, "invalid-request")


async def test_searches_that_are_not_even_text(world: World) -> None:
    for query in ("q=%ff%fe", "q=%00", "q=%", "&&==&", "stars=,,,", "q=%ed%a0%80"):
        answer = await world.anonymous.get(f"/v1/hotels?{query}")
        assert answer.status_code in {200, 400}, answer.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"country": "Portugal"}, "country"),
        ({"country": "ZZ"}, "country"),
        ({"location": {"lat": 91, "lon": 0}}, "location.lat"),
        ({"location": {"lat": 1}}, "location.lon"),
        ({"location": "Lisbon"}, "location"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"currency": "euro"}, "currency"),
        ({"currency": "ZZZ"}, "currency"),
        ({"stars": 6}, "stars"),
        ({"stars": 10**40}, "stars"),
        ({"amenities": ["wifi"] * 51}, "amenities"),
        ({"amenities": [""]}, "amenities.0"),
        ({"description": "d" * 10_001}, "description"),
        ({"description": "\x00"}, "body"),
        ({"images": ["javascript:alert(1)"]}, "images"),
        ({"owner_id": str(uuid4())}, "owner_id"),
        ({"hotel_id": str(uuid4())}, "hotel_id"),
    ],
)
async def test_what_is_wrong_with_a_hotel_is_named(
    world: World, hotelier: httpx.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    refused(await hotelier.post("/v1/hotels", json=HOTEL | changes), 400, "invalid-request", field)
    assert ok(await world.anonymous.get("/v1/hotels"))["items"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"from": "2026-08-01", "to": "2026-07-01"}, "to"),
        ({"from": "2026-08-01", "to": "2029-08-01"}, "to"),
        ({"from": "1999-08-01", "to": "1999-08-01"}, "from"),
        ({"from": "x"}, "from"),
        ({"amount": "12.345"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"amount": "1e3"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": 5}, "amount"),
        ({"amount": {"amount": "5", "currency": "USD"}}, "amount"),
        ({"weekdays": []}, "weekdays"),
        ({"weekdays": [8]}, "weekdays"),
    ],
)
async def test_what_is_wrong_with_prices_is_named(
    hotelier: httpx.AsyncClient, hotel: dict[str, str], changes: dict[str, Any], field: str
) -> None:
    body = {"from": "2026-07-01", "to": "2026-07-02", "amount": "10.00"} | changes
    path = f"/v1/hotels/{hotel['hotel_id']}/rate-plans/{hotel['rate_plan_id']}/prices"
    problem = refused(await hotelier.put(path, json=body), 400, "invalid-request")
    assert any(error["field"].startswith(field) for error in problem["errors"]), problem


async def test_unknown_things_are_not_found(hotelier: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    nights = {"from": str(CHECK_IN), "to": str(CHECK_IN)}
    path = f"/v1/hotels/{hotel['hotel_id']}"
    for method, address, body in (
        ("PATCH", f"/v1/hotels/{uuid4()}", {"stars": 1}),
        ("POST", f"/v1/hotels/{uuid4()}/room-types", {"name": "Suite", "max_adults": 2, "rooms": 1}),
        ("POST", f"{path}/rate-plans", {"name": "Other", "room_type_id": str(uuid4())}),
        ("PUT", f"{path}/rate-plans/{uuid4()}/prices", nights | {"amount": "1.00"}),
        ("PUT", f"{path}/room-types/{uuid4()}/allotment", nights | {"rooms": 1}),
        ("PUT", f"/v1/hotels/{uuid4()}/room-types/{hotel['room_type_id']}/restrictions", nights),
    ):
        refused(await hotelier.request(method, address, json=body), 404, "not-found")


async def test_what_was_written_can_be_read(world: World, hotelier: httpx.AsyncClient) -> None:
    answer = await hotelier.post("/v1/hotels", json=HOTEL)
    path, position = answer.headers["location"], answer.headers["x-position"]
    assert (await hotelier.get(path, headers={"X-Position": position})).headers["x-position-reached"] == "true"
    ahead = await hotelier.get(path, headers={"X-Position": "hotels:2000000.1"})
    assert ahead.headers["x-position-reached"] == "false"
    assert "x-position-reached" not in (await hotelier.get(path)).headers
    for wrong in ("x", "hotels", "hotels:", "hotels:1", "nowhere:1.1", "hotels:-1.1", "hotels:1.1,", "9" * 500):
        refused(await world.anonymous.get(path, headers={"X-Position": wrong}), 400, "invalid-request")


async def test_names_are_suggested_while_somebody_types(world: World) -> None:
    await open_hotel(await world.as_("hotelier"), name="Lisboa Palace")
    found = ok(await world.anonymous.get("/v1/hotels/suggestions", params={"q": " lis "}))
    assert found == {"items": ["Lisbon", "Lisboa Palace"], "next_cursor": None}
    one = ok(await world.anonymous.get("/v1/hotels/suggestions", params={"q": "lis", "limit": 1}))
    assert one["items"] == ["Lisbon"]
    assert ok(await world.anonymous.get("/v1/hotels/suggestions", params={"q": "  "}))["items"] == []


@pytest.mark.parametrize(
    "params", [{}, {"q": "x" * 201}, {"q": "a\x00"}, {"q": "a", "limit": 0}, {"q": "a", "limit": 21}]
)
async def test_suggestions_that_make_no_sense(world: World, params: dict[str, Any]) -> None:
    refused(await world.anonymous.get("/v1/hotels/suggestions", params=params), 400, "invalid-request")
