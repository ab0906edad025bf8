"""Spans on their way to a collector, and to one that is not there."""

from __future__ import annotations

import socket
import time

import pytest

from infra.observability import otlp
from infra.observability.otlp import OtlpTracing
from tests.e2e.collecting import Collector
from tests.unit.observability.spans import PARENT, TRACE


@pytest.mark.parametrize("ending", ["", "/"])
def test_the_last_spans_are_delivered_when_the_process_ends(ending: str) -> None:
    with Collector() as collector:
        tracing = OtlpTracing(collector.endpoint + ending, "nightledger-test", "1.2.3", 1.0)
        with tracing.span("work", "producer", PARENT, {"answer": 42, "types": ("a", "b")}):
            pass
        tracing.close()
        (span,) = collector.spans()
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT.split("-")[2])
    assert (span.name, span.kind, span.service, span.failed) == ("work", "PRODUCER", "nightledger-test", False)
    assert span.attributes == {"answer": 42, "types": ["a", "b"]}


def test_a_collector_that_is_away_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "EXPORT_SECONDS", 60.0)
    monkeypatch.setattr(otlp, "CLOSE_SECONDS", 0.1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tracing = OtlpTracing(f"http://127.0.0.1:{port}", "nightledger-test", "1.2.3", 1.0)
    with tracing.span("work", "producer", PARENT, {}):
        pass
    begun = time.monotonic()
    tracing.close()
    assert time.monotonic() - begun < 10
