"""Operators see what is wrong and put it right, the same in one process and in several."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.e2e.running import NIGHTLEDGER, RunningPlatform, ok
from tests.e2e.stories import book, offer, open_hotel, registered, until

STAGES = {"bookings.v1.BookingRequested", "inventory.v1.RoomsHeld", "payments.v1.PaymentCaptured"}


async def run(platform: RunningPlatform, *arguments: str, check: bool = True) -> tuple[int, str, str]:
    """Exit status, output and errors of ``nightledger``, while the test goes on."""
    done = await asyncio.to_thread(platform.run, *arguments, check=check)
    return done.returncode, done.stdout, done.stderr


async def test_a_paused_read_model_is_red_everywhere_until_it_is_resumed(platform: RunningPlatform) -> None:
    async with await platform.login("operator") as operator, await registered(platform) as guest:
        await run(platform, "projections", "pause", "payment_pages", "--why", "a look at it")
        await until(lambda: degraded(operator, "feed payment_pages", "a look at it"), seconds=60)
        await until(
            lambda: exported(operator, r'nightledger_feed_up{.*feed="payment_pages".*state="paused"} 0\.0'), seconds=60
        )
        status, output, _ = await run(platform, "projections", "list", "--json", check=False)
        assert status == 1
        [item] = [item for line in output.splitlines() if (item := json.loads(line))["name"] == "payment_pages"]
        assert item["state"] == "paused"
        assert "a look at it" in item["last_error"]

        async with await platform.login("hotelier") as hotelier:
            hotel = await open_hotel(hotelier)
        booking = ok(await book(guest, (await offer(guest, hotel["hotel_id"]))["offer_token"]), 201)
        assert booking["status"] == "confirmed"
        await until(lambda: lags(operator, "payment_pages"), seconds=60)

        await run(platform, "projections", "resume", "payment_pages", "--why", "seen enough")
        await until(lambda: keeps_up(operator, "payment_pages"), seconds=60)
        items = ok(await operator.get("/v1/ops/actions"))["items"]
        ordered = [(each["action"], each["why"]) for each in items if each["target"] == "payment_pages"]
        assert ordered[:2] == [
            ("projections.resume", "seen enough"),
            ("projections.pause", "a look at it"),
        ]


async def test_operators_make_accounts_and_keys(platform: RunningPlatform) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    _, output, _ = await run(platform, "users", "create", email, "--role", "hotelier", "--why", "a hotel", "--json")
    made = json.loads(output)
    async with platform.client() as anonymous:
        login = {"email": email, "password": made["password"]}
        before = ok(await anonymous.post("/v1/auth/login", json=login))["access_token"]
        _, output, _ = await run(platform, "keys", "rotate", "--json")
        rotated = json.loads(output)["access_key_id"]
        keys = ok(await anonymous.get("/.well-known/jwks.json"))["keys"]
        assert rotated in {key["kid"] for key in keys}
        after = ok(await anonymous.post("/v1/auth/login", json=login))["access_token"]
    for token in (before, after):
        async with platform.client(token) as hotelier:
            assert ok(await hotelier.get("/v1/me"))["roles"] == ["hotelier"]
            await open_hotel(hotelier)
    status, _, errors = await run(platform, "users", "create", email, "--role", "guest", check=False)
    assert status == 1
    assert "409" in errors


async def test_a_saga_tells_its_story_and_refuses_what_has_no_meaning(platform: RunningPlatform) -> None:
    async with (
        await platform.login("operator") as operator,
        await platform.login("hotelier") as hotelier,
        await registered(platform) as guest,
    ):
        hotel = await open_hotel(hotelier)
        booking = ok(await book(guest, (await offer(guest, hotel["hotel_id"]))["offer_token"]), 201)
        saga = await saga_of(operator, booking["booking_id"])
        status, output, _ = await run(platform, "sagas", "show", saga["saga_id"])
        assert status == 0
        assert all(stage in output for stage in STAGES)
        status, _, errors = await run(platform, "sagas", "retry", saga["saga_id"], "--why", "to see", check=False)
        assert status == 1
        assert "nothing to retry" in errors
        [action] = [
            each for each in ok(await operator.get("/v1/ops/actions"))["items"] if each["target"] == saga["saga_id"]
        ]
        assert (action["action"], action["why"]) == ("sagas.retry", "to see")
        assert "nothing to retry" in action["outcome"]["refused"]
        await until(lambda: exported(operator, r'nightledger_sagas{status="finished"} [1-9]'), seconds=60)


async def test_what_happens_is_followed_live(platform: RunningPlatform) -> None:
    async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
        hotel = await open_hotel(hotelier)
        offered = (await offer(guest, hotel["hotel_id"]))["offer_token"]
        ok(await book(guest, offered), 201)
        following = await asyncio.create_subprocess_exec(
            NIGHTLEDGER,
            *("events", "tail", "bookings", "--follow", "-n", "1", "--json"),
            env=platform.environment,
            stdout=asyncio.subprocess.PIPE,
        )
        assert following.stdout is not None
        try:
            async with asyncio.timeout(60):
                await following.stdout.readline()  # what is there already: it follows from here
                booking = ok(await book(guest, offered, wait=None), 202)
                requested = json.loads(await following.stdout.readline())
            assert (requested["type"], requested["stream_id"]) == (
                "bookings.v1.BookingRequested",
                booking["booking_id"],
            )
        finally:
            following.kill()
            await following.wait()


@pytest.mark.xdist_group("e2e-real")
async def test_dead_letters_are_retried_where_their_consumers_run(
    real_platform: RunningPlatform,
) -> None:
    """The feeds of hotels run in one process, the gateway in another."""
    async with await real_platform.login("operator") as operator, await real_platform.login("hotelier") as hotelier:
        hotel = await open_hotel(hotelier)
        items = ok(await operator.get("/v1/ops/projections"))["items"]
        feed = next(item["build"] for item in items if item["name"] == "hotel_pages")
        stream = ok(await operator.get(f"/v1/ops/streams/{hotel['hotel_id']}"))["items"]
        marks = ("--consumer", feed)
        with psycopg.connect(real_platform.environment["NIGHTLEDGER_POSTGRES_URL"], autocommit=True) as connection:
            for event in stream[:2]:
                park(connection, feed, event)
        status, output, _ = await run(real_platform, "dead-letters", "list", check=False)
        assert status == 1
        assert "KeyError" in output
        await until(lambda: degraded(operator, f"dead letters of {feed}", "2;"), seconds=60)
        culprit = stream[0]["event_id"]
        await until(lambda: degraded(operator, f"feed {feed}", culprit), seconds=60)
        red = r'nightledger_feed_up{.*feed="hotel_pages".*state="failed"} 0\.0'
        await until(lambda: exported(operator, red), seconds=60)
        status, output, _ = await run(real_platform, "projections", "status", "hotel_pages", "--json", check=False)
        item = json.loads(output)
        assert (status, item["state"], culprit in item["last_error"]) == (1, "failed", True)

        status, output, _ = await run(real_platform, "dead-letters", "retry", *marks, "--dry-run")
        assert "2 letters of 1 streams would be touched" in output
        status, output, errors = await run(real_platform, "dead-letters", "retry", *marks, "--why", "mended")
        assert (status, re.search(r"(\d+) handled", output) is not None) == (0, True), output + errors
        status, output, _ = await run(real_platform, "dead-letters", "list", *marks)
        assert status == 0
        await until(lambda: keeps_up(operator, "hotel_pages"), seconds=60)
        [action] = [
            each for each in ok(await operator.get("/v1/ops/actions"))["items"] if each["target"] == f"consumer={feed}"
        ]
        assert (action["why"], action["outcome"]["handled"]) == ("mended", 2)


def park(connection: psycopg.Connection[Any], feed: str, event: dict[str, Any]) -> None:
    """Let ``event`` be parked, as if the code had been broken when it came."""
    message = {
        "id": event["event_id"],
        "source": "/nightledger/hotels",
        "type": event["type"],
        "subject": event["stream_id"],
        "time": event["at"],
        "recordedtime": event["recorded_at"],
        "streamversion": event["version"],
        "position": event["position"],
        "correlationid": event["correlation_id"],
        "actor": event["actor"],
        "data": event["what"],
    }
    transaction, _, notification = event["position"].partition(".")
    connection.execute(
        "INSERT INTO hotels.dead_letters (letter_id, consumer, message_key, context, stream_id, transaction_id,"
        " notification_id, topic, message, error, traceback, attempts, behind, parked_at, failure_group, failure_kind)"
        " VALUES (%s, %s, %s, 'hotels', %s, %s::text::xid8, %s, %s, %s, 'KeyError: stars', '', 4, %s, now(), 'abc',"
        " 'KeyError')",
        (
            uuid.uuid4(),
            feed,
            f"hotels:{event['position']}",
            event["stream_id"],
            transaction,
            int(notification),
            event["type"],
            json.dumps(message),
            event["version"] > 1,
        ),
    )


@pytest.mark.xdist_group("e2e-embedded")
async def test_a_pause_outlives_the_process(tmp_path: Path) -> None:
    platform = RunningPlatform(tmp_path / "data")
    platform.arguments = ("--demo",)
    with platform:
        await run(platform, "projections", "pause", "hotel_pages")
        platform.kill()
        platform.start()
        async with await platform.login("operator") as operator:
            await until(lambda: degraded(operator, "feed hotel_pages", "paused by"), seconds=60)
            await run(platform, "projections", "resume", "hotel_pages")
            await until(lambda: keeps_up(operator, "hotel_pages"), seconds=60)


async def degraded(client: httpx.AsyncClient, part: str, detail: str) -> bool:
    """Whether readiness says so; the platform is ready all the same."""
    parts = ok(await client.get("/health/ready"))["parts"]
    return any(
        each["part"].startswith(part) and each["state"] == "degraded" and detail in each["detail"] for each in parts
    )


async def exported(client: httpx.AsyncClient, line: str) -> bool:
    """Whether a line of the metrics matches."""
    return re.search(line, (await client.get("/metrics")).text) is not None


async def projection(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    """One read model as the list shows it."""
    items = ok(await client.get("/v1/ops/projections"))["items"]
    return next(item for item in items if item["name"] == name)


async def lags(client: httpx.AsyncClient, name: str) -> bool:
    """Whether events wait for the read model."""
    item = await projection(client, name)
    return bool(item["state"] == "paused" and item["lag_events"] > 0)


async def keeps_up(client: httpx.AsyncClient, name: str) -> bool:
    """Whether the read model is live and nothing waits for it."""
    item = await projection(client, name)
    return bool(item["state"] == "live" and item["lag_events"] == 0)


async def saga_of(client: httpx.AsyncClient, booking_id: str) -> dict[str, Any]:
    """The saga about a booking, once it has ended: a little later than the booking is confirmed."""
    saga_id = uuid.uuid5(uuid.UUID(booking_id), "booking")

    async def finished() -> bool:
        return bool(ok(await client.get(f"/v1/ops/sagas/{saga_id}"))["status"] == "finished")

    await until(finished)
    saga: dict[str, Any] = ok(await client.get(f"/v1/ops/sagas/{saga_id}"))
    return saga
