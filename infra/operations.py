"""What operators see of the platform: health, feeds, metrics, the messages it exchanges."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from api.platform import FeedStatus, Health
from commands.ports import Clock, EventStore, Position
from infra.messaging.feeds import Feeds
from infra.messaging.progress import FeedReport
from infra.messaging.stats import Stats
from projections.builds import BuildRegistry
from projections.projection import Projection

PING_SECONDS = 3.0
Ping = Callable[[], Awaitable[object]]
"""Raises if what it asks does not answer."""
_RED_STATES = {"failed", "waiting"}


class Broker(Protocol):
    """What is asked of the connection to RabbitMQ."""

    @property
    def state(self) -> str:
        """``up`` or ``down``."""
        ...

    @property
    def last_error(self) -> str | None:
        """What is wrong."""
        ...


class PlatformOperations:
    """``Operations`` of one process; read models and their checkpoints are seen of all processes."""

    def __init__(
        self,
        *,
        pings: Mapping[str, Ping],
        broker: Broker | None,
        feeds: Feeds,
        logs: Mapping[str, EventStore],
        builds: Mapping[str, BuildRegistry],
        projections: Sequence[Projection],
        stats: Stats,
        clock: Clock,
        asyncapi: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._pings = pings
        self._broker = broker
        self._feeds = feeds
        self._logs = logs
        self._builds = builds
        self._projections = projections
        self._stats = stats
        self._clock = clock
        self._asyncapi = asyncapi
        self.starting: set[str] = set()
        """What this process still does before it is ready."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_StatsCollector(stats, feeds))

    async def health(self) -> Sequence[Health]:
        """See Operations."""
        pinged = await asyncio.gather(*(_ping(part, ping) for part, ping in self._pings.items()))
        if any(health.state == "down" for health in pinged if health.part.startswith("postgres")):
            return pinged
        models = await asyncio.gather(*(self._read_model(projection) for projection in self._projections))
        starting = [Health(part, "down", "is being prepared") for part in sorted(self.starting)]
        broker = [] if self._broker is None else [_broker_health(self._broker)]
        return [*pinged, *starting, *broker, *models, *(_feed_health(report) for report in self._feeds.reports())]

    async def feeds(self) -> Sequence[FeedStatus]:
        """See Operations."""
        reports = {report.name: report for report in self._feeds.reports()}
        live = [
            (build.name, projection.service, projection.contexts, projection.topics)
            for projection in self._projections
            for build in await self._builds[projection.service].builds(projection.name)
            if build.state in {"live", "building"}
        ]
        return await asyncio.gather(*(self._status(*feed, reports.get(feed[0])) for feed in live))

    async def pause(self, feed: str) -> None:
        """See Operations."""
        await self._feeds.pause(feed)

    async def resume(self, feed: str) -> None:
        """See Operations."""
        await self._feeds.resume(feed)

    def metrics(self) -> bytes:
        """See Operations."""
        return generate_latest(self._registry)

    def asyncapi(self) -> Mapping[str, Any]:
        """See Operations."""
        return self._asyncapi()

    async def _read_model(self, projection: Projection) -> Health:
        builds = await self._builds[projection.service].builds(projection.name)
        part = f"read model {projection.name}"
        if any(build.state == "live" for build in builds):
            return Health(part, "up")
        failed = next((build for build in builds if build.state == "failed"), None)
        return Health(part, "down", failed.error or "" if failed else "is being built for the first time")

    async def _status(
        self,
        name: str,
        home: str,
        contexts: Sequence[str],
        topics: frozenset[str],
        report: FeedReport | None,
    ) -> FeedStatus:
        positions = {context: await self._logs[home].checkpoint(name, context) for context in contexts}
        behind = [await self._behind(context, position, topics) for context, position in positions.items()]
        return FeedStatus(
            name=name,
            state=report.state if report else "elsewhere",
            positions={context: str(position) for context, position in positions.items()},
            lag_events=sum(events for events, _ in behind),
            lag_seconds=max(seconds for _, seconds in behind),
            last_error=report.last_error if report and report.state != "running" else None,
        )

    async def _behind(self, context: str, position: Position, topics: frozenset[str]) -> tuple[int, float]:
        """How many events of interest are not handled yet, and how old the oldest of them is."""
        log = self._logs[context]
        count = await log.count(position, topics)
        if not count:
            return 0, 0.0
        run = await log.read_log(position, 1, topics=topics)
        if not run.events:
            return count, 0.0
        return count, max(dt.timedelta(), self._clock.now() - run.events[0].recorded_at).total_seconds()


class _StatsCollector(Collector):
    """Exports messaging's plain numbers."""

    def __init__(self, stats: Stats, feeds: Feeds) -> None:
        self._stats = stats
        self._feeds = feeds

    def collect(self) -> Sequence[Metric]:
        """One family per name."""
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for kind, samples in ((CounterMetricFamily, self._stats.counters), (GaugeMetricFamily, self._stats.gauges)):
            for (name, labels), value in samples.items():
                family = families.setdefault(name, kind(f"nightledger_{name}", name, labels=[key for key, _ in labels]))
                family.add_metric([text for _, text in labels], value)
        state = GaugeMetricFamily("nightledger_feed_up", "1 while the feed is in order.", labels=["feed", "state"])
        for report in self._feeds.reports():
            state.add_metric([report.name, report.state], 0 if report.state in _RED_STATES else 1)
        return [*families.values(), state]


async def _ping(part: str, ping: Ping) -> Health:
    try:
        async with asyncio.timeout(PING_SECONDS):
            await ping()
    except Exception as error:  # noqa: BLE001 - whatever a store raises is the finding
        return Health(part, "down", f"{type(error).__name__}: {error}")
    return Health(part, "up")


def _broker_health(broker: Broker) -> Health:
    if broker.state == "up":
        return Health("rabbitmq", "up")
    return Health("rabbitmq", "down", broker.last_error or "not everything is consumed yet")


def _feed_health(report: FeedReport) -> Health:
    if report.state in _RED_STATES:
        return Health(f"feed {report.name}", "degraded", report.last_error or report.state)
    if report.state == "paused":
        return Health(f"feed {report.name}", "degraded", "paused by an operator")
    return Health(f"feed {report.name}", "up")
