"""The numbers of one process and of the whole platform, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.messaging.stats import Stats
from infra.operating.monitor import Monitor, Seen
from projections.builds import read_model_of

PREFIX = "nightledger_"
COUNTERS: Mapping[str, str] = {
    "commands": "Commands carried out, by outcome: done, or the name of the refusal, or failed.",
    "commands_done": "Commands of sagas that were carried out.",
    "commands_duplicate": "Commands of sagas that came again and had been carried out.",
    "commands_failed": "Attempts at commands of sagas that failed.",
    "commands_parked": "Commands of sagas that became dead letters.",
    "feed_events": "Events handled, by feed and context.",
    "feed_failures": "Failures of feeds, retried ones included.",
    "feed_parked": "Events that became dead letters, or wait behind one.",
    "rate_limits_unavailable": "Requests that were let through uncounted because Redis did not answer.",
    "relay_commands": "Commands that relays published.",
    "relay_errors": "Interruptions of relays.",
    "relay_events": "Events that relays published.",
    "relay_runs": "Messages in which relays published events.",
    "rpc_answered": "Requests of other processes that were answered.",
    "rows_forgotten": "Rows that were kept for a while only and are over, by table.",
    "timers_done": "Timers delivered.",
    "timers_failed": "Deliveries of timers that failed.",
}
"""What is said of counters; those that are not here explain themselves."""
HISTOGRAMS: Mapping[str, str] = {
    "append_seconds": "Time of one transaction of the event store, by context.",
    "append_batch_events": "Events that one transaction of the event store appended.",
    "append_batch_commits": "Commits that shared one transaction of the event store.",
    "command_seconds": "Time of one command in its handler, by service.",
}


class StatsCollector(Collector):
    """What this process has counted."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """One family per name; copies, because other threads may ask."""
        yield from self._counters()
        yield from self._histograms()

    def _counters(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily] = {}
        for (name, labels), amount in dict(self._stats.counters).items():
            text = COUNTERS.get(name, name.replace("_", " "))
            family = families.setdefault(
                name, CounterMetricFamily(PREFIX + name, text, labels=[key for key, _ in labels])
            )
            family.add_metric([value for _, value in labels], amount)
        yield from families.values()

    def _histograms(self) -> Iterator[Metric]:
        histograms: dict[str, HistogramMetricFamily] = {}
        for (name, labels), histogram in dict(self._stats.histograms).items():
            family = histograms.setdefault(
                name, HistogramMetricFamily(PREFIX + name, HISTOGRAMS[name], labels=[key for key, _ in labels])
            )
            family.add_metric([value for _, value in labels], list(histogram.cumulated()), histogram.sum)
        yield from histograms.values()


class PlatformCollector(Collector):
    """What the monitor has seen of the platform, at its last look."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        """Families are there even while they have no samples, so that alerts on them are no typing errors."""
        seen = self._monitor.seen
        yield from _feeds(seen)
        yield _gauge(
            "relay_lag_events",
            "Events that are not published yet.",
            ["context"],
            {(context,): events for context, (events, _) in seen.relays.items()},
        )
        yield _gauge(
            "relay_lag_seconds",
            "Age of the oldest event that is not published yet.",
            ["context"],
            {(context,): seconds for context, (_, seconds) in seen.relays.items()},
        )
        yield from _queues(seen)
        yield _gauge(
            "dead_letters",
            "Dead letters, by consumer.",
            ["consumer"],
            {(consumer,): count for consumer, count in seen.letters.items()},
        )
        yield _gauge(
            "sagas", "Sagas by status.", ["status"], {(status,): count for status, count in seen.sagas.counts.items()}
        )
        yield _gauge(
            "saga_longest_wait_seconds",
            "How long the saga that has waited longest has waited.",
            ["status"],
            {(status,): seconds for status, seconds in seen.sagas.longest_wait_seconds.items()},
        )
        yield from _alarms(seen)


def _feeds(seen: Seen) -> Iterator[Metric]:
    names = {feed.name: (read_model_of(feed.name), feed.name) for feed in seen.feeds}
    yield _gauge(
        "feed_up",
        "1 while the feed is in order; `state` says what is wrong.",
        ["feed", "build", "state"],
        {(*names[feed.name], feed.state): not feed.is_red for feed in seen.feeds},
    )
    yield _gauge(
        "feed_lag_events",
        "Events of interest that the feed has not handled yet.",
        ["feed", "build"],
        {names[feed.name]: feed.lag_events for feed in seen.feeds},
    )
    yield _gauge(
        "feed_lag_seconds",
        "Age of the oldest event that the feed has not handled yet.",
        ["feed", "build"],
        {names[feed.name]: feed.lag_seconds for feed in seen.feeds},
    )


def _queues(seen: Seen) -> Iterator[Metric]:
    yield _gauge(
        "queue_messages_ready",
        "Messages that wait in a queue of RabbitMQ.",
        ["queue"],
        {(queue,): depth.ready for queue, depth in seen.queues.items()},
    )
    yield _gauge(
        "queue_consumers",
        "Consumers of a queue of RabbitMQ; queues that messages leave by time are not listed.",
        ["queue"],
        {(queue,): depth.consumers for queue, depth in seen.queues.items() if depth.consumers is not None},
    )


def _alarms(seen: Seen) -> Iterator[Metric]:
    now = seen.at
    yield _gauge(
        "readers_held_seconds",
        "How long a transaction has held all readers of the log back; the log names its query.",
        ["pid", "user", "application"],
        {
            (str(holder.pid), holder.user, holder.application): (now - holder.since).total_seconds()
            for holder in seen.holders
            if now is not None
        },
    )
    yield _gauge("monitor_unseen", "Parts that could not be looked at.", ["part"], {(part,): 1 for part in seen.unseen})
    yield _gauge("monitor_seconds", "How long the last look took.", [], {(): seen.seconds})


def _gauge(name: str, text: str, labels: list[str], samples: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(values, float(value))
    return family
