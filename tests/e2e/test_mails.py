"""Guests are written to: each once, also when the mail server does not take a mail at first, or is away, or we are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import book, offer, open_hotel, registered, until
from tests.servers.mail import MailServer

pytestmark = pytest.mark.xdist_group("e2e-embedded")
GUEST = "ada@example.com"


async def test_guests_are_written_to_once(tmp_path: Path) -> None:
    with MailServer() as mails:
        settings = {"NIGHTLEDGER_SMTP_URL": mails.url, "NIGHTLEDGER_PUBLIC_URL": "https://hotels.example/"}
        platform = RunningPlatform(tmp_path / "data", settings)
        platform.arguments = ("--demo",)
        with platform:
            async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
                hotel = await open_hotel(hotelier)
                mails.answers[GUEST] = "450 not now"
                deferred = await _booked(guest, hotel)
                await until(lambda: _is_parked(platform))
                mails.answers.clear()
                first = await _booked(guest, hotel)
                await until(lambda: _have_come(mails, 1))
                await asyncio.to_thread(platform.run, "dead-letters", "retry", "--consumer", "mails", "--why", "a test")
                await until(lambda: _have_come(mails, 2))
                mails.stop()
                last = await _booked(guest, hotel)
                await until(lambda: _waits(platform))
            platform.kill()
            mails.start()
            platform.start()
            await until(lambda: _have_come(mails, 3))
            await asyncio.to_thread(platform.run, "projections", "replay", "notices")
            await until(lambda: _is_well(platform))
            assert await _have_come(mails, 3), "a replay writes to nobody"
    for message, booking in zip(mails.to(GUEST), (first, deferred, last), strict=True):
        assert message["Subject"] == f"Your booking at {hotel['name']} is confirmed"
        assert f"https://hotels.example/bookings/{booking['booking_id']}" in message.get_content()


async def _booked(guest: httpx.AsyncClient, hotel: dict[str, str]) -> Any:
    return ok(await book(guest, (await offer(guest, hotel["hotel_id"]))["offer_token"]), 201)


async def _have_come(mails: MailServer, count: int) -> bool:
    return len(mails.to(GUEST)) == count


async def _is_parked(platform: RunningPlatform) -> bool:
    """Whether a mail waits for operators. It is one failure, and exit status 1 says that there are any."""
    listed = await asyncio.to_thread(platform.run, "dead-letters", "list", "--consumer", "mails", check=False)
    return listed.returncode == 1 and "MailDeferred" in listed.stdout


async def _waits(platform: RunningPlatform) -> bool:
    """Whether it is said that mails wait, and why."""
    return any(part["state"] != "up" and "SMTP" in str(part["detail"]) for part in await _parts(platform))


async def _is_well(platform: RunningPlatform) -> bool:
    return all(part["state"] == "up" for part in await _parts(platform))


async def _parts(platform: RunningPlatform) -> list[dict[str, Any]]:
    async with platform.client() as anyone:
        parts: list[dict[str, Any]] = (await anyone.get("/health/ready")).json()["parts"]
    return parts
