"""Another stay for a booking, over HTTP: what it costs, and the change itself."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from sagas.modification import MODIFICATION_SAGA
from tests.unit.api.conftest import CHECK_IN, World, book, offer_token, ok, open_hotel, refused

OWNER, GUEST = uuid4(), uuid4()
NIGHT = dt.timedelta(days=1)
PAYMENT = {"provider": "sandbox", "token": "tok_ok"}


@pytest.fixture
async def hotel(world: World) -> dict[str, str]:
    return await open_hotel(await world.as_("hotelier", account_id=OWNER), rooms=2)


@pytest.fixture
async def guest(world: World) -> httpx.AsyncClient:
    return await world.as_("guest", account_id=GUEST)


@pytest.fixture
async def booking(guest: httpx.AsyncClient, hotel: dict[str, str]) -> dict[str, Any]:
    """Two nights at 100 euros, confirmed and paid."""
    made: dict[str, Any] = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    return made


async def quote(client: httpx.AsyncClient, booking: dict[str, Any], **wish: Any) -> httpx.Response:
    """What another stay would cost; dates are given as nights after the booked check-in."""
    dates = {name: str(CHECK_IN + wish.pop(name) * NIGHT) for name in ("check_in", "check_out") if name in wish}
    return await client.post(booking["links"]["modification_quotes"], json=wish | dates)


async def modify(client: httpx.AsyncClient, booking: dict[str, Any], token: str, **more: Any) -> httpx.Response:
    """Make the change that was quoted, and wait for what comes of it."""
    headers = {"Prefer": "wait=5", "Idempotency-Key": more.pop("key", uuid4().hex)}
    return await client.post(booking["links"]["modifications"], json={"quote_token": token} | more, headers=headers)


async def changed(client: httpx.AsyncClient, booking: dict[str, Any], **wish: Any) -> dict[str, Any]:
    quoted = ok(await quote(client, booking, **wish))
    payment = {"payment": PAYMENT} if quoted["charge"]["amount"] != "0.00" else {}
    after: dict[str, Any] = ok(await modify(client, booking, quoted["quote_token"], **payment), 202)
    return after


def amounts(quoted: dict[str, Any]) -> tuple[str, str, str]:
    return quoted["difference"]["amount"], quoted["charge"]["amount"], quoted["refund"]["amount"]


async def test_a_longer_stay_costs_the_difference(guest: httpx.AsyncClient, booking: dict[str, Any]) -> None:
    answer = await quote(guest, booking, check_out=3)
    quoted = ok(answer)
    assert amounts(quoted) == ("100.00", "100.00", "0.00")
    assert answer.headers["etag"] == f'"{booking["version"]}"'
    assert ok(await guest.get(booking["links"]["self"])) == booking, "nothing was changed yet"
    answer = await modify(guest, booking, quoted["quote_token"], payment=PAYMENT)
    after = ok(answer, 202)
    assert answer.headers["x-position"].startswith("bookings:")
    assert answer.headers["etag"] == f'"{after["version"]}"'
    assert after["status"] == "confirmed"
    assert (after["stay"]["nights"], after["total"]["amount"]) == (3, "300.00")
    assert after["modification"]["status"] == "modified"
    assert [paid["keeps"]["amount"] for paid in after["payments"]] == ["200.00", "100.00"]
    charged = ok(await guest.get(after["modification"]["payment_href"]))
    assert (charged["status"], charged["captured"]["amount"]) == ("captured", "100.00")
    [listed] = ok(await guest.get("/v1/bookings"))["items"]
    assert (listed["check_out"], listed["total"]["amount"]) == (str(CHECK_IN + 3 * NIGHT), "300.00")


async def test_of_a_shorter_stay_the_difference_goes_back(guest: httpx.AsyncClient, booking: dict[str, Any]) -> None:
    assert amounts(ok(await quote(guest, booking, check_in=1))) == ("-100.00", "0.00", "100.00")
    after = await changed(guest, booking, check_in=1)
    assert after["modification"]["payment_href"] is None
    assert [paid["keeps"]["amount"] for paid in after["payments"]] == ["100.00"]
    refunded = ok(await guest.get(booking["payment"]["href"]))
    assert (refunded["status"], refunded["refunded"]["amount"]) == ("partially_refunded", "100.00")


async def test_nights_that_are_kept_keep_their_price(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str], booking: dict[str, Any]
) -> None:
    hotelier = await world.as_("hotelier", account_id=OWNER)
    prices = f"/v1/hotels/{hotel['hotel_id']}/rate-plans/{hotel['rate_plan_id']}/prices"
    dearer = {"from": str(CHECK_IN), "to": str(CHECK_IN + 5 * NIGHT), "amount": "130.00"}
    ok(await hotelier.put(prices, json=dearer))
    longer = ok(await quote(guest, booking, check_out=3))
    assert [night["amount"] for night in longer["price"]["nightly"]] == ["100.00", "100.00", "130.00"]
    others = ok(await quote(guest, booking, check_out=3, adults=1))
    assert [night["amount"] for night in others["price"]["nightly"]] == ["130.00"] * 3


async def test_what_the_guest_has_is_there_for_them(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str], booking: dict[str, Any]
) -> None:
    other = await world.as_("guest")
    ok(await book(other, await offer_token(other, hotel["hotel_id"])), 201)  # the last room on both nights
    assert (await changed(guest, booking, check_out=3))["stay"]["nights"] == 3
    problem = refused(await quote(guest, booking, rooms=2, adults=4), 409, "not-available")
    assert str(CHECK_IN) in problem["detail"]


async def test_more_rooms_than_adults_can_be_kept(guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    made = ok(await book(guest, await offer_token(guest, hotel["hotel_id"], adults=1), rooms=2), 201)
    assert amounts(ok(await quote(guest, made, check_out=3))) == ("200.00", "200.00", "0.00")
    refused(await quote(guest, made, adults=0), 400, "invalid-request", "rooms")


async def test_who_comes_second_keeps_what_they_have(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str], booking: dict[str, Any]
) -> None:
    quoted = ok(await quote(guest, booking, rooms=2, adults=4))
    other = await world.as_("guest")
    ok(await book(other, await offer_token(other, hotel["hotel_id"])), 201)
    after = ok(await modify(guest, booking, quoted["quote_token"], payment=PAYMENT), 202)
    assert (after["modification"]["status"], after["modification"]["reason"]) == ("rejected", "sold_out")
    assert (after["rooms"], after["total"], after["payments"]) == (1, booking["total"], booking["payments"])


async def test_a_payment_that_is_declined(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str], booking: dict[str, Any]
) -> None:
    world.memory.provider.outcome = "declined"
    after = await changed(guest, booking, check_out=3)
    assert (after["modification"]["status"], after["modification"]["reason"]) == ("rejected", "payment_declined")
    assert after["stay"] == booking["stay"]
    path = f"/v1/hotels/{hotel['hotel_id']}/availability"
    [nights] = ok(await guest.get(path, params={"from": str(CHECK_IN), "to": str(CHECK_IN + 3 * NIGHT)}))["items"]
    assert [night["rooms_left"] for night in nights["nights"]] == [1, 1, 2]


async def test_the_guest_acts_on_the_payment(world: World, guest: httpx.AsyncClient, booking: dict[str, Any]) -> None:
    world.memory.provider.outcome = "requires_action"
    waiting = await changed(guest, booking, check_out=3)
    assert waiting["modification"]["status"] == "awaiting_payment"
    refused(await guest.post(booking["links"]["cancellation"]), 409, "illegal-transition")
    refused(await quote(guest, booking, check_out=4), 409, "illegal-transition")
    payment = ok(await guest.get(waiting["modification"]["payment_href"]))
    ok(await guest.post(payment["action_url"], json={"approve": True}))
    assert ok(await guest.get(booking["links"]["self"]))["modification"]["status"] == "modified"


async def test_another_room_type_and_rate_plan(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str], booking: dict[str, Any]
) -> None:
    hotelier = await world.as_("hotelier", account_id=OWNER)
    base = f"/v1/hotels/{hotel['hotel_id']}"
    suite = {"name": "Suite", "max_adults": 2, "max_children": 1, "rooms": 1}
    room_type_id = ok(await hotelier.post(f"{base}/room-types", json=suite), 201)["room_type_id"]
    plan = {"name": "At the hotel", "room_type_id": room_type_id, "payment_policy": "at_hotel"}
    plan_id = ok(await hotelier.post(f"{base}/rate-plans", json=plan), 201)["rate_plan_id"]
    refused(await quote(guest, booking, room_type_id=room_type_id), 400, "invalid-request", "rate_plan_id")
    wish = {"room_type_id": room_type_id, "rate_plan_id": plan_id}
    refused(await quote(guest, booking, **wish), 409, "not-available")
    prices = {"from": str(CHECK_IN), "to": str(CHECK_IN + 5 * NIGHT), "amount": "150.00"}
    ok(await hotelier.put(f"{base}/rate-plans/{plan_id}/prices", json=prices))
    assert amounts(ok(await quote(guest, booking, **wish))) == ("100.00", "0.00", "200.00")
    after = await changed(guest, booking, **wish)
    assert (after["room_type_id"], after["payment"]["policy"], after["payments"]) == (room_type_id, "at_hotel", [])
    found = ok(await guest.get(f"{base}/availability", params={"from": str(CHECK_IN), "to": str(CHECK_IN + NIGHT)}))[
        "items"
    ]
    assert {item["room_type_id"]: item["nights"][0]["rooms_left"] for item in found} == {
        hotel["room_type_id"]: 2,
        room_type_id: 0,
    }


async def test_it_is_all_on_record(guest: httpx.AsyncClient, booking: dict[str, Any]) -> None:
    await changed(guest, booking, check_out=3)
    await changed(guest, booking, check_out=1)
    items = ok(await guest.get(booking["links"]["history"]))["items"]
    told = [item["what"].rpartition(".")[2] for item in items]
    assert told.count("ModificationRequested") == told.count("BookingModified") == 2
    assert told.count("PaymentCaptured") == 2
    assert told.count("PaymentRefunded") == 2
    assert "tok_ok" not in str(items)
    notices = ok(await guest.get("/v1/me/notifications"))["items"]
    assert sorted(notice["kind"] for notice in notices) == ["confirmed", "modified", "modified"]
    assert any("200.00 EUR go back to you" in notice["text"] for notice in notices)


async def test_operators_see_its_saga_with_the_story_of_the_booking(
    world: World, guest: httpx.AsyncClient, booking: dict[str, Any]
) -> None:
    after = await changed(guest, booking, check_out=3)
    saga_id = MODIFICATION_SAGA.saga_id(UUID(after["modification"]["modification_id"]))
    operator = await world.as_("operator")
    saga = ok(await operator.get(f"/v1/ops/sagas/{saga_id}"))
    assert (saga["saga"], saga["step"], saga["status"]) == ("modification", "modified", "finished")
    told = [item["what"].rpartition(".")[2] for item in saga["timeline"]]
    assert {"BookingRequested", "ModificationRequested", "BookingModified"} <= set(told)
    assert "tok_ok" not in str(saga)


async def test_the_same_key_changes_once(guest: httpx.AsyncClient, booking: dict[str, Any]) -> None:
    token = ok(await quote(guest, booking, check_out=3))["quote_token"]
    first = ok(await modify(guest, booking, token, payment=PAYMENT, key="k"), 202)
    assert ok(await modify(guest, booking, token, payment=PAYMENT, key="k"), 202) == first
    refused(await modify(guest, booking, token, payment=PAYMENT), 409, "illegal-transition")


async def test_who_may(world: World, guest: httpx.AsyncClient, booking: dict[str, Any]) -> None:
    token = ok(await quote(guest, booking, check_out=3))["quote_token"]
    refused(await quote(await world.as_("guest"), booking, check_out=3), 404, "not-found")
    for client in (await world.as_("hotelier", account_id=OWNER),):
        refused(await quote(client, booking, check_out=3), 403, "forbidden")
        refused(await modify(client, booking, token, payment=PAYMENT), 403, "forbidden")
    operator = await world.as_("operator")
    assert ok(await modify(operator, booking, token, payment=PAYMENT), 202)["modification"]["status"] == "modified"


async def test_tokens_are_for_what_they_were_made_for(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str], booking: dict[str, Any]
) -> None:
    token = ok(await quote(guest, booking, check_out=3))["quote_token"]
    offered = await offer_token(guest, hotel["hotel_id"])
    refused(await book(guest, token), 422, "offer-invalid")
    refused(await modify(guest, booking, offered), 422, "offer-invalid")
    other = ok(await book(guest, offered), 201)
    refused(await modify(guest, other, token, payment=PAYMENT), 422, "offer-invalid")
    world.memory.clock.advance(minutes=16)
    guest = await world.as_("guest", account_id=GUEST)
    refused(await modify(guest, booking, token, payment=PAYMENT), 422, "offer-expired")


@pytest.mark.parametrize(
    ("wish", "fields"),
    [
        ({"check_out": 0}, ["check_out"]),
        ({"check_in": -200}, ["check_out"]),
        ({"rooms": 0}, ["rooms"]),
        ({"adults": 9}, ["rooms"]),
        ({"room_type_id": str(uuid4())}, ["room_type_id"]),
        ({"rate_plan_id": str(uuid4())}, ["rate_plan_id"]),
        ({"adults": "two"}, ["adults"]),
        ({"sauna": True}, ["sauna"]),
    ],
)
async def test_wishes_that_make_no_sense(
    guest: httpx.AsyncClient, booking: dict[str, Any], wish: dict[str, Any], fields: list[str]
) -> None:
    answer = await quote(guest, booking, **wish)
    assert answer.status_code in {400, 409}, answer.text
    if answer.status_code == 400:
        refused(answer, 400, "invalid-request", *fields)


async def test_what_cannot_be_given_up_any_more(
    world: World, guest: httpx.AsyncClient, booking: dict[str, Any]
) -> None:
    check_in_at = dt.datetime.fromisoformat(booking["stay"]["check_in_at"])
    world.memory.clock.advance(seconds=(check_in_at - world.memory.clock.now()).total_seconds() - 3_600)
    guest = await world.as_("guest", account_id=GUEST)
    refused(await quote(guest, booking, check_out=1), 409, "gives-up-too-late")
    assert amounts(ok(await quote(guest, booking, check_out=3))) == ("100.00", "100.00", "0.00")
    world.memory.clock.advance(seconds=3_600)
    guest = await world.as_("guest", account_id=GUEST)
    refused(await quote(guest, booking, check_out=3), 409, "illegal-transition")


async def test_how_it_is_paid_must_be_said(guest: httpx.AsyncClient, booking: dict[str, Any]) -> None:
    token = ok(await quote(guest, booking, check_out=3))["quote_token"]
    problem = refused(await modify(guest, booking, token), 400, "invalid-request", "payment")
    assert "100.00 EUR" in problem["errors"][0]["message"]
    stripe = {"provider": "stripe", "token": "tok"}
    refused(await modify(guest, booking, token, payment=stripe), 400, "invalid-request", "payment.provider")
