"""The port to the rate limits that all processes of the platform share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RateDecision:
    """Whether one more is allowed now, how many more would be at once, and if not, how long to wait (in seconds)."""

    allowed: bool
    remaining: int
    retry_after_seconds: float


class RateLimiter(Protocol):
    """Counts over all processes."""

    async def take(self, key: str, limit: int, window_seconds: float) -> RateDecision:
        """Take one of the ``limit`` that ``key`` may take at once; they come back evenly over ``window_seconds``.

        What was refused costs nothing. Never raises for want of its server: then everything is allowed, which is
        logged and counted.
        """
        ...
