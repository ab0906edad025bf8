"""Long work in memory, done in turns, so that whoever shares the event loop hardly notices it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import TypeVar
from weakref import WeakKeyDictionary

TURN_SECONDS = 0.0005
"""How long one turn takes."""

T = TypeVar("T")
R = TypeVar("R")

_free: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""By event loop: whose turn it is. However many have long work, between two rounds of the loop there is one turn."""


async def in_turns(items: Iterable[T], work: Callable[[T], R]) -> list[R]:
    """Do ``work`` for each of ``items``, in order; returns what it returns. Raises what it raises.

    What fits into one turn is done at once: a feed that takes one event does not wait for somebody's long work.
    """
    rest, done = iter(items), list[R]()
    if _is_done(rest, work, done):
        return done
    free = _free.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    while True:
        async with free:
            await asyncio.sleep(0)
            if _is_done(rest, work, done):
                return done


def _is_done(rest: Iterator[T], work: Callable[[T], R], done: list[R]) -> bool:
    """Work for one turn; whether nothing is left."""
    until = perf_counter() + TURN_SECONDS
    for item in rest:
        done.append(work(item))
        if perf_counter() >= until:
            return False
    return True
