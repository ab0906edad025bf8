"""A process without the gateway serves its numbers where it is told to."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from api.cli.host import CannotStart
from infra.bootstrap.serving import _metrics, _starting
from infra.messaging.stats import Stats
from infra.operating.metrics import StatsCollector
from infra.settings import Settings


def test_numbers_are_served_until_the_process_ends() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    stats, registry = Stats(), CollectorRegistry()
    registry.register(StatsCollector(stats))
    stats.count("timers_done", context="bookings")
    running: Any = SimpleNamespace(operations=SimpleNamespace(registry=registry))
    with _metrics(Settings(metrics_port=port), running):
        assert 'timers_done_total{context="bookings"} 1.0' in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_a_port_that_is_taken_is_what_the_start_complains_of() -> None:
    running: Any = SimpleNamespace(operations=SimpleNamespace(registry=CollectorRegistry()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        complaint = f"^NIGHTLEDGER_METRICS_PORT: cannot listen on 127.0.0.1:{port}; is it in use?"
        with pytest.raises(CannotStart, match=complaint), _starting(), _metrics(Settings(metrics_port=port), running):
            pass


def test_nothing_is_served_where_nothing_is_said() -> None:
    nothing: Any = None
    with _metrics(Settings(metrics_port=None), nothing):
        pass
