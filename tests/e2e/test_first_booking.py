"""From an empty folder to a confirmed booking, as a guest would go, on both stacks."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import uuid
from functools import partial
from typing import Any

import httpx
import pytest

from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import FIRST_NIGHT, TODAY, book, changed, offer, open_hotel, registered, reviewed, stay, until


async def test_a_guest_finds_books_and_cancels(platform: RunningPlatform) -> None:
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier)
        await until(lambda: _found(guest, hotel))
        chosen = await offer(guest, hotel["hotel_id"])
        assert chosen["total"] == {"amount": "200.00", "currency": "EUR"}
        assert chosen["rooms_left"] == 10

        booked = await book(guest, chosen["offer_token"])
        booking = ok(booked, 201)
        assert booking["status"] == "confirmed"
        path = booked.headers["Location"]
        await until(lambda: _listed(guest, booking["booking_id"], "confirmed"))
        await until(lambda: _rooms_left(guest, hotel, 9))

        cancelled = ok(await guest.post(f"{path}/cancellation", json={"reason": "plans changed"}), 202)
        assert cancelled["booking_id"] == booking["booking_id"]
        await until(lambda: _has_status(guest, path, "cancelled"))
        await until(lambda: _rooms_left(guest, hotel, 10))
        await until(lambda: _listed(guest, booking["booking_id"], "cancelled"))
        payment = ok(await guest.get(f"/v1/payments/{booking['payment']['payment_id']}"))
        assert payment["status"] == "refunded"
        assert payment["refunded"] == {"amount": "200.00", "currency": "EUR"}

        history = ok(await guest.get(f"{path}/history"))["items"]
        told = [entry["what"] if isinstance(entry["what"], str) else entry["type"] for entry in history]
        assert {"BookingRequested", "BookingConfirmed", "BookingCancelled"} <= {
            name.rpartition(".")[2] for name in told
        }
        assert all(entry["when"] and entry["who"] for entry in history)


async def test_a_guest_changes_the_stay(platform: RunningPlatform) -> None:
    """A night more is paid, two less go back, and all that anybody reads says so; then all of it is cancelled."""
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier)
        booked = await book(guest, (await offer(guest, hotel["hotel_id"]))["offer_token"])
        booking, path = ok(booked, 201), booked.headers["Location"]
        after = booking
        for nights, total, kept in ((3, "300.00", ["200.00", "100.00"]), (1, "100.00", ["100.00"])):
            after = await changed(guest, booking, nights)
            assert (after["modification"]["status"], after["total"]["amount"]) == ("modified", total)
            assert [paid["keeps"]["amount"] for paid in after["payments"]] == kept
            await until(partial(_listed_until, guest, booking["booking_id"], after["stay"]["check_out"]))
            await until(partial(_nights_taken, guest, hotel, nights))
        assert after["stay"]["check_in"] == FIRST_NIGHT.isoformat()
        unpaid = await changed(guest, booking, 4, token="tok_declined")
        assert (unpaid["modification"]["status"], unpaid["modification"]["reason"]) == ("rejected", "payment_declined")
        assert unpaid["stay"] == after["stay"]
        ok(await guest.post(f"{path}/cancellation"), 202)
        await until(lambda: _has_status(guest, path, "cancelled"))
        await until(lambda: _nights_taken(guest, hotel, 0))
        history = ok(await guest.get(f"{path}/history"))["items"]
        taken = [each["details"]["amount"]["minor"] for each in history if each["what"].endswith(".PaymentCaptured")]
        back = [each["details"]["amount"]["minor"] for each in history if each["what"].endswith(".PaymentRefunded")]
        assert sum(taken) == sum(back) == 30_000


async def test_a_guest_stays(platform: RunningPlatform) -> None:
    """From today on: the hotel checks the guest in and out, and all that anybody reads says so."""
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier)
        booked = await book(guest, (await offer(guest, hotel["hotel_id"], start=TODAY))["offer_token"])
        booking, path = ok(booked, 201), booked.headers["Location"]
        for step, status in (("check-in", "checked_in"), ("check-out", "checked_out")):
            version = {"If-Match": (await guest.get(path)).headers["ETag"]}
            assert (await guest.post(f"{path}/{step}", headers=version)).status_code == httpx.codes.FORBIDDEN
            recorded = await hotelier.post(f"{path}/{step}", headers=version)
            assert ok(recorded)["status"] == status
            for reader in (guest, hotelier):
                await until(partial(_listed, reader, booking["booking_id"], status))
        assert (await guest.post(f"{path}/cancellation")).status_code == httpx.codes.CONFLICT
        path = booking["payment"]["href"]
        payment = ok(await guest.get(path))
        assert (payment["status"], payment["captured"]["amount"]) == ("captured", "200.00")
        async with await platform.login("operator") as operator:
            goodwill = {"amount": {"amount": "30.00", "currency": "EUR"}, "reason": "no hot water"}
            key = {"Idempotency-Key": uuid.uuid4().hex}
            refunded = ok(await operator.post(f"{path}/refunds", json=goodwill, headers=key), 201)
            again = ok(await operator.post(f"{path}/refunds", json=goodwill, headers=key), 201)
        assert (refunded["status"], refunded["refunded"]["amount"]) == ("partially_refunded", "30.00")
        assert again == refunded
        assert ok(await guest.get(path)) == refunded


async def test_a_guest_reviews_a_stay(platform: RunningPlatform) -> None:
    """What a guest says is read by everybody and counts in the search, until an operator hides it."""
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier)
        place = f"/v1/hotels/{hotel['hotel_id']}"
        written = ok(await reviewed(hotelier, guest, hotel), 201)
        review_path = f"/v1/reviews/{written['review_id']}"
        await until(partial(_says, guest, place, "Quiet rooms.", 9))
        ok(await hotelier.post(f"{review_path}/reply", json={"text": "Come back soon."}))
        await until(lambda: _found_with_rating(guest, hotel, 9))
        async with await platform.login("operator") as operator:
            ok(await operator.post(f"{review_path}/moderation", json={"visible": False, "reason": "a test"}))
        await until(lambda: _found_with_rating(guest, hotel, None))
        assert ok(await guest.get(review_path))["reply"]["text"] == "Come back soon."


@pytest.mark.parametrize(
    ("token", "status", "reason"),
    [
        ("tok_ok", "confirmed", None),
        ("tok_declined", "rejected", "payment_declined"),
        ("tok_capture_fails_once", "confirmed", None),
        ("tok_capture_refused", "rejected", "payment_expired"),
        ("tok_authorize_unknown", "confirmed", None),
    ],
)
async def test_each_token_ends_as_the_contract_says(
    platform: RunningPlatform, token: str, status: str, reason: str | None
) -> None:
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier)
        booking = ok(await book(guest, (await offer(guest, hotel["hotel_id"]))["offer_token"], token=token), 201)
        assert (booking["status"], booking["reason"]) == (status, reason)
        await until(lambda: _rooms_left(guest, hotel, 9 if status == "confirmed" else 10))


@pytest.mark.parametrize(
    ("approve", "status", "reason"), [(True, "confirmed", None), (False, "rejected", "payment_declined")]
)
async def test_the_guest_acts_on_the_payment(
    platform: RunningPlatform, approve: bool, status: str, reason: str | None
) -> None:
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier)
        token = (await offer(guest, hotel["hotel_id"]))["offer_token"]
        answer = await book(guest, token, token="tok_requires_action", wait=None)
        booking = ok(answer, 202)
        path = answer.headers["Location"]
        stream = asyncio.create_task(_events(guest, path))
        await until(lambda: _has_status(guest, path, "awaiting_payment"))
        payment_path = f"/v1/payments/{booking['payment']['payment_id']}"
        await until(lambda: _wants_action(guest, payment_path))
        action = ok(await guest.get(payment_path))["action_url"]
        ok(await guest.post(action, json={"approve": approve}))
        await until(lambda: _has_status(guest, path, status))
        assert ok(await guest.get(path))["reason"] == reason
        events = await asyncio.wait_for(stream, 10)
        assert events[-1]["status"] == status
        assert "awaiting_payment" in {event["status"] for event in events}


async def test_the_same_key_books_once(platform: RunningPlatform) -> None:
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier)
        token = (await offer(guest, hotel["hotel_id"]))["offer_token"]
        key = uuid.uuid4().hex
        first = ok(await book(guest, token, key=key))
        second = ok(await book(guest, token, key=key))
        assert first["booking_id"] == second["booking_id"]
        other = await book(guest, token, key=key, token="tok_declined")
        assert other.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        await until(lambda: _rooms_left(guest, hotel, 9))


async def test_a_booking_is_nobody_elses_business(platform: RunningPlatform) -> None:
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier)
        booked = await book(guest, (await offer(guest, hotel["hotel_id"]))["offer_token"])
        path = ok(booked) and booked.headers["Location"]
        async with await registered(platform) as other:
            for answer in (
                await other.get(path),
                await other.get(f"{path}/history"),
                await other.get(f"{path}/events"),
                await other.post(f"{path}/cancellation", json={}),
            ):
                assert answer.status_code == httpx.codes.NOT_FOUND, answer.text
        assert ok(await guest.get(path))["status"] == "confirmed"


async def _found(client: httpx.AsyncClient, hotel: dict[str, str]) -> bool:
    answer = await client.get("/v1/hotels", params={"q": hotel["name"], "city": hotel["city"], **stay()})
    return any(item["hotel_id"] == hotel["hotel_id"] for item in ok(answer)["items"])


async def _says(client: httpx.AsyncClient, place: str, text: str, rating: int) -> bool:
    """Whether the hotel's page has this rating, and its reviews these words."""
    reviews = ok(await client.get(f"{place}/reviews"))["items"]
    return [review["text"] for review in reviews] == [text] and ok(await client.get(place))["rating"] == rating


async def _found_with_rating(client: httpx.AsyncClient, hotel: dict[str, str], rating: float | None) -> bool:
    found = ok(await client.get("/v1/hotels", params={"city": hotel["city"]}))["items"]
    return [item["rating"] for item in found] == [rating]


async def _listed(client: httpx.AsyncClient, booking_id: str, status: str) -> bool:
    items = ok(await client.get("/v1/bookings"))["items"]
    return any(item["booking_id"] == booking_id and item["status"] == status for item in items)


async def _has_status(client: httpx.AsyncClient, path: str, status: str) -> bool:
    return bool(ok(await client.get(path))["status"] == status)


async def _wants_action(client: httpx.AsyncClient, path: str) -> bool:
    answer = await client.get(path)
    return answer.status_code == httpx.codes.OK and bool(answer.json().get("action_url"))


async def _listed_until(guest: httpx.AsyncClient, booking_id: str, check_out: str) -> bool:
    items = ok(await guest.get("/v1/bookings"))["items"]
    return [item["check_out"] for item in items if item["booking_id"] == booking_id] == [check_out]


async def _nights_taken(guest: httpx.AsyncClient, hotel: dict[str, str], nights: int) -> bool:
    days = {"from": FIRST_NIGHT.isoformat(), "to": (FIRST_NIGHT + dt.timedelta(days=6)).isoformat()}
    [item] = ok(await guest.get(f"/v1/hotels/{hotel['hotel_id']}/availability", params=days))["items"]
    return [night["rooms_left"] for night in item["nights"]] == [9] * nights + [10] * (6 - nights)


async def _rooms_left(client: httpx.AsyncClient, hotel: dict[str, str], rooms: int) -> bool:
    period = {"from": stay()["check_in"], "to": stay()["check_out"]}
    answer = ok(await client.get(f"/v1/hotels/{hotel['hotel_id']}/availability", params=period))
    nights = next(item for item in answer["items"] if item["room_type_id"] == hotel["room_type_id"])["nights"]
    return all(night["rooms_left"] == rooms for night in nights)


async def _events(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    async with client.stream("GET", f"{path}/events") as answer:
        lines = [line async for line in answer.aiter_lines()]
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
