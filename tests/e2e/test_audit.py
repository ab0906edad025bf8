"""The books balance, on both stacks, while guests book and cancel: as an operator asks it of the command line."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import book, offer, open_hotel, registered, reviewed

BOOKINGS = 12


async def test_audits_beside_live_bookings_find_nothing(platform: RunningPlatform) -> None:
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier, rooms=BOOKINGS // 2)
        token = (await offer(guest, hotel["hotel_id"]))["offer_token"]
        await reviewed(hotelier, guest, hotel)
        audits = [await _audited_while(platform, lambda: _book_some(guest, token))]
        audits.append(await _audited(platform, "--full"))
    for audit in audits:
        assert not [check for check in audit["checks"] if check["violations"] or check["skipped"]]
    checked = {check["name"]: check["checked"] for check in audits[-1]["checks"]}
    assert checked["stays"] >= BOOKINGS
    assert min(checked.values()) > 0, checked
    assert audits[-1]["events_done"] == checked["streams"] > audits[0]["events_done"]


async def _audited_while(platform: RunningPlatform, go_on: Callable[[], Awaitable[object]]) -> Any:
    """An audit that has nothing but traffic from its beginning to its end."""
    audit = asyncio.create_task(_audited(platform))
    while not audit.done():
        await go_on()
    return audit.result()


async def _audited(platform: RunningPlatform, *options: str) -> Any:
    done = await asyncio.to_thread(platform.run, "audit", "--json", *options)
    return json.loads(done.stdout)


async def _book_some(guest: httpx.AsyncClient, offer_token: str) -> None:
    await asyncio.gather(*(_book(guest, offer_token, number) for number in range(BOOKINGS)))


async def _book(guest: httpx.AsyncClient, offer_token: str, number: int) -> None:
    """Every third payment is declined, every other confirmed booking is cancelled."""
    declined = number % 3 == 0
    booking = ok(await book(guest, offer_token, token="tok_declined" if declined else "tok_ok"), 201)
    assert booking["status"] == "rejected" or not declined
    if booking["status"] == "confirmed" and number % 2 == 0:
        headers = {"Idempotency-Key": uuid.uuid4().hex, "Prefer": "wait=20"}
        path = f"/v1/bookings/{booking['booking_id']}/cancellation"
        ok(await guest.post(path, json={"reason": "ill"}, headers=headers))
