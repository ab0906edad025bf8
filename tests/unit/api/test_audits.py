"""Audits over HTTP: asked for, followed, read, and put on record."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest

from commands.ports import Position
from projections.audit.audits import LOST_AFTER
from projections.audit.records import Check, Proof, Violation
from tests.fakes import NOW
from tests.unit.api.conftest import World, ok, refused

PROOF = Proof(
    event_id=uuid4(),
    context="bookings",
    stream_id=uuid4(),
    version=2,
    type="bookings.v1.BookingConfirmed",
    position=str(Position(3, 4)),
    at=NOW,
    actor="saga:booking",
)
WRONG = Check(
    name="read_model:booking_pages",
    about="booking_pages is what a fresh fold of the log makes of it.",
    checked=7,
    violations=(Violation(detail="status is pending", events=(PROOF,)),),
    unlisted=2,
)


@pytest.fixture
async def operator(world: World) -> httpx.AsyncClient:
    return await world.as_("operator")


async def ended(world: World) -> None:
    """Wait until the audit that runs has ended."""
    running = world.memory.audits._running  # noqa: SLF001 - nothing else tells a test when it has ended
    assert running is not None
    await running


async def test_an_audit_is_asked_for_and_tells_what_it_found(world: World, operator: httpx.AsyncClient) -> None:
    world.memory.auditor.checks = (WRONG,)
    asked = {"from": "2026-05-01", "to": "2026-06-01T14:30:00+02:00", "full": True}
    answer = await operator.post("/v1/ops/audits", json=asked)
    audit_id = ok(answer, 202)["audit_id"]
    await ended(world)
    audit = ok(await operator.get(answer.headers["location"]))
    assert (audit["audit_id"], audit["state"], audit["full"]) == (audit_id, "finished", True)
    assert (audit["from"], audit["to"]) == ("2026-05-01T00:00:00Z", "2026-06-01T12:30:00Z")
    assert audit["events_per_second"] > 0
    assert (audit["events_done"], audit["violations"], audit["replays"]) == (3, 3, {})
    [check] = audit["checks"]
    assert check["violations"][0]["events"][0]["event_id"] == str(PROOF.event_id)
    [item] = ok(await operator.get("/v1/ops/audits"))["items"]
    assert (item["audit_id"], item["checks"]) == (audit_id, [])
    refused(await operator.get(f"/v1/ops/audits/{uuid4()}"), 404, "not-found")


async def test_what_differs_is_rebuilt_if_asked_for_and_that_is_on_record(
    world: World, operator: httpx.AsyncClient
) -> None:
    world.memory.auditor.checks = (WRONG, WRONG.model_copy(update={"name": "money"}))
    audit_id = ok(await operator.post("/v1/ops/audits", json={"fix": True}), 202)["audit_id"]
    await ended(world)
    audit = ok(await operator.get(f"/v1/ops/audits/{audit_id}"))
    assert list(audit["replays"]) == ["booking_pages"]
    replay = ok(await operator.get(f"/v1/ops/replays/{audit['replays']['booking_pages']}"))
    assert (replay["projection"], replay["state"]) == ("booking_pages", "building")
    [action] = await world.memory.actions.newest(10)
    assert (action.action, action.outcome) == ("audits.fix", {"audit_id": audit_id})


async def test_one_audit_at_a_time(world: World, operator: httpx.AsyncClient) -> None:
    world.memory.auditor.released.clear()
    audit_id = ok(await operator.post("/v1/ops/audits", json={}), 202)["audit_id"]
    assert ok(await operator.get(f"/v1/ops/audits/{audit_id}"))["state"] == "running"
    refused(await operator.post("/v1/ops/audits", json={}), 409, "audit-running")
    await world.memory.audits.close()
    audit = ok(await operator.get(f"/v1/ops/audits/{audit_id}"))
    assert (audit["state"], audit["error"]) == ("failed", "it was stopped")
    world.memory.auditor.released.set()
    world.memory.audit_records.elsewhere = True
    refused(await operator.post("/v1/ops/audits", json={}), 409, "audit-running")
    assert len(ok(await operator.get("/v1/ops/audits"))["items"]) == 1, "what was refused is no audit"
    world.memory.audit_records.elsewhere = False
    ok(await operator.post("/v1/ops/audits", json={}), 202)
    await ended(world)


async def test_an_audit_that_fails_says_why(world: World, operator: httpx.AsyncClient) -> None:
    world.memory.auditor.error = OSError("the log is away")
    audit_id = ok(await operator.post("/v1/ops/audits", json={}), 202)["audit_id"]
    await ended(world)
    audit = ok(await operator.get(f"/v1/ops/audits/{audit_id}"))
    assert (audit["state"], audit["error"]) == ("failed", "OSError: the log is away")


async def test_an_audit_whose_process_has_died_is_not_waited_for(world: World, operator: httpx.AsyncClient) -> None:
    world.memory.auditor.released.clear()
    audit_id = ok(await operator.post("/v1/ops/audits", json={}), 202)["audit_id"]
    world.memory.clock.advance(seconds=LOST_AFTER.total_seconds() + 1)
    assert ok(await operator.get(f"/v1/ops/audits/{audit_id}"))["state"] == "failed"
    await world.memory.audits.close()


async def test_only_sense_is_audited_and_only_by_operators(world: World, operator: httpx.AsyncClient) -> None:
    backwards = {"from": "2026-06-01", "to": "2026-05-01"}
    refused(await operator.post("/v1/ops/audits", json=backwards), 400, "invalid-request", "to")
    refused(await operator.post("/v1/ops/audits", json={"when": 1}), 400, "invalid-request")
    refused(await operator.post("/v1/ops/audits", json={"from": "2026-06-01T12:00:00"}), 400, "invalid-request")
    for role in ("guest", "hotelier", "analyst"):
        refused(await (await world.as_(role)).post("/v1/ops/audits", json={}), 403, "forbidden")
