"""Plain counters and gauges of messaging; whoever exports metrics reads them from here."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

Labels = tuple[tuple[str, str], ...]
RATE_WINDOW_SECONDS = 10


@dataclass(slots=True)
class Stats:
    """Numbers by name and labels. ``counters`` only grow, ``gauges`` are the latest value."""

    counters: Counter[tuple[str, Labels]] = field(default_factory=Counter)
    gauges: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add ``amount`` to a counter."""
        self.counters[name, tuple(sorted(labels.items()))] += amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self.gauges[name, tuple(sorted(labels.items()))] = value

    def counted(self, name: str, **labels: str) -> int:
        """The sum of a counter over all label sets that contain ``labels``."""
        wanted = set(labels.items())
        return sum(amount for (key, its), amount in self.counters.items() if key == name and wanted.issubset(its))

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        """Everything as (name, labels, value), counters first."""
        for (name, labels), amount in self.counters.items():
            yield name, labels, amount
        for (name, labels), value in self.gauges.items():
            yield name, labels, value


class Rate:
    """Events per second over the last ten seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def mark(self, amount: int) -> None:
        """``amount`` events happened now."""
        now = monotonic()
        self._marks.append((now, amount))
        self._forget(now)

    def per_second(self) -> float:
        """The rate as of now."""
        self._forget(monotonic())
        return sum(amount for _, amount in self._marks) / RATE_WINDOW_SECONDS

    def _forget(self, now: float) -> None:
        while self._marks and self._marks[0][0] < now - RATE_WINDOW_SECONDS:
            self._marks.popleft()
