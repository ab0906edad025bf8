"""What operators see of the platform: health, feeds, metrics, the messages it exchanges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.process_collector import ProcessCollector

from api.platform import FeedStatus, Health
from commands.operating import FeedControl, FeedControls
from commands.ports import Clock
from domain.shared.errors import NotFound
from infra.messaging.stats import Stats
from infra.operating.feed_board import FeedBoard
from infra.operating.metrics import PlatformCollector, StatsCollector
from infra.operating.monitor import Monitor, Seen
from projections.builds import BuildRegistry
from projections.projection import Projection

PING_SECONDS = 3.0
RELAY_LATE_SECONDS = 15.0
"""A relay that leaves an event unpublished for longer does not work."""
Ping = Callable[[], Awaitable[object]]
"""Raises if what it asks does not answer."""


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
    """``Operations`` of one process; read models, feeds and what the monitor sees are those of all processes."""

    def __init__(
        self,
        *,
        pings: Mapping[str, Ping],
        broker: Broker | None,
        board: FeedBoard,
        monitor: Monitor,
        builds: Mapping[str, BuildRegistry],
        controls: Mapping[str, FeedControls],
        projections: Sequence[Projection],
        stats: Stats,
        clock: Clock,
        asyncapi: Callable[[], Mapping[str, Any]],
    ) -> None:
        """``controls`` by context, ``builds`` by service."""
        self._pings = pings
        self._broker = broker
        self._board = board
        self._monitor = monitor
        self._builds = builds
        self._controls = controls
        self._projections = projections
        self._clock = clock
        self._asyncapi = asyncapi
        self.starting: set[str] = set()
        """What this process still does before it is ready."""
        self.registry = CollectorRegistry()
        """The numbers of this process, and those of the platform."""
        ProcessCollector(registry=self.registry)
        self.registry.register(StatsCollector(stats))
        self.registry.register(PlatformCollector(monitor))

    async def health(self) -> Sequence[Health]:
        """See Operations."""
        pinged = await asyncio.gather(*(_ping(part, ping) for part, ping in self._pings.items()))
        if any(health.state == "down" for health in pinged if health.part.startswith("postgres")):
            return pinged
        models = await asyncio.gather(*(self._read_model(projection) for projection in self._projections))
        starting = [Health(part, "down", "is being prepared") for part in sorted(self.starting)]
        broker = [] if self._broker is None else [_broker_health(self._broker)]
        return [*pinged, *starting, *broker, *models, *_seen_health(self._monitor.seen)]

    async def feeds(self) -> Sequence[FeedStatus]:
        """See Operations."""
        return await self._board.read_models()

    async def pause(self, projection: str, by: str, why: str) -> None:
        """See Operations."""
        await self._order(projection, by, why, paused=True)

    async def resume(self, projection: str, by: str, why: str) -> None:
        """See Operations."""
        await self._order(projection, by, why, paused=False)

    def metrics(self) -> bytes:
        """See Operations."""
        return generate_latest(self.registry)

    def asyncapi(self) -> Mapping[str, Any]:
        """See Operations."""
        return self._asyncapi()

    async def _order(self, name: str, by: str, why: str, *, paused: bool) -> None:
        projection = next((each for each in self._projections if each.name == name), None)
        if projection is None:
            known = ", ".join(each.name for each in self._projections)
            raise NotFound(f"no read model {name[:100]!r}; there are {known}")
        await self._controls[projection.service].order(FeedControl(name, paused, by, why, self._clock.now()))

    async def _read_model(self, projection: Projection) -> Health:
        builds = await self._builds[projection.service].builds(projection.name)
        part = f"read model {projection.name}"
        if any(build.state == "live" for build in builds):
            return Health(part, "up")
        failed = next((build for build in builds if build.state == "failed"), None)
        return Health(part, "down", failed.error or "" if failed else "is being built for the first time")


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


def _seen_health(seen: Seen) -> Iterator[Health]:
    """What serves on although something is wrong with it."""
    for feed in seen.feeds:
        red = feed.is_red
        yield Health(f"feed {feed.name}", "degraded" if red else "up", (feed.last_error or feed.state) if red else "")
    for context, (events, seconds) in seen.relays.items():
        if seconds >= RELAY_LATE_SECONDS:
            detail = f"{events} events are not published, the first for {seconds:.0f} s; consumers read the log"
            yield Health(f"relay {context}", "degraded", detail)
    for consumer, count in seen.letters.items():
        yield Health(f"dead letters of {consumer}", "degraded", f"{count}; see nightledger dead-letters list")
    for status in ("stuck", "quarantined"):
        if count := seen.sagas.counts.get(status, 0):
            yield Health(f"sagas {status}", "degraded", f"{count}; see nightledger sagas list --state {status}")
    for holder in seen.holders:
        yield Health("readers of the log", "degraded", f"held back by {holder}; pg_terminate_backend ends it")
    for part, error in seen.unseen.items():
        yield Health(f"monitor of {part}", "degraded", error)
