"""Long work gives the event loop its turn."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from commands import turns
from commands.turns import TURN_SECONDS, going_first, in_turns


def busy(number: int) -> int:
    """Work of a tenth of a turn."""
    until = time.perf_counter() + TURN_SECONDS / 10
    while time.perf_counter() < until:
        pass
    return number


async def count_rounds(rounds: list[int], done: list[int]) -> None:
    """Note in each round of the loop how much was done."""
    while True:
        await asyncio.sleep(0)
        rounds.append(len(done))


async def test_what_it_returns_is_in_order() -> None:
    assert await in_turns(range(100), busy) == list(range(100))
    assert await in_turns([], busy) == []


async def test_what_fits_into_one_turn_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    long_ones = [asyncio.create_task(in_turns(range(100_000), str)) for _ in range(8)]
    await asyncio.sleep(0)
    monkeypatch.setattr(turns, "TURN_SECONDS", 60)
    rounds: list[int] = []
    counting = asyncio.create_task(count_rounds(rounds, []))

    assert await in_turns(range(100), str) == [str(number) for number in range(100)]

    assert rounds == []
    for task in (counting, *long_ones):
        task.cancel()


async def test_several_share_the_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """With turns of one piece of work each, no two pieces are done in one round of the loop once all have begun."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    rounds: list[int] = []
    done: list[int] = []
    begun = [asyncio.create_task(in_turns(range(20), done.append)) for _ in range(5)]
    await asyncio.sleep(0)
    counting = asyncio.create_task(count_rounds(rounds, done))
    await asyncio.gather(*begun)
    counting.cancel()
    assert len(done) == 100
    assert max(after - before for before, after in pairwise(rounds)) == 1


async def test_an_error_ends_it_and_others_get_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    with pytest.raises(ZeroDivisionError):
        await in_turns([1, 0, 2], lambda number: 1 / number)
    assert await in_turns([4, 5], str) == ["4", "5"]


async def test_nobody_has_a_turn_while_something_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 60)
    monkeypatch.setattr(turns, "FIRST_SECONDS", 60)
    done: list[int] = []
    with going_first():
        with going_first():
            work = asyncio.create_task(in_turns(range(3), done.append))
            await rounds_of_the_loop(10)
        await rounds_of_the_loop(10)
        assert done == [0], "the first turn is had at once"
    await work
    assert done == [0, 1, 2]


@pytest.mark.parametrize("limit", ["PATIENCE_SECONDS", "FIRST_SECONDS"])
async def test_long_work_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    for name in ("TURN_SECONDS", "PATIENCE_SECONDS", "FIRST_SECONDS"):
        monkeypatch.setattr(turns, name, 0 if name in {limit, "TURN_SECONDS"} else 60)
    with going_first():
        async with asyncio.timeout(20):
            assert await in_turns([1, 2, 3], str) == ["1", "2", "3"]


async def rounds_of_the_loop(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)
