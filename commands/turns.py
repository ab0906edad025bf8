"""Long work in memory, done in turns, so that whoever shares the event loop hardly notices it.

However many have long work, between two rounds of the loop there is one turn, and none while something goes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import TypeVar
from weakref import WeakKeyDictionary

TURN_SECONDS = 0.0005
"""How long one turn takes."""
FIRST_SECONDS = 0.05
"""How long one thing may go first: what takes longer waits for something itself."""
PATIENCE_SECONDS = 0.01
"""How long a turn waits for what goes first. However much that is, long work goes on, at a twentieth of its speed."""

T = TypeVar("T")
R = TypeVar("R")


class _Floor:
    """Of one event loop: whose turn it is, and what goes first."""

    def __init__(self) -> None:
        self.taken = asyncio.Lock()
        self._first: set[object] = set()
        self._clear = asyncio.Event()

    def enter(self, thing: object) -> None:
        self._first.add(thing)
        self._clear.clear()

    def leave(self, thing: object) -> None:
        self._first.discard(thing)
        if not self._first:
            self._clear.set()

    async def until_clear(self) -> None:
        """Let a round of the loop pass, and what goes first in it."""
        await asyncio.sleep(0)
        if self._first:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._clear.wait()


_floors: WeakKeyDictionary[asyncio.AbstractEventLoop, _Floor] = WeakKeyDictionary()


@contextmanager
def going_first() -> Iterator[None]:
    """Let nobody's long work have a turn while the body runs: it is what somebody waits for."""
    loop, thing = asyncio.get_running_loop(), object()
    floor = _floor(loop)
    floor.enter(thing)
    late = loop.call_later(FIRST_SECONDS, floor.leave, thing)
    try:
        yield
    finally:
        late.cancel()
        floor.leave(thing)


async def in_turns(items: Iterable[T], work: Callable[[T], R]) -> list[R]:
    """Do ``work`` for each of ``items``, in order; returns what it returns. Raises what it raises.

    What fits into one turn is done at once: a feed that takes one event does not wait for somebody's long work.
    """
    rest, done = iter(items), list[R]()
    if _is_done(rest, work, done):
        return done
    floor = _floor(asyncio.get_running_loop())
    while True:
        async with floor.taken:
            await floor.until_clear()
            if _is_done(rest, work, done):
                return done


def _floor(loop: asyncio.AbstractEventLoop) -> _Floor:
    floor = _floors.get(loop)
    if floor is None:
        floor = _floors[loop] = _Floor()
    return floor


def _is_done(rest: Iterator[T], work: Callable[[T], R], done: list[R]) -> bool:
    """Work for one turn; whether nothing is left."""
    until = perf_counter() + TURN_SECONDS
    for item in rest:
        done.append(work(item))
        if perf_counter() >= until:
            return False
    return True
