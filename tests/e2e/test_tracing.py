"""One booking is one trace, from the request to every read model, over all processes; two bookings are two traces."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.collecting import Collector, ReceivedSpan, orphans_of
from tests.e2e.conftest import SEPARATE_PROCESSES
from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import book, offer, open_hotel, registered, until

COMMANDS = {
    "bookings.RequestBooking",
    "inventory.HoldRooms",
    "payments.AuthorisePayment",
    "inventory.ConfirmHold",
    "payments.CapturePayment",
    "bookings.ConfirmBooking",
}
FEEDS = {
    "feed sagas",
    "feed calendars_1",
    "feed hotel_search_1",
    "feed booking_pages_1",
    "feed payment_pages_1",
    "feed saga_pages_1",
    "feed booking_facts_1",
}
OVER_THE_BROKER = {
    "request bookings.RequestBooking",
    "publish bookings",
    "publish inventory",
    "publish payments",
}


@pytest.mark.xdist_group("e2e-real")
async def test_a_booking_is_one_trace_over_all_processes(
    tmp_path: Path, new_real_settings: Callable[[], dict[str, str]]
) -> None:
    with Collector() as collector:
        platform = _traced(tmp_path, collector, new_real_settings(), SEPARATE_PROCESSES)
        first, second = await _two_bookings(platform, collector, COMMANDS | FEEDS | OVER_THE_BROKER)
        for trace in (first, second):
            assert {span.service for span in trace} == {
                f"nightledger-{'-'.join(services)}" for services in SEPARATE_PROCESSES
            }
        parents = {
            "request bookings.RequestBooking": "POST /v1/bookings",
            "bookings.RequestBooking": "request bookings.RequestBooking",
            "inventory.HoldRooms": "publish bookings",
            "feed sagas": "publish",
        }
        _parents_are_right(first, parents)
        _warning_names_its_request(platform, second)


@pytest.mark.xdist_group("e2e-embedded")
async def test_a_booking_is_one_trace_in_one_process(tmp_path: Path) -> None:
    with Collector() as collector:
        platform = _traced(tmp_path, collector, {}, ((),))
        first, second = await _two_bookings(platform, collector, COMMANDS | FEEDS)
        assert {span.service for span in (*first, *second)} == {"nightledger"}
        _parents_are_right(first, {"inventory.HoldRooms": "feed sagas", "feed sagas": ""})
        again = next(span for span in second if span.name == "timer messaging.RepeatCommand")
        assert [span.name for span in second if span.parent_id == again.span_id] == ["payments.CapturePayment"]
        _warning_names_its_request(platform, second)


def _traced(
    tmp_path: Path, collector: Collector, settings: dict[str, str], groups: tuple[tuple[str, ...], ...]
) -> RunningPlatform:
    tracing = {
        "NIGHTLEDGER_OTLP_ENDPOINT": collector.endpoint,
        "NIGHTLEDGER_LOG_JSON": "true",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    platform = RunningPlatform(tmp_path / "data", settings | tracing, groups)
    platform.arguments = ("--demo",)
    return platform


async def _two_bookings(
    platform: RunningPlatform, collector: Collector, expected: set[str]
) -> tuple[list[ReceivedSpan], list[ReceivedSpan]]:
    """The traces of two bookings; the capture of the second one fails at first. Both hold what every trace must."""
    with platform:
        async with await platform.login("hotelier") as hotelier, await registered(platform) as guest:
            hotel = await open_hotel(hotelier)
            token = (await offer(guest, hotel["hotel_id"]))["offer_token"]
            answers = [await book(guest, token), await book(guest, token, token="tok_capture_fails_once")]
            correlations = [_confirmed(answer) for answer in answers]
            for correlation in correlations:
                await until(lambda: _reached(collector, correlation, expected))  # noqa: B023 - awaited at once
        traces = [collector.trace_of(correlation) for correlation in correlations]
        await _the_log_says_so(platform, correlations, traces)
    # Whatever was still to be sent has been sent by now: the processes have ended.
    first, second = (collector.trace_of(correlation) for correlation in correlations)
    assert first[0].trace_id != second[0].trace_id
    for trace in (first, second):
        assert [span.name for span in trace if not span.parent_id] == ["POST /v1/bookings"]
        assert orphans_of(trace) == []
    assert [span.name for span in first if span.failed] == []
    assert [span.name for span in second if span.failed] == ["payments.CapturePayment"]
    commands = {name: count for name, count in Counter(span.name for span in second).items() if name in COMMANDS}
    assert commands == dict.fromkeys(COMMANDS, 1) | {"payments.CapturePayment": 2}
    return first, second


def _confirmed(answer: httpx.Response) -> str:
    assert ok(answer, 201)["status"] == "confirmed"
    return answer.headers["X-Request-Id"]


async def _reached(collector: Collector, correlation: str, expected: set[str]) -> bool:
    trace = collector.trace_of(correlation)
    facts = [span for span in trace if span.name == "feed booking_facts_1"]
    told = {kind.rpartition(".")[2] for span in facts for kind in span.attributes["nightledger.event_types"]}
    return {span.name for span in trace} >= expected and "BookingConfirmed" in told


async def _the_log_says_so(
    platform: RunningPlatform, correlations: list[str], traces: list[list[ReceivedSpan]]
) -> None:
    """Every event that followed from a booking has its trace on record."""
    for correlation, trace in zip(correlations, traces, strict=True):
        lines = platform.run("events", "trace", correlation, "--json").stdout.splitlines()
        items: list[dict[str, Any]] = [json.loads(line) for line in lines]
        assert {item["context"] for item in items} == {"bookings", "inventory", "payments"}
        assert {item["trace_id"] for item in items} == {trace[0].trace_id}


def _parents_are_right(trace: list[ReceivedSpan], expected: dict[str, str]) -> None:
    """``expected``: how the name of the parent of every span with some name begins."""
    names = {span.span_id: span.name for span in trace}
    for name, parent in expected.items():
        parents = [names[span.parent_id] for span in trace if span.name == name]
        assert parents
        assert all(each.startswith(parent) for each in parents), (name, parents)


def _warning_names_its_request(platform: RunningPlatform, trace: list[ReceivedSpan]) -> None:
    """What the payments service logs about the failed capture says whose request it was, wherever it runs."""
    lines = [json.loads(line) for line in platform.log.read_text().splitlines() if line.startswith("{")]
    (warning,) = (line for line in lines if line["event"] == "command_failed")
    root = next(span for span in trace if not span.parent_id)
    assert warning["command"] == "payments.CapturePayment"
    assert warning["trace_id"] == root.trace_id
    assert warning["correlation_id"] == root.attributes["nightledger.correlation_id"]
