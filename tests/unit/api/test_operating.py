"""What operators order over HTTP, what it touches, and that it goes on record."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from commands.dead_letters import failure_of
from commands.ports import DeadLetter, Position
from tests.fakes import NOW
from tests.unit.api.conftest import World, book, offer_token, ok, open_hotel, refused

TRACEBACK = """Traceback (most recent call last):
  File "/somewhere/infra/messaging/feed_runner.py", line 150, in _single
    await self._patiently(prev, position, (recorded,))
  File "/somewhere/projections/hotel_pages.py", line 41, in apply
    stars = event.stars
AttributeError: no stars
"""


def letter(number: int = 1, **changes: Any) -> DeadLetter:
    """A dead letter whose message says who booked."""
    made = DeadLetter(
        letter_id=uuid4(),
        consumer="hotel_pages_1",
        context="hotels",
        stream_id=UUID(int=number),
        position=Position(3, number),
        topic="hotels.v1.HotelOpened",
        message={"id": "1", "type": "hotels.v1.HotelOpened", "data": {"name": "Alfama", "rooms": [{"beds": 2}]}},
        error="AttributeError: no stars",
        traceback=TRACEBACK,
        attempts=4,
        behind=False,
        parked_at=NOW,
    )
    return replace(made, **changes)


@pytest.fixture
async def operator(world: World) -> httpx.AsyncClient:
    return await world.as_("operator")


@pytest.fixture
def letters(world: World) -> list[DeadLetter]:
    """Two streams; in the first, one letter waits behind another."""
    world.memory.letters.letters += [
        letter(1),
        letter(1, behind=True, error="an earlier event of the stream is parked", traceback=""),
        letter(2, error="KeyError: 'x'", parked_at=NOW + dt.timedelta(hours=2)),
    ]
    return world.memory.letters.letters


async def test_failures_are_grouped(operator: httpx.AsyncClient, letters: list[DeadLetter]) -> None:
    items = ok(await operator.get("/v1/ops/dead-letters/groups"))["items"]
    assert [(item["type"], item["count"], item["behind"]) for item in items] == [
        ("KeyError", 1, 0),
        ("AttributeError", 1, 1),
    ]
    assert items[1]["frame"] == "projections/hotel_pages.py in apply"
    [item] = ok(
        await operator.get("/v1/ops/dead-letters", params={"group": items[1]["group"], "type": "AttributeError"})
    )["items"]
    assert item["letter_id"] == str(letters[0].letter_id)


@pytest.mark.parametrize(
    ("marks", "found"),
    [
        ({"type": "hotels.v1.HotelOpened"}, [0, 1, 2]),
        ({"stream_id": str(UUID(int=1))}, [0, 1]),
        ({"older_than": (NOW + dt.timedelta(hours=1)).isoformat()}, [0, 1]),
        ({"newer_than": (NOW + dt.timedelta(hours=1)).isoformat().replace("+00:00", "")}, [2]),
        ({"consumer": "sagas"}, []),
    ],
)
async def test_letters_are_found_by_marks(
    operator: httpx.AsyncClient, letters: list[DeadLetter], marks: dict[str, str], found: list[int]
) -> None:
    items = ok(await operator.get("/v1/ops/dead-letters", params=marks))["items"]
    assert [item["letter_id"] for item in items] == [str(letters[each].letter_id) for each in found]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("dead-letters", {"group": "\0"}),
        ("dead-letters", {"type": "\0"}),
        ("dead-letters", {"consumer": "\0"}),
        ("dead-letters", {"older_than": "0001-01-01T00:00:00+14:00"}),
        ("actions", {"cursor": "0001-01-01T00:00:00+14:00"}),
        ("actions", {"cursor": "9999-12-31T23:59:59-14:00"}),
        ("logs/bookings", {"after": "99999999999999999999.1"}),
        ("logs/bookings", {"after": f"{'9' * 5_000}.1"}),
    ],
)
async def test_what_no_store_can_keep_is_refused(
    operator: httpx.AsyncClient, path: str, parameters: dict[str, str]
) -> None:
    refused(await operator.get(f"/v1/ops/{path}", params=parameters), 400, "invalid-request")


async def test_a_name_that_no_store_can_keep_is_refused_on_record(operator: httpx.AsyncClient) -> None:
    refused(await operator.post("/v1/ops/projections/%00/replay"), 404, "not-found")
    [action] = ok(await operator.get("/v1/ops/actions"))["items"]
    assert action["target"] == "\N{REPLACEMENT CHARACTER}"


async def test_what_a_message_says_is_for_admins(world: World, operator: httpx.AsyncClient) -> None:
    quoted = "ValidationError: stars [type=int, input_value='Ada', input_type=str]"
    one = letter(error=quoted, traceback=f"{TRACEBACK}{quoted}")
    world.memory.letters.letters.append(one)
    seen = ok(await operator.get(f"/v1/ops/dead-letters/{one.letter_id}"))
    assert seen["message"] == {"id": "1", "type": one.topic, "data": {"name": "***", "rooms": [{"beds": "***"}]}}
    assert "Ada" not in str(seen)
    admin = await world.as_("admin")
    seen = ok(await admin.get(f"/v1/ops/dead-letters/{one.letter_id}"))
    assert seen["message"] == one.message
    assert seen["error"] == quoted


async def test_a_retry_takes_whole_streams_and_tells_new_failures_from_old(
    world: World, operator: httpx.AsyncClient, letters: list[DeadLetter]
) -> None:
    first, behind, other = letters
    memory = world.memory.letters
    memory.outcomes = {first.letter_id: "failed_again", behind.letter_id: "waiting", other.letter_id: "failed_anew"}
    dry = ok(await operator.post("/v1/ops/dead-letters/retry", json={"type": "AttributeError", "dry_run": True}))
    assert (dry["dry_run"], dry["selected"], dry["streams"], dry["action_id"]) == (True, 2, 1, None)
    assert world.memory.actions.all == []
    done = ok(await operator.post("/v1/ops/dead-letters/retry", json={"all": True, "why": "the code is mended"}))
    assert (done["selected"], done["failed_again"], done["failed_anew"], done["waiting"]) == (3, 1, 1, 1)
    [action] = world.memory.actions.all
    assert (action.action, action.target, action.why) == ("dead_letters.retry", "all", "the code is mended")
    assert action.outcome is not None
    assert action.outcome["failed_anew"] == 1
    assert str(other.letter_id) in action.outcome["letters"]


async def test_a_retry_that_nobody_takes_up_stays_pending(
    world: World, operator: httpx.AsyncClient, letters: list[DeadLetter]
) -> None:
    world.memory.letters.outcomes = {letters[2].letter_id: None}
    address = f"/v1/ops/dead-letters/{letters[2].letter_id}/retry"
    done = ok(await operator.post(address, headers={"Prefer": "wait=0"}))
    assert (done["selected"], done["pending"], done["handled"]) == (1, 1, 0)


async def test_discarding_touches_what_is_named_and_nothing_else(
    world: World, operator: httpx.AsyncClient, letters: list[DeadLetter]
) -> None:
    first, behind, other = letters
    group = failure_of(first).group
    done = ok(await operator.post("/v1/ops/dead-letters/discard", json={"group": group, "why": "a test hotel"}))
    assert (done["selected"], done["discarded"]) == (1, 1)
    assert world.memory.letters.letters == [behind, other]
    refused(await operator.post(f"/v1/ops/dead-letters/{first.letter_id}/discard"), 404, "not-found")
    refused(await operator.post("/v1/ops/dead-letters/discard", json={}), 400, "invalid-request")
    assert world.memory.letters.letters == [behind, other]


async def test_a_read_model_is_paused_and_resumed(world: World, operator: httpx.AsyncClient) -> None:
    ok(await operator.post("/v1/ops/projections/hotel_pages/pause", json={"why": "looks wrong"}))
    items = {item["name"]: item for item in ok(await operator.get("/v1/ops/projections"))["items"]}
    assert items["hotel_pages"]["state"] == "paused"
    assert items["hotel_pages"]["last_error"].endswith("looks wrong")
    ok(await operator.post("/v1/ops/projections/hotel_pages/resume"))
    assert world.memory.operations.paused == {}
    refused(await operator.post("/v1/ops/projections/nothing/pause"), 404, "not-found")
    items = ok(await operator.get("/v1/ops/actions"))["items"]
    assert [(item["action"], item["target"], item["why"]) for item in items] == [
        ("projections.pause", "nothing", ""),
        ("projections.resume", "hotel_pages", ""),
        ("projections.pause", "hotel_pages", "looks wrong"),
    ]
    assert "refused" in items[0]["outcome"]


async def test_a_replay_lets_a_paused_read_model_go_on(world: World, operator: httpx.AsyncClient) -> None:
    world.memory.operations.paused["hotel_pages"] = "somebody"
    ok(await operator.post("/v1/ops/projections/hotel_pages/replay"), 202)
    assert world.memory.operations.paused == {}


async def test_the_record_is_read_page_by_page(world: World, operator: httpx.AsyncClient) -> None:
    for _ in range(3):
        ok(await operator.post("/v1/ops/projections/hotel_pages/resume"))
        world.memory.clock.advance(seconds=1)
    page = ok(await operator.get("/v1/ops/actions", params={"limit": 2}))
    rest = ok(await operator.get("/v1/ops/actions", params={"limit": 2, "cursor": page["next_cursor"]}))
    assert (len(page["items"]), len(rest["items"]), rest["next_cursor"]) == (2, 1, None)
    refused(await operator.get("/v1/ops/actions", params={"cursor": "x"}), 400, "invalid-request")


async def test_a_saga_tells_its_story_without_means_of_payment(world: World, operator: httpx.AsyncClient) -> None:
    guest, hotel = await world.as_("guest"), await open_hotel(operator)
    ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    [item] = ok(await operator.get("/v1/ops/sagas", params={"state": "finished"}))["items"]
    answer = await operator.get(f"/v1/ops/sagas/{item['saga_id']}")
    saga = ok(answer)
    told = [each["what"] for each in saga["timeline"]]
    assert told[0] == "bookings.v1.BookingRequested"
    assert {"inventory.v1.RoomsHeld", "payments.v1.PaymentCaptured", "bookings.v1.BookingConfirmed"} <= set(told)
    assert "tok_ok" not in answer.text


@pytest.mark.parametrize("role", ["guest", "hotelier", "analyst"])
async def test_only_staff_may_order(world: World, role: Any) -> None:
    client = await world.as_(role)
    for path in ("projections/hotel_pages/pause", "dead-letters/retry", f"sagas/{uuid4()}/retry"):
        refused(await client.post(f"/v1/ops/{path}", json={"why": "curious"}), 403, "forbidden")
    refused(await client.get("/v1/ops/actions"), 403, "forbidden")
