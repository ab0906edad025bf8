"""A request is a span, and what follows from it belongs to that span."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from structlog.testing import capture_logs

from commands.tracing import UNTRACED
from tests.unit.api.conftest import HOTEL, World, book, offer_token, ok, open_hotel, world_of
from tests.unit.api.fakes import Memory
from tests.unit.observability.spans import PARENT, KeptSpans, about, failed, name_of, parent_of


@pytest.fixture
def kept() -> KeptSpans:
    return KeptSpans()


@pytest.fixture
async def traced(memory: Memory, kept: KeptSpans) -> AsyncIterator[World]:
    async with world_of(memory, tracing=kept.tracing) as made:
        yield made


def recorded_traces(memory: Memory, context: str) -> set[str | None]:
    return {recorded.metadata.traceparent for recorded in memory.fakes.streams[context].log}


async def test_a_request_is_a_span_named_by_its_route(traced: World, kept: KeptSpans, memory: Memory) -> None:
    hotelier = await traced.as_("hotelier")
    answer = await hotelier.post("/v1/hotels", json=HOTEL, headers={"traceparent": PARENT})
    hotel_id = ok(answer, 201)["hotel_id"]
    span = kept.only()
    assert (span.name, span.kind.name, parent_of(span)) == ("POST /v1/hotels", "SERVER", PARENT)
    assert about(span) == {
        "http.request.method": "POST",
        "http.route": "/v1/hotels",
        "http.response.status_code": 201,
        "url.path": "/v1/hotels",
        "url.scheme": "http",
        "nightledger.correlation_id": answer.headers["x-request-id"],
    }
    assert recorded_traces(memory, "hotels") == {name_of(span)}
    ok(await traced.anonymous.get(f"/v1/hotels/{hotel_id}"))
    assert kept.named("GET /v1/hotels/{hotel_id}").parent is None


async def test_every_booking_is_a_trace_of_its_own(traced: World, kept: KeptSpans, memory: Memory) -> None:
    hotel = await open_hotel(await traced.as_("hotelier"))
    guest = await traced.as_("guest")
    for _ in range(2):
        ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    posts = [span for span in kept.ended if span.name == "POST /v1/bookings"]
    assert len({span.context.trace_id for span in posts if span.context}) == 2
    booked = {name_of(span) for span in posts}
    assert recorded_traces(memory, "bookings") == recorded_traces(memory, "payments") == booked


async def test_what_a_page_asks_the_api_for_belongs_to_the_page(traced: World, kept: KeptSpans) -> None:
    answer = await traced.anonymous.get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 200
    page = kept.named("GET /")
    asked = [span for span in kept.ended if span is not page]
    assert asked
    assert {parent_of(span) for span in asked} == {name_of(page)}
    correlations = {about(span)["nightledger.correlation_id"] for span in kept.ended}
    assert correlations == {answer.headers["x-request-id"]}


async def test_a_failure_of_ours_is_on_the_span(traced: World, kept: KeptSpans, memory: Memory) -> None:
    memory.bus_error = RuntimeError("broken")
    answer = await (await traced.as_("hotelier")).post("/v1/hotels", json=HOTEL)
    assert answer.status_code == 500
    assert failed(kept.only())
    assert kept.only().status.description == "RuntimeError: broken"


async def test_a_refusal_is_no_failure(traced: World, kept: KeptSpans) -> None:
    assert (await traced.anonymous.get(f"/v1/hotels/{uuid4()}")).status_code == 404
    assert about(kept.only())["http.response.status_code"] == 404
    assert not failed(kept.only())


@pytest.mark.parametrize("path", ["/health/live", "/metrics"])
async def test_machines_that_look_every_second_make_no_traces(traced: World, kept: KeptSpans, path: str) -> None:
    assert (await traced.anonymous.get(path)).is_success
    assert kept.ended == []


@pytest.mark.parametrize(("sent", "recorded"), [(PARENT, PARENT), ("no traceparent", None)])
async def test_untraced_a_callers_trace_is_recorded(memory: Memory, sent: str, recorded: str | None) -> None:
    async with world_of(memory, tracing=UNTRACED) as world:
        hotelier = await world.as_("hotelier")
        ok(await hotelier.post("/v1/hotels", json=HOTEL, headers={"traceparent": sent}), 201)
    assert recorded_traces(memory, "hotels") == {recorded}


async def test_what_is_logged_meanwhile_bears_the_request_id(
    traced: World, kept: KeptSpans, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = memory.send

    async def send_and_log(envelope: Any) -> Any:
        structlog.get_logger("deep").warning("deep inside")
        return await send(envelope)

    monkeypatch.setattr(memory, "send", send_and_log)
    hotelier = await traced.as_("hotelier")
    request_id = str(UUID(int=42))
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        ok(await hotelier.post("/v1/hotels", json=HOTEL, headers={"X-Request-Id": request_id}), 201)
        memory.bus_error = RuntimeError("broken")
        await hotelier.post("/v1/hotels", json=HOTEL)
    deep, request, *later = (line for line in logs if line["event"] in {"deep inside", "request", "request failed"})
    assert [deep["event"], request["event"]] == ["deep inside", "request"]
    trace_id = name_of(kept.ended[0]).split("-")[1]
    for line in (deep, request):
        assert (line["correlation_id"], line["trace_id"]) == (request_id, trace_id)
    assert (request["method"], request["route"], request["status"]) == ("POST", "/v1/hotels", 201)
    unexpected = next(line for line in later if line["event"] == "request failed")
    assert unexpected["correlation_id"] == unexpected["request_id"] != request_id
    assert structlog.contextvars.get_contextvars() == {}
