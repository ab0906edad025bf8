"""How full the broker's queues are: what operators see of them."""

from __future__ import annotations

from typing import NamedTuple


class QueueDepth(NamedTuple):
    """``ready`` messages wait for a consumer; ``consumers`` None: the queue needs none (messages leave it by time)."""

    ready: int
    consumers: int | None
