"""What redis-py raises, in terms of the ports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from projections.ports import StoreUnavailable

OUT_OF_SERVICE: tuple[type[Exception], ...] = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    OSError,
)
"""Redis does not answer, is loading, is full, or is a replica by now: the call may succeed later."""


@contextmanager
def redis_available() -> Iterator[None]:
    """Turn what says that Redis is out of service into StoreUnavailable."""
    try:
        yield
    except OUT_OF_SERVICE as error:
        raise StoreUnavailable(f"Redis: {type(error).__name__}: {error}") from error
