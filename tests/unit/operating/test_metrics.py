"""What is exported, and that dashboard and alerts ask for nothing else."""

from __future__ import annotations

import datetime as dt
import json
import re
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from api.http.operations import _state
from api.platform import FeedStatus
from infra.bootstrap.stores import limiter_of
from infra.eventstore.lag import Holder
from infra.messaging.queues import QueueDepth
from infra.messaging.stats import SIZES, Histogram, Stats
from infra.operating.metrics import COUNTERS, HISTOGRAMS, PlatformCollector, StatsCollector
from infra.operating.monitor import Monitor, Sagas, Seen
from infra.operating.operations import _seen_health
from infra.settings import Settings
from projections.builds import Build
from tests.fakes import NOW, FakeClock

SEEN = Seen(
    feeds=(
        FeedStatus("hotel_pages_3", "paused", {}, 12, 3.5, "paused by user:1 at noon: a look"),
        FeedStatus("sagas", "running", {}, 0, 0.0, None),
    ),
    relays={"bookings": (4, 1.5), "payments": (7, 20.0)},
    queues={"commands.payments": QueueDepth(5, 0), "commands.payments.retry.1000": QueueDepth(1, None)},
    letters={"hotel_pages_3": 2},
    sagas=Sagas({"running": 3, "stuck": 1, "quarantined": 0, "finished": 9}, {"running": 70.0}),
    holders=(Holder(77, "ada", "psql", "idle in transaction", "SELECT 1", NOW - dt.timedelta(seconds=9)),),
    unseen={"sagas": "ConnectionError: refused"},
    at=NOW,
    seconds=0.25,
)


def exported(seen: Seen = SEEN) -> dict[str, Any]:
    """Samples by name and labels, of a process that has counted everything once."""
    stats = Stats()
    for name in COUNTERS:
        stats.count(name, service="bookings")
    for name in HISTOGRAMS:
        stats.observe(name, 3, SIZES, context="bookings")
    nothing: Any = None
    monitor = Monitor(board=nothing, desks={}, documents=nothing, pools=(), clock=FakeClock())
    monitor.seen = seen
    registry = CollectorRegistry()
    registry.register(StatsCollector(stats))
    registry.register(PlatformCollector(monitor))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        f"{sample.name}{json.dumps(sample.labels, sort_keys=True)}": sample.value
        for family in families
        for sample in family.samples
    }


def test_what_the_monitor_has_seen_is_exported() -> None:
    samples = exported()
    feed = '{"build": "hotel_pages_3", "feed": "hotel_pages"'
    assert samples[f'nightledger_feed_up{feed}, "state": "paused"}}'] == 0
    assert samples['nightledger_feed_up{"build": "sagas", "feed": "sagas", "state": "running"}'] == 1
    assert samples[f"nightledger_feed_lag_events{feed}}}"] == 12
    assert samples[f"nightledger_feed_lag_seconds{feed}}}"] == 3.5
    assert samples['nightledger_relay_lag_events{"context": "bookings"}'] == 4
    assert samples['nightledger_queue_messages_ready{"queue": "commands.payments"}'] == 5
    assert samples['nightledger_queue_consumers{"queue": "commands.payments"}'] == 0
    assert samples['nightledger_queue_messages_ready{"queue": "commands.payments.retry.1000"}'] == 1
    assert 'nightledger_queue_consumers{"queue": "commands.payments.retry.1000"}' not in samples
    assert samples['nightledger_dead_letters{"consumer": "hotel_pages_3"}'] == 2
    assert samples['nightledger_sagas{"status": "stuck"}'] == 1
    assert samples['nightledger_saga_longest_wait_seconds{"status": "running"}'] == 70
    assert samples['nightledger_readers_held_seconds{"application": "psql", "pid": "77", "user": "ada"}'] == 9
    assert samples['nightledger_monitor_unseen{"part": "sagas"}'] == 1


@pytest.mark.parametrize(
    ("state", "red"),
    [(state, False) for state in ("running", "starting", "retrying", "standby")]
    + [(state, True) for state in ("paused", "failed", "waiting", "down")],
)
def test_list_metric_and_health_agree_on_what_is_red(state: str, *, red: bool) -> None:
    feed = FeedStatus("hotel_pages_1", state, {}, 0, 0.0, None)
    build = Build(
        name=feed.name, projection="hotel_pages", version=1, state="live", replay_id=UUID(int=1), created_at=NOW
    )
    assert _state([build], build, feed) == (state if red else "live")
    seen = Seen(feeds=(feed,))
    labels = json.dumps({"build": feed.name, "feed": "hotel_pages", "state": state})
    assert exported(seen)[f"nightledger_feed_up{labels}"] == (not red)
    assert [health.state for health in _seen_health(seen)] == ["degraded" if red else "up"]


async def test_what_passes_a_limit_uncounted_is_exported() -> None:
    stats, registry = Stats(), CollectorRegistry()
    registry.register(StatsCollector(stats))
    async with Redis(port=1) as nobody:
        await limiter_of(Settings(), nobody, stats).take("guest", 1, 60)
    assert "nightledger_rate_limits_unavailable_total 1.0" in generate_latest(registry).decode()


def test_histograms_cumulate() -> None:
    histogram = Histogram((1, 10))
    for value in (0.5, 1, 2, 11):
        histogram.add(value)
    assert list(histogram.cumulated()) == [("1.0", 2), ("10.0", 3), ("+Inf", 4)]
    assert histogram.sum == 14.5


@pytest.mark.parametrize("file", ["grafana-dashboard.json", "prometheus-rules.yaml"])
def test_dashboard_and_alerts_ask_for_what_is_exported(file: str) -> None:
    text = files("infra.observability").joinpath(file).read_text()
    asked = set(re.findall(r"\bnightledger_[a-z_]+", text))
    assert len(asked) > 7
    assert asked <= {name.partition("{")[0] for name in exported()}


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads(files("infra.observability").joinpath("grafana-dashboard.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["targets"] for panel in panels if panel["type"] != "row")


def test_what_is_wrong_is_degraded_and_says_what_to_do() -> None:
    parts = {health.part: health for health in _seen_health(SEEN)}
    assert parts["feed hotel_pages_3"].state == "degraded"
    assert "a look" in parts["feed hotel_pages_3"].detail
    assert parts["feed sagas"].state == "up"
    assert parts["dead letters of hotel_pages_3"].state == "degraded"
    assert parts["relay payments"].state == "degraded"
    assert "relay bookings" not in parts
    assert parts["sagas stuck"].detail.startswith("1;")
    assert "sagas quarantined" not in parts
    assert "pid 77" in parts["readers of the log"].detail
    assert "SELECT 1" in parts["readers of the log"].detail
