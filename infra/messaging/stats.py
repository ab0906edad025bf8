"""Plain counters and histograms of this process; whoever exports metrics reads them from here."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic

Labels = tuple[tuple[str, str], ...]
RATE_WINDOW_SECONDS = 10


SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


@dataclass(slots=True)
class Histogram:
    """How often values lay at or below each bound (and above the last one); ``sum`` is that of all values."""

    bounds: Sequence[float]
    counts: list[int] = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Take a value in."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulated(self) -> Iterator[tuple[str, int]]:
        """Bounds as Prometheus spells them, each with how many values lay at or below it."""
        so_far = 0
        for bound, count in zip((*map(str, map(float, self.bounds)), "+Inf"), self.counts, strict=True):
            so_far += count
            yield bound, so_far


@dataclass(slots=True)
class Stats:
    """Numbers by name and labels."""

    counters: Counter[tuple[str, Labels]] = field(default_factory=Counter)
    histograms: dict[tuple[str, Labels], Histogram] = field(default_factory=dict)

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add ``amount`` to a counter."""
        self.counters[name, tuple(sorted(labels.items()))] += amount

    def observe(self, name: str, value: float, bounds: Sequence[float] = SECONDS, **labels: str) -> None:
        """Add a value to a histogram; ``bounds`` are the same for all of that name."""
        key = (name, tuple(sorted(labels.items())))
        histogram = self.histograms.get(key)
        if histogram is None:
            histogram = self.histograms[key] = Histogram(bounds)
        histogram.add(value)

    def counted(self, name: str, **labels: str) -> int:
        """The sum of a counter over all label sets that contain ``labels``."""
        wanted = set(labels.items())
        return sum(amount for (key, its), amount in self.counters.items() if key == name and wanted.issubset(its))


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
