"""Bookings over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar.response.sse import ServerSentEventMessage

from commands.ports import Position, ServiceUnavailable, Temporary
from tests.unit.api.conftest import CHECK_IN, World, book, booking_of, offer_token, ok, open_hotel, refused
from tests.unit.api.fakes import MemoryLog


@pytest.fixture
async def hotel(world: World) -> dict[str, str]:
    return await open_hotel(await world.as_("hotelier"))


@pytest.fixture
async def guest(world: World) -> httpx.AsyncClient:
    return await world.as_("guest")


async def test_an_offer_is_booked_and_the_outcome_awaited(guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    answer = await book(guest, await offer_token(guest, hotel["hotel_id"]))
    booking = ok(answer, 201)
    assert booking["status"] == "confirmed"
    assert booking["total"] == {"amount": "200.00", "currency": "EUR"}
    assert booking["guest"] == {"name": "Ada Guest", "email": "ada@example.com", "phone": None, "forgotten": False}
    assert answer.headers["location"] == f"/v1/bookings/{booking['booking_id']}"
    assert answer.headers["preference-applied"] == "wait=5"
    assert answer.headers["x-position"].startswith("bookings:")
    assert answer.headers["etag"] == f'"{booking["version"]}"'
    assert ok(await guest.get(answer.headers["location"])) == booking
    assert ok(await guest.get("/v1/bookings"))["items"][0]["status"] == "confirmed"


async def test_who_does_not_want_to_wait_is_told_202(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str]
) -> None:
    world.memory.hold_sagas = True
    answer = await book(guest, await offer_token(guest, hotel["hotel_id"]), wait=None)
    assert ok(answer, 202)["status"] == "pending"
    assert "preference-applied" not in answer.headers


async def test_a_waiting_answer_is_woken_by_the_log(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str]
) -> None:
    world.memory.hold_sagas = True
    waiting = asyncio.create_task(book(guest, await offer_token(guest, hotel["hotel_id"]), wait=20))
    while not world.memory.fakes.streams["bookings"].log:  # noqa: ASYNC110 - until the command was carried out
        await asyncio.sleep(0.001)
    await world.memory.run_sagas()
    assert ok(await asyncio.wait_for(waiting, 5), 201)["status"] == "confirmed"


async def test_a_waiting_answer_outlasts_a_log_that_cannot_be_read_for_a_moment(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.http.watching._FALLBACK_SECONDS", 0.01)
    failed = asyncio.Event()
    wait_beyond = MemoryLog.wait_beyond

    async def failing_once(log: MemoryLog, position: Position, wait_seconds: float) -> bool:
        if not failed.is_set():
            failed.set()
            raise Temporary("PostgreSQL is away")
        return await wait_beyond(log, position, wait_seconds)

    monkeypatch.setattr(MemoryLog, "wait_beyond", failing_once)
    world.memory.hold_sagas = True
    waiting = asyncio.create_task(book(guest, await offer_token(guest, hotel["hotel_id"]), wait=20))
    await asyncio.wait_for(failed.wait(), 5)
    await world.memory.run_sagas()
    assert ok(await asyncio.wait_for(waiting, 5), 201)["status"] == "confirmed"


async def test_who_has_waited_long_enough_is_told_202(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str]
) -> None:
    world.memory.hold_sagas = True
    assert ok(await book(guest, await offer_token(guest, hotel["hotel_id"]), wait=1), 202)["status"] == "pending"


async def test_the_last_room_is_sold_once(world: World, guest: httpx.AsyncClient) -> None:
    hotel = await open_hotel(await world.as_("hotelier"), rooms=1)
    token = await offer_token(guest, hotel["hotel_id"])
    assert ok(await book(guest, token), 201)["status"] == "confirmed"
    second = ok(await book(guest, token), 201)
    assert (second["status"], second["reason"]) == ("rejected", "sold_out")


async def test_a_guest_acts_on_the_payment(world: World, guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    world.memory.provider.outcome = "requires_action"
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 202)
    assert booking["status"] == "awaiting_payment"
    payment = ok(await guest.get(booking["payment"]["href"]))
    assert payment["status"] == "requires_action"
    after = ok(await guest.post(payment["action_url"], json={"approve": True}))
    assert after["status"] in {"authorised", "captured"}
    assert ok(await guest.get(booking["links"]["self"]))["status"] == "confirmed"
    refused(await (await world.as_("guest")).get(booking["payment"]["href"]), 404, "not-found")


async def test_the_same_key_books_once(world: World, guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    token = await offer_token(guest, hotel["hotel_id"])
    first = ok(await book(guest, token, key="k1"), 201)
    assert ok(await book(guest, token, key="k1"), 201)["booking_id"] == first["booking_id"]
    world.memory.clock.advance(minutes=14)
    other = await book(guest, token, key="k1", guest={"name": "Eve", "email": "eve@example.com"})
    refused(other, 422, "idempotency-mismatch")
    assert len(ok(await guest.get("/v1/bookings"))["items"]) == 1
    stranger = await world.as_("guest")
    assert ok(await book(stranger, token, key="k1"), 201)["booking_id"] != first["booking_id"]


async def test_a_refused_request_gives_its_key_back(guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    refused(await book(guest, "nonsense", key="k1"), 422, "offer-invalid")
    ok(await book(guest, await offer_token(guest, hotel["hotel_id"]), key="k1"), 201)


async def test_who_stays_is_who_was_named_when_it_was_not_refused(
    guest: httpx.AsyncClient, hotel: dict[str, str]
) -> None:
    token = await offer_token(guest, hotel["hotel_id"])
    typo = {"name": "Bob Typo", "email": "bob@typo.example"}
    refused(await book(guest, token, key="k1", rooms=10, guest=typo), 400, "invalid-request")
    right = {"name": "Alice Right", "email": "alice@right.example"}
    booking = ok(await book(guest, token, key="k1", guest=right), 201)
    assert booking["guest"]["name"] == "Alice Right"
    assert booking["guest"]["email"] == "alice@right.example"


async def test_a_request_in_flight_is_told_so(world: World, guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    token = await offer_token(guest, hotel["hotel_id"])
    world.memory.bus_error = ServiceUnavailable("no answer")
    unavailable = await book(guest, token, key="k1")
    refused(unavailable, 503, "service-unavailable")
    assert unavailable.headers["retry-after"] == "1"
    world.memory.bus_error = None
    again = await book(guest, token, key="k1")
    refused(again, 409, "request-in-flight")
    assert again.headers["retry-after"] == "1"


async def test_a_booking_needs_a_key(guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    body = booking_of(await offer_token(guest, hotel["hotel_id"]))
    refused(await guest.post("/v1/bookings", json=body), 400, "idempotency-key-required")
    for key in ("", " ", "a" * 256, "\u00fc"):
        answer = await guest.post("/v1/bookings", json=body, headers={b"Idempotency-Key": key.encode("latin-1")})
        refused(answer, 400, "invalid-request")


async def test_offers_fix_the_price_and_cannot_be_tampered_with(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str]
) -> None:
    token = await offer_token(guest, hotel["hotel_id"])
    middle = len(token) // 2
    flipped = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    refused(await book(guest, flipped), 422, "offer-invalid")
    refused(await book(guest, await world.memory.platform.offers.seal({"x": 1})), 422, "offer-invalid")
    world.memory.clock.advance(minutes=16)
    guest = await world.as_("guest")
    refused(await book(guest, token), 422, "offer-expired")


async def test_more_rooms_than_offered_but_not_fewer(guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    token = await offer_token(guest, hotel["hotel_id"], rooms=2)
    assert ok(await book(guest, token, rooms=3), 201)["total"]["amount"] == "600.00"
    refused(await book(guest, token, rooms=1), 400, "invalid-request", "rooms")
    for rooms in (0, -1, 10):
        refused(await book(guest, token, rooms=rooms), 400, "invalid-request", "rooms")


async def test_only_those_whom_it_concerns_see_a_booking(world: World, guest: httpx.AsyncClient) -> None:
    owner = await world.as_("hotelier")
    hotel = await open_hotel(owner)
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    path = booking["links"]["self"]
    stranger, other_hotelier = await world.as_("guest"), await world.as_("hotelier")
    for client in (stranger, other_hotelier):
        for answer in (
            await client.get(path),
            await client.get(f"{path}/history"),
            await client.get(f"{path}/events"),
            await client.post(f"{path}/cancellation", json={}),
        ):
            refused(answer, 404, "not-found")
        assert ok(await client.get("/v1/bookings"))["items"] == []
    for client in (guest, owner, await world.as_("operator"), await world.as_("admin")):
        assert ok(await client.get(path))["status"] == "confirmed"
        assert [item["booking_id"] for item in ok(await client.get("/v1/bookings"))["items"]] == [booking["booking_id"]]
    refused(await owner.post(f"{path}/cancellation"), 403, "forbidden")
    refused(await (await world.as_("analyst")).get(path), 403, "forbidden")
    refused(await guest.get(f"/v1/bookings/{uuid4()}"), 404, "not-found")


async def test_the_list_filters_and_pages(guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    token = await offer_token(guest, hotel["hotel_id"])
    ids = {ok(await book(guest, token), 201)["booking_id"] for _ in range(3)}

    async def listed(**params: Any) -> set[str]:
        return {item["booking_id"] for item in ok(await guest.get("/v1/bookings", params=params))["items"]}

    assert await listed(status="confirmed", hotel_id=hotel["hotel_id"], **{"from": str(CHECK_IN)}) == ids
    assert await listed(status="rejected") == set()
    assert await listed(to=str(CHECK_IN)) == set()
    page = ok(await guest.get("/v1/bookings", params={"limit": 2}))
    rest = ok(await guest.get("/v1/bookings", params={"limit": 2, "cursor": page["next_cursor"]}))
    assert {item["booking_id"] for item in page["items"] + rest["items"]} == ids
    assert rest["next_cursor"] is None
    for params in ({"status": "lost"}, {"limit": 0}, {"limit": 101}, {"hotel_id": "x"}, {"from": "soon"}):
        refused(await guest.get("/v1/bookings", params=params), 400, "invalid-request")


async def test_a_booking_is_cancelled_by_its_policy(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str]
) -> None:
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    path = booking["links"]["cancellation"]
    cancelled = ok(await guest.post(path, json={"reason": "rain"}, headers={"Prefer": "wait=5"}), 202)
    assert cancelled["status"] == "cancelled"
    assert cancelled["cancellation"]["refund"]["amount"] == "200.00"
    refused(await guest.post(path), 409, "already-cancelled")
    second = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    key = {"Idempotency-Key": "c1"}
    for _ in range(2):
        ok(await guest.post(second["links"]["cancellation"], headers=key), 202)
    third = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    assert ok(await (await world.as_("operator")).post(third["links"]["cancellation"]), 202)["status"] == "cancelled"


async def test_a_booking_is_cancelled_only_as_it_was_seen(guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    answer = await book(guest, await offer_token(guest, hotel["hotel_id"]))
    path, tag = ok(answer, 201)["links"]["cancellation"], answer.headers["etag"]
    refused(await guest.post(path, headers={"If-Match": '"1"'}), 412, "version-mismatch")
    ok(await guest.post(path, headers={"If-Match": tag}), 202)


async def test_the_history_tells_what_when_who_and_why(guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    answer = await guest.post(booking["links"]["cancellation"], json={"reason": "rain"})
    ok(answer, 202)
    text = (await guest.get(booking["links"]["history"])).text
    items = json.loads(text)["items"]
    told = {item["what"].rpartition(".")[2] for item in items}
    assert {"BookingRequested", "RoomsHeld", "PaymentCaptured", "SagaReacted", "BookingConfirmed"} <= told
    assert {"CancellationRequested", "HoldReleased", "PaymentRefunded", "BookingCancelled"} <= told
    assert all(item["when"].endswith("Z") and item["who"] and item["why"] for item in items)
    held = next(item for item in items if item["what"] == "inventory.v1.RoomsHeld")
    assert held["caused_by"]["what"] == "inventory.HoldRooms"
    assert "tok_ok" not in text
    outside = [
        item["what"] for item in items if item["caused_by"]["event_id"] not in {each["event_id"] for each in items}
    ]
    assert outside == ["bookings.v1.BookingRequested", "bookings.v1.CancellationRequested"], "all others are caused by"
    assert {item["caused_by"]["what"] for item in items if item["what"] in outside} == {"request"}
    why = {item["what"].rpartition(".")[2]: item["why"] for item in items}
    assert why["BookingConfirmed"] == "the booking saga asked for bookings.ConfirmBooking"
    assert why["CancellationRequested"] == "rain"
    requested = next(item for item in items if item["what"] == "bookings.v1.CancellationRequested")
    assert requested["details"]["reason"] == "rain"


async def test_operators_see_why_in_the_stream_itself(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str]
) -> None:
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    ok(await guest.post(booking["links"]["cancellation"], json={"reason": "rain"}), 202)
    operator = await world.as_("operator")
    items = ok(await operator.get(f"/v1/ops/streams/{booking['booking_id']}"))["items"]
    told = [(item["type"].rpartition(".")[2], item["cause"]) for item in items]
    assert told == [
        ("BookingRequested", "request"),
        ("BookingConfirmed", "bookings.ConfirmBooking"),
        ("CancellationRequested", "request"),
        ("BookingCancelled", "bookings.CompleteCancellation"),
    ]
    assert [item["why"] for item in items][1:3] == ["the booking saga asked for bookings.ConfirmBooking", "rain"]


async def test_a_rejected_booking_says_why(world: World, guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    world.memory.provider.outcome = "declined"
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    items = ok(await guest.get(booking["links"]["history"]))["items"]
    why = {item["what"].rpartition(".")[2]: item["why"] for item in items}
    assert (why["PaymentDeclined"], why["BookingRejected"]) == ("declined", "payment_declined")


async def test_what_a_guest_does_about_a_payment_is_the_guests(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str]
) -> None:
    world.memory.provider.outcome = "requires_action"
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 202)
    payment = ok(await guest.get(booking["links"]["payment"]))
    ok(await guest.post(payment["action_url"], json={"approve": True}))
    items = ok(await guest.get(booking["links"]["history"]))["items"]
    authorised = next(item for item in items if item["what"] == "payments.v1.PaymentAuthorised")
    requested = items[0]
    assert (authorised["who"], authorised["caused_by"]["what"]) == (requested["who"], "request")


async def test_the_history_is_told_as_of_any_time(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str]
) -> None:
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    path, then = booking["links"]["history"], world.memory.clock.now()
    until_then = ok(await guest.get(path))["items"]
    world.memory.clock.advance(minutes=5)
    ok(await guest.post(booking["links"]["cancellation"]), 202)
    assert len(ok(await guest.get(path))["items"]) > len(until_then)
    for moment in (then.isoformat(), "2026-06-01T14:04:59+02:00"):
        assert ok(await guest.get(path, params={"as_of": moment}))["items"] == until_then
    for moment in ("2020-01-01T00:00:00Z", "2026-05-31"):
        refused(await guest.get(path, params={"as_of": moment}), 404, "not-found")
    for moment in ("2026-06-01", "2099-01-01", "2099-01-01T00:00:00Z"):
        assert len(ok(await guest.get(path, params={"as_of": moment}))["items"]) > len(until_then)


async def test_a_plus_that_was_not_encoded_is_one(guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    for zone in ("+02:00", "%2B02:00", "+0200"):
        answer = await guest.get(f"{booking['links']['self']}?as_of=2026-06-01T14:00:00{zone}")
        assert ok(answer)["status"] == "confirmed"
    answer = await guest.get(f"{booking['links']['self']}?as_of=2026-06-01T13:59:59+02:00")
    refused(answer, 404, "not-found")


async def test_a_booking_is_shown_as_of_any_time(world: World, guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    then = world.memory.clock.now().isoformat()
    world.memory.clock.advance(minutes=5)
    ok(await guest.post(booking["links"]["cancellation"]), 202)
    path = booking["links"]["self"]
    assert ok(await guest.get(path))["status"] == "cancelled"
    assert ok(await guest.get(path, params={"as_of": then}))["status"] == "confirmed"
    refused(await guest.get(path, params={"as_of": "2020-01-01T00:00:00Z"}), 404, "not-found")
    for wrong in ("", "yesterday", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "2026-02-30", "1780000000", "0" * 99):
        refused(await guest.get(path, params={"as_of": wrong}), 400, "invalid-request", "as_of")


async def test_a_known_version_is_not_sent_again(guest: httpx.AsyncClient, hotel: dict[str, str]) -> None:
    answer = await book(guest, await offer_token(guest, hotel["hotel_id"]))
    path, tag = answer.headers["location"], answer.headers["etag"]
    again = await guest.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert (await guest.get(path, headers={"If-None-Match": '"1"'})).status_code == 200


async def test_events_are_streamed_until_the_end(
    world: World, guest: httpx.AsyncClient, hotel: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = asyncio.Event()

    def message(*, comment: str | None = None, **told: Any) -> ServerSentEventMessage:
        if comment:
            waited.set()
        return ServerSentEventMessage(comment=comment, **told)

    monkeypatch.setattr("api.http.booking_events.ServerSentEventMessage", message)
    world.memory.hold_sagas = True
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"]), wait=None), 202)
    streaming = asyncio.create_task(guest.get(booking["links"]["events"]))
    await asyncio.wait_for(waited.wait(), 5)
    await world.memory.run_sagas()
    answer = await asyncio.wait_for(streaming, 5)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert ": still waiting" in answer.text
    events = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]
    assert [event["status"] for event in events] == ["pending", "confirmed"]
    assert [line for line in answer.text.splitlines() if line.startswith("id:")] == ["id: 1", "id: 2"]
    rest = await guest.get(booking["links"]["events"], headers={"Last-Event-ID": "1"})
    assert "id: 1" not in rest.text
    assert "id: 2" in rest.text
    assert (await guest.get(booking["links"]["events"], headers={"Last-Event-ID": "2"})).status_code == 204
    wrong = await guest.get(booking["links"]["events"], headers={"Last-Event-ID": "-1"})
    refused(wrong, 400, "invalid-request", "Last-Event-ID")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"guest": {"name": "", "email": "a@example.com"}}, "guest.name"),
        ({"guest": {"name": "A", "email": "nobody"}}, "guest.email"),
        ({"guest": {"name": "A", "email": "a@example.com", "phone": "call me"}}, "guest.phone"),
        ({"guest": {"name": "A\x07", "email": "a@example.com"}}, "guest.name"),
        ({"payment": {"provider": "cash", "token": "tok_ok"}}, "payment.provider"),
        ({"payment": {"provider": "stripe", "token": "tok_ok"}}, "payment.provider"),
        ({"payment": {"provider": "sandbox", "token": ""}}, "payment.token"),
        ({"payment": {"provider": "sandbox", "token": "t" * 256}}, "payment.token"),
        ({"offer_token": ""}, "offer_token"),
        ({"offer_token": 7}, "offer_token"),
        ({"rooms": "two"}, "rooms"),
        ({"rooms": 10**30}, "rooms"),
        ({"price": "1.00"}, "price"),
        ({"account_id": str(uuid4())}, "account_id"),
        ({"guest": None}, "guest"),
    ],
)
async def test_what_is_wrong_with_a_booking_is_named(
    guest: httpx.AsyncClient, hotel: dict[str, str], changes: dict[str, Any], field: str
) -> None:
    token = await offer_token(guest, hotel["hotel_id"])
    body = booking_of(token) | changes
    answer = await guest.post("/v1/bookings", json=body, headers={"Idempotency-Key": "k"})
    refused(answer, 400, "invalid-request", field)
    assert ok(await guest.get("/v1/bookings"))["items"] == []
