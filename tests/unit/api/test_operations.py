"""What operators and machines see over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.platform import Health
from commands.ports import DeadLetter, Position, Temporary
from tests.fakes import NOW
from tests.unit.api.conftest import World, book, offer_token, ok, open_hotel, refused

LETTER = DeadLetter(
    letter_id=uuid4(),
    consumer="sagas",
    context="bookings",
    stream_id=uuid4(),
    position=Position(3, 4),
    topic="bookings.v1.BookingRequested",
    message={"id": "1"},
    error="ValueError: no",
    traceback="Traceback",
    attempts=5,
    behind=False,
    parked_at=NOW,
)


@pytest.fixture
async def operator(world: World) -> httpx.AsyncClient:
    return await world.as_("operator")


async def test_read_models_are_listed(operator: httpx.AsyncClient) -> None:
    items = {item["name"]: item for item in ok(await operator.get("/v1/ops/projections"))["items"]}
    assert set(items) == {
        "hotel_pages",
        "hotel_search",
        "calendars",
        "booking_pages",
        "payment_pages",
        "review_pages",
        "notices",
        "saga_pages",
    }
    assert items["hotel_pages"]["state"] == "live"
    assert items["hotel_pages"]["position"] == {"hotels": "3.4"}
    assert items["hotel_pages"]["lag_events"] == 0


async def test_a_replay_is_asked_for_once(world: World, operator: httpx.AsyncClient) -> None:
    answer = await operator.post("/v1/ops/projections/hotel_pages/replay")
    replay_id = ok(answer, 202)["replay_id"]
    replay = ok(await operator.get(answer.headers["location"]))
    assert (replay["replay_id"], replay["state"], replay["progress"]) == (replay_id, "building", 0.0)
    refused(await operator.post("/v1/ops/projections/hotel_pages/replay"), 409, "replay-running")
    build = next(each for each in world.memory.builds.all if str(each.replay_id) == replay_id)
    await world.memory.builds.update(build.model_copy(update={"events_done": 50, "events_total": 200}))
    world.memory.clock.advance(seconds=10)
    operator = await world.as_("admin")
    replay = ok(await operator.get(f"/v1/ops/replays/{replay_id}"))
    assert (replay["progress"], replay["events_per_second"], replay["eta_seconds"]) == (0.25, 5.0, 30.0)
    refused(await operator.post("/v1/ops/projections/nothing/replay"), 404, "not-found")
    refused(await operator.post(f"/v1/ops/projections/{'a' * 3000}/replay"), 404, "not-found")
    refused(await operator.get(f"/v1/ops/replays/{uuid4()}"), 404, "not-found")


async def test_sagas_are_listed_and_shown(world: World, operator: httpx.AsyncClient) -> None:
    guest, hotel = await world.as_("guest"), await open_hotel(operator)
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    [item] = ok(await operator.get("/v1/ops/sagas", params={"state": "finished"}))["items"]
    assert (item["subject_id"], item["status"]) == (booking["booking_id"], "finished")
    for state in ("running", "stuck", "quarantined"):
        assert ok(await operator.get("/v1/ops/sagas", params={"state": state}))["items"] == []
    refused(await operator.get("/v1/ops/sagas", params={"state": "lost"}), 400, "invalid-request", "state")
    saga = ok(await operator.get(f"/v1/ops/sagas/{item['saga_id']}"))
    assert saga["steps"][0]["what"] == "bookings.v1.SagaReacted"
    refused(await operator.get(f"/v1/ops/sagas/{booking['booking_id']}"), 404, "not-found")


async def test_dead_letters_are_listed_and_shown(world: World, operator: httpx.AsyncClient) -> None:
    world.memory.letters.letters.append(LETTER)
    [item] = ok(await operator.get("/v1/ops/dead-letters", params={"consumer": "sagas"}))["items"]
    assert (item["letter_id"], item["position"]) == (str(LETTER.letter_id), "3.4")
    assert "message" not in item
    assert ok(await operator.get(f"/v1/ops/dead-letters/{LETTER.letter_id}"))["message"] == {"id": "1"}
    assert ok(await operator.get("/v1/ops/dead-letters", params={"consumer": "other"}))["items"] == []
    refused(await operator.get(f"/v1/ops/dead-letters/{uuid4()}"), 404, "not-found")


async def test_ready_means_that_nothing_is_down(world: World) -> None:
    assert ok(await world.anonymous.get("/health/live"))["status"] == "up"
    assert ok(await world.anonymous.get("/health/ready"))["status"] == "ready"
    world.memory.operations.parts.append(Health("redis", "down", "refuses connections"))
    body = ok(await world.anonymous.get("/health/ready"), 503)
    assert body["parts"][-1] == {"part": "redis", "state": "down", "detail": "refuses connections"}


async def test_machines_are_told_numbers_and_messages(world: World) -> None:
    metrics = await world.anonymous.get("/metrics")
    assert metrics.text == "nightledger_up 1\n"
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert ok(await world.anonymous.get("/asyncapi.json"))["asyncapi"] == "3.0.0"


@pytest.mark.parametrize(("error", "status"), [(Temporary("away"), 503), (RuntimeError("secret"), 500)])
async def test_failures_of_ours_say_so_and_nothing_more(
    world: World, operator: httpx.AsyncClient, error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(world.memory.builds, "of_replay", fail)
    answer = await operator.get(f"/v1/ops/replays/{uuid4()}")
    refused(answer, status, "service-unavailable" if status == 503 else "internal-error")
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) is (status == 503)
