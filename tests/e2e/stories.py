"""Steps that the end-to-end tests share, as a user takes them over HTTP."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx

from tests.e2e.running import RunningPlatform, ok

PASSWORD = "correct horse battery staple"
TODAY = dt.datetime.now(dt.UTC).date()
FIRST_NIGHT = TODAY + dt.timedelta(days=30)
LAST_NIGHT = FIRST_NIGHT + dt.timedelta(days=120)


async def registered(platform: RunningPlatform) -> httpx.AsyncClient:
    """A client of a guest who has just registered and logged in."""
    email = f"guest-{uuid.uuid4().hex[:12]}@example.com"
    async with platform.client() as anonymous:
        who = {"email": email, "password": PASSWORD, "name": "Ada Guest"}
        ok(await anonymous.post("/v1/auth/register", json=who), 201)
        tokens = ok(await anonymous.post("/v1/auth/login", json={"email": email, "password": PASSWORD}))
    return platform.client(tokens["access_token"])


async def open_hotel(hotelier: httpx.AsyncClient, *, rooms: int = 10, amount: str = "100.00") -> dict[str, str]:
    """A hotel with one room type and one flexible plan, on sale from today.

    {hotel_id, room_type_id, rate_plan_id, name, city}.
    """
    city = f"Testville{uuid.uuid4().hex[:8]}"
    name = f"Hotel {uuid.uuid4().hex[:8]}"
    hotel = {
        "name": name,
        "city": city,
        "country": "PT",
        "location": {"lat": 38.7, "lon": -9.1},
        "time_zone": "UTC",
        "currency": "EUR",
        "stars": 4,
        "amenities": ["wifi", "pool"],
        "description": "Made for a test.",
        "images": [],
    }
    hotel_id = ok(await hotelier.post("/v1/hotels", json=hotel, headers=_key()), 201)["hotel_id"]
    kind = {
        "name": "Double",
        "max_adults": 2,
        "max_children": 1,
        "beds": "1 double bed",
        "amenities": [],
        "rooms": rooms,
    }
    answer = await hotelier.post(f"/v1/hotels/{hotel_id}/room-types", json=kind, headers=_key())
    room_type_id = ok(answer, 201)["room_type_id"]
    plan = {
        "name": "Flexible",
        "room_type_id": room_type_id,
        "board": "breakfast",
        "cancellation_policy": "flexible",
        "payment_policy": "prepaid",
    }
    answer = await hotelier.post(f"/v1/hotels/{hotel_id}/rate-plans", json=plan, headers=_key())
    rate_plan_id = ok(answer, 201)["rate_plan_id"]
    prices = {"from": TODAY.isoformat(), "to": LAST_NIGHT.isoformat(), "amount": amount}
    ok(await hotelier.put(f"/v1/hotels/{hotel_id}/rate-plans/{rate_plan_id}/prices", json=prices))
    ids = {"hotel_id": hotel_id, "room_type_id": room_type_id, "rate_plan_id": rate_plan_id}
    await until(lambda: _has_offers(hotelier, hotel_id))
    return ids | {"name": name, "city": city}


async def offer(client: httpx.AsyncClient, hotel_id: str, *, nights: int = 2, start: dt.date = FIRST_NIGHT) -> Any:
    """The first offer for two adults."""
    offers = ok(await client.get(f"/v1/hotels/{hotel_id}/offers", params=stay(nights, start)))["offers"]
    return offers[0]


def stay(nights: int = 2, start: dt.date = FIRST_NIGHT) -> dict[str, str | int]:
    """Query parameters of a stay for two adults."""
    return {
        "check_in": start.isoformat(),
        "check_out": (start + dt.timedelta(days=nights)).isoformat(),
        "adults": 2,
        "children": 0,
        "rooms": 1,
    }


async def book(
    guest: httpx.AsyncClient, offer_token: str, *, token: str = "tok_ok", wait: int | None = 20, key: str | None = None
) -> httpx.Response:
    """Book an offer, waiting for the outcome unless ``wait`` is None."""
    headers = _key(key) | ({"Prefer": f"wait={wait}"} if wait is not None else {})
    body = {
        "offer_token": offer_token,
        "guest": {"name": "Ada Guest", "email": "ada@example.com"},
        "payment": {"provider": "sandbox", "token": token},
    }
    return await guest.post("/v1/bookings", json=body, headers=headers)


async def changed(guest: httpx.AsyncClient, booking: dict[str, Any], nights: int, *, token: str = "tok_ok") -> Any:
    """The booking after its stay was made so long, or was to be."""
    booking_id = booking["booking_id"]
    return ok(await modify(guest, booking_id, await quoted(guest, booking_id, nights=nights), token=token), 202)


async def quoted(guest: httpx.AsyncClient, booking_id: str, *, nights: int) -> str:
    """The token of a quote for a stay that is so long."""
    wish = {"check_out": stay(nights)["check_out"]}
    token: str = ok(await guest.post(f"/v1/bookings/{booking_id}/modification-quotes", json=wish))["quote_token"]
    return token


async def modify(
    guest: httpx.AsyncClient,
    booking_id: str,
    quote_token: str,
    *,
    token: str = "tok_ok",
    wait: int | None = 20,
    key: str | None = None,
) -> httpx.Response:
    """Change a booking as quoted, waiting for the outcome unless ``wait`` is None."""
    headers = _key(key) | ({"Prefer": f"wait={wait}"} if wait is not None else {})
    body = {"quote_token": quote_token, "payment": {"provider": "sandbox", "token": token}}
    return await guest.post(f"/v1/bookings/{booking_id}/modifications", json=body, headers=headers)


async def reviewed(hotelier: httpx.AsyncClient, guest: httpx.AsyncClient, hotel: dict[str, str]) -> httpx.Response:
    """A stay that begins and ends today, and what the guest says of it."""
    booked = ok(await book(guest, (await offer(guest, hotel["hotel_id"], start=TODAY))["offer_token"]), 201)
    for step in ("check-in", "check-out"):
        ok(await hotelier.post(f"/v1/bookings/{booked['booking_id']}/{step}"))
    review = {"booking_id": booked["booking_id"], "rating": 9, "text": "Quiet rooms."}
    return await guest.post(f"/v1/hotels/{hotel['hotel_id']}/reviews", json=review)


async def all_bookings(guest: httpx.AsyncClient, hotel_id: str) -> list[dict[str, Any]]:
    """Every booking of the guest at a hotel, page by page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        parameters: dict[str, Any] = {"hotel_id": hotel_id, "limit": 100} | ({"cursor": cursor} if cursor else {})
        page = ok(await guest.get("/v1/bookings", params=parameters))
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


async def until(check: Callable[[], Awaitable[bool]], seconds: float = 20, every: float = 0.05) -> None:
    """Return as soon as ``check``, asked ``every`` so many seconds, holds; fail when it does not within ``seconds``."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110 - the condition is in another process, behind HTTP
            await asyncio.sleep(every)


async def until_nothing(look: Callable[[], Awaitable[Sequence[object]]], seconds: float, every: float) -> None:
    """Return as soon as ``look``, asked ``every`` so many seconds, finds nothing; fail with what it found last."""
    deadline = time.monotonic() + seconds
    while found := await look():
        assert time.monotonic() < deadline, f"after {seconds:g} s there is still {found}"
        await asyncio.sleep(every)


async def _has_offers(client: httpx.AsyncClient, hotel_id: str) -> bool:
    answer = await client.get(f"/v1/hotels/{hotel_id}/offers", params=stay())
    return answer.status_code == httpx.codes.OK and bool(answer.json()["offers"])


def _key(key: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": key or uuid.uuid4().hex}
