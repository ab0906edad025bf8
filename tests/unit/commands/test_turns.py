"""Long work gives the event loop its turn."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from commands import turns
from commands.turns import TURN_SECONDS, in_turns


def busy(number: int) -> int:
    """Work of a tenth of a turn."""
    until = time.perf_counter() + TURN_SECONDS / 10
    while time.perf_counter() < until:
        pass
    return number


async def test_what_it_returns_is_in_order() -> None:
    assert await in_turns(range(100), busy) == list(range(100))
    assert await in_turns([], busy) == []


async def test_what_fits_into_one_turn_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 60)
    rounds = asyncio.create_task(count_rounds())
    await in_turns(range(100), str)
    rounds.cancel()
    assert not rounds.done()


async def count_rounds() -> None:
    while True:
        await asyncio.sleep(0)
        ROUNDS.append(len(DONE))


ROUNDS: list[int] = []
DONE: list[int] = []


async def test_several_share_the_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """With turns of one piece of work each, never are two pieces done in one round of the loop."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    ROUNDS.clear()
    DONE.clear()
    rounds = asyncio.create_task(count_rounds())
    await asyncio.gather(*(in_turns(range(20), DONE.append) for _ in range(5)))
    rounds.cancel()
    assert len(DONE) == 100
    assert max(after - before for before, after in pairwise(ROUNDS)) == 1


async def test_an_error_ends_it_and_others_get_their_turn() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_turns([1, 0, 2], lambda number: 1 / number)
    assert await in_turns([4], str) == ["4"]
