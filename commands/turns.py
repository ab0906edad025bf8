"""Long work in memory, done in turns, so that whoever shares the event loop hardly notices it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import TypeVar
from weakref import WeakKeyDictionary

TURN_SECONDS = 0.0005
"""How long one turn takes."""
QUIET_SECONDS = 0.002
"""A request comes back to the event loop many times. Nobody must have come for so long before the next turn begins."""
PATIENCE_SECONDS = 0.01
"""How long others may put off the next turn."""
_EMPTY_SECONDS = 0.00006
"""In a shorter round of the event loop nobody has done anything."""

T = TypeVar("T")
R = TypeVar("R")


class _Turns:
    """The turns of one event loop: there is one at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()
        self._busy_at = 0.0
        """When somebody else was last seen to do something."""

    async def do(self, items: Iterable[T], work: Callable[[T], R]) -> list[R]:
        """See in_turns."""
        done: list[R] = []
        rest = iter(items)
        while True:
            async with self._free:
                until = perf_counter() + TURN_SECONDS
                for item in rest:
                    done.append(work(item))
                    if perf_counter() >= until:
                        break
                else:
                    return done
                await self._let_others()

    async def _let_others(self) -> None:
        """Return at once if nobody needs the event loop, otherwise when it has been quiet or patience has ended."""
        began = now = perf_counter()
        wait = 0.0
        while True:
            before = now
            await asyncio.sleep(wait)
            now = perf_counter()
            if now - before > wait + _EMPTY_SECONDS:
                self._busy_at = now
            if now - self._busy_at >= QUIET_SECONDS or now - began >= PATIENCE_SECONDS:
                return
            wait = QUIET_SECONDS / 4


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


async def in_turns(items: Iterable[T], work: Callable[[T], R]) -> list[R]:
    """Do ``work`` for each of ``items``, in order; returns what it returns. Raises what it raises.

    It is done while nobody else needs the event loop, or slowly if that never happens.
    """
    return await _turns.setdefault(asyncio.get_running_loop(), _Turns()).do(items, work)
