"""A guest is forgotten: nothing that the platform keeps names them any more, and their bookings are on record."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest

from tests.e2e.everything import everything_of, facts_of, places_of
from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import FIRST_NIGHT, PASSWORD, offer, open_hotel, until

KEPT_BY_NAME = {
    "users.accounts",
    "users.persons",
    "users.remarks",
    "users.operator_actions",
    "bookings.idempotency",
}
"""Where a name is meant to be until it is forgotten."""
EXCHANGE = "nightledger.events"


class Guest:
    """Somebody whose name, address and number are nobody else's."""

    def __init__(self) -> None:
        tag = uuid.uuid4().hex[:10]
        self.name = f"Zebedée Quill-{tag}"
        self.email = f"Zebedee.{tag}@example.com"
        self.phone = f"+351 {uuid.uuid4().int % 10**9:09}"

    @property
    def words(self) -> set[str]:
        """What must not be found."""
        return {self.name, self.email, self.phone}

    async def register(self, platform: RunningPlatform) -> httpx.AsyncClient:
        """Make an account and log in."""
        async with platform.client() as anonymous:
            who = {"email": self.email, "password": PASSWORD, "name": self.name, "phone": self.phone}
            ok(await anonymous.post("/v1/auth/register", json=who), 201)
            again = await anonymous.post("/v1/auth/register", json=who)
            assert again.status_code == httpx.codes.CONFLICT, "servers log what fails, with the values"
            tokens = ok(await anonymous.post("/v1/auth/login", json={"email": self.email, "password": PASSWORD}))
        return platform.client(tokens["access_token"])

    async def book(self, client: httpx.AsyncClient, hotel_id: str) -> dict[str, Any]:
        """A confirmed booking, under a key that gives the guest away."""
        body = {
            "offer_token": (await offer(client, hotel_id))["offer_token"],
            "guest": {"name": self.name, "email": self.email, "phone": self.phone},
            "payment": {"provider": "sandbox", "token": "tok_ok"},
        }
        headers = {"Idempotency-Key": f"{self.email}/{uuid.uuid4().hex}", "Prefer": "wait=20"}
        booking: dict[str, Any] = ok(await client.post("/v1/bookings", json=body, headers=headers), 201)
        return booking


async def test_a_forgotten_guest_is_found_nowhere(platform: RunningPlatform, tmp_path: Path) -> None:
    guest = Guest()
    async with (
        await platform.login("hotelier") as hotelier,
        await platform.login("operator") as operator,
        messages_of(platform) as messages,
        await guest.register(platform) as client,
    ):
        hotel = await open_hotel(hotelier)
        kept, cancelled = [await guest.book(client, hotel["hotel_id"]) for _ in range(2)]
        reason = {"reason": f"{guest.name} is ill"}
        ok(await client.post(cancelled["links"]["cancellation"], json=reason, headers={"Prefer": "wait=20"}))
        why = {"why": f"a complaint by {guest.name} ({guest.email}, {guest.phone})"}
        ok(await operator.post("/v1/ops/projections/payment_pages/pause", json=why))
        ok(await operator.post("/v1/ops/projections/payment_pages/resume", json=why))
        assert ok(await hotelier.get(cancelled["links"]["self"]))["cancellation"]["reason"] == reason["reason"]
        before = await asyncio.to_thread(lambda: places_of(guest.words, everything_of(platform)))
        assert before.keys() >= KEPT_BY_NAME
        assert before["users.accounts"] == before["users.persons"] == before["users.operator_actions"] == guest.words

        gone = await client.delete("/v1/me")
        assert gone.status_code == httpx.codes.NO_CONTENT, gone.text

        words = guest.words | {kept["booking_id"]}
        after = await asyncio.to_thread(lambda: places_of(words, everything_of(platform)))
        await until(lambda: _counted(operator, hotel["hotel_id"]))
        facts = await asyncio.to_thread(lambda: places_of(words, facts_of(platform, tmp_path)))
        assert {word for found in (after | facts).values() for word in found} == {kept["booking_id"]}, after
        assert facts, "the facts were not looked at"
        sent = places_of(words, iter([("messages", text) for text in messages]))
        assert sent == ({"messages": {kept["booking_id"]}} if _broker_of(platform) else {})
        await _the_record_stays(hotelier, operator, kept, cancelled)
        await _the_account_is_gone(platform, client, guest, kept)


async def _counted(operator: httpx.AsyncClient, hotel_id: str) -> bool:
    """Whether the facts have both bookings."""
    period = {"from": FIRST_NIGHT.replace(day=1).isoformat(), "to": "2099-01-01", "hotel_id": hotel_id}
    rows = ok(await operator.get("/v1/analytics/monthly", params=period))["items"]
    counted: int = sum(row["bookings"] for row in rows)
    return counted == len({"kept", "cancelled"})


async def _the_record_stays(
    hotelier: httpx.AsyncClient, operator: httpx.AsyncClient, kept: dict[str, Any], cancelled: dict[str, Any]
) -> None:
    nobody = {"name": "forgotten guest", "email": None, "phone": None, "forgotten": True}
    for client in (hotelier, operator):
        shown = [ok(await client.get(booking["links"]["self"])) for booking in (kept, cancelled)]
        assert [(each["status"], each["guest"]) for each in shown] == [("confirmed", nobody), ("cancelled", nobody)]
        assert shown[1]["cancellation"]["reason"] == ""
        history = ok(await client.get(cancelled["links"]["history"]))["items"]
        assert history[-1]["what"] == "bookings.v1.SagaReacted"
    payment = ok(await operator.get(kept["links"]["payment"]))
    assert payment["captured"] == kept["price"]["due_now"]


async def _the_account_is_gone(
    platform: RunningPlatform, client: httpx.AsyncClient, guest: Guest, kept: dict[str, Any]
) -> None:
    assert (await client.get("/v1/me")).status_code == httpx.codes.UNAUTHORIZED
    async with platform.client() as anonymous:
        login = await anonymous.post("/v1/auth/login", json={"email": guest.email, "password": PASSWORD})
        assert login.status_code == httpx.codes.UNAUTHORIZED
    async with await guest.register(platform) as anew:
        assert ok(await anew.get("/v1/bookings"))["items"] == []
        assert (await anew.get(kept["links"]["self"])).status_code == httpx.codes.NOT_FOUND


@asynccontextmanager
async def messages_of(platform: RunningPlatform) -> AsyncIterator[list[str]]:
    """All events that are published meanwhile; none where there is no broker."""
    url, texts = _broker_of(platform), list[str]()
    if url is None:
        yield texts
        return
    async with await aio_pika.connect(url) as connection, await connection.channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EXCHANGE, "#")

        async def keep(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            texts.append(message.body.decode())

        await queue.consume(keep, no_ack=True)
        yield texts


def _broker_of(platform: RunningPlatform) -> str | None:
    return platform.environment.get("NIGHTLEDGER_RABBITMQ_URL")


@pytest.mark.xdist_group("e2e-embedded")
async def test_killed_while_somebody_is_forgotten(tmp_path: Path) -> None:
    """Whatever had happened when everything was killed: on record and erased, in the end, or neither."""
    platform = RunningPlatform(tmp_path / "data")
    with platform:
        guests = [Guest() for _ in range(4)]
        clients = [await guest.register(platform) for guest in guests]
        accounts = [ok(await client.get("/v1/me"))["user_id"] for client in clients]
        asked = [asyncio.create_task(client.delete("/v1/me")) for client in clients]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        platform.kill()
        await asyncio.gather(*asked, return_exceptions=True)
        platform.start()
        words = {word for guest in guests for word in guest.words}

        async def settled() -> bool:
            found = await asyncio.to_thread(lambda: places_of({*words, *accounts}, everything_of(platform)))
            events = found.get("users.stored_events", set())
            named = {word for place, here in found.items() for word in here & words}
            return events >= set(accounts) and named == words_of_those_who_stay(platform, accounts, guests)

        await until(settled)
        for client in clients:
            await client.aclose()


def words_of_those_who_stay(platform: RunningPlatform, accounts: list[str], guests: list[Guest]) -> set[str]:
    """The words of guests who are not forgotten, as the log says it."""
    rows = [
        text for place, text in everything_of(platform) if place == "users.stored_events" and "GuestForgotten" in text
    ]
    staying = [
        guest for account, guest in zip(accounts, guests, strict=True) if not any(account in row for row in rows)
    ]
    return {word for guest in staying for word in guest.words}
