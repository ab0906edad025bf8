"""The contract of CalendarStore, on the embedded Redis (6.2) and on the distribution's."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from commands.ports import START, LogRun, Position, WentBack
from infra.stores.redis_calendar import RedisCalendars
from projections.ports import BuildMissing, CalendarWrite, StoreUnavailable
from tests.servers.redis import SnapshotRedis

D = dt.date
NEW_YEARS_EVE = D(2026, 12, 31)
FAR = 2**63
"""A transaction id that a double cannot hold exactly."""


@dataclass
class Place:
    """A store of the test's own, and the client that it uses."""

    store: RedisCalendars
    client: Redis
    prefix: str

    async def keys(self) -> set[bytes]:
        return {key async for key in self.client.scan_iter(match=f"{self.prefix}:*", count=1000)}

    async def write(self, build: str, writes: Sequence[CalendarWrite]) -> None:
        await self.store.write(build, writes, run())

    async def rooms(self, key: str, first: dt.date, days: int) -> list[int | None]:
        return list((await self.store.read("cal", "rooms", [key], first, days))[key])


@pytest.fixture(params=["embedded_redis_url", "redis_url"])
async def place(request: pytest.FixtureRequest, fresh_name: Callable[..., str]) -> AsyncIterator[Place]:
    """A store with one prepared build, which is live."""
    prefix = fresh_name("cal")
    async with Redis.from_url(request.getfixturevalue(request.param)) as client:
        place = Place(RedisCalendars(client, prefix), client, prefix)
        await place.store.prepare("cal_1")
        await place.store.point("cal", "cal_1")
        yield place
        if keys := await place.keys():
            await client.delete(*keys)


def write(
    key: str = "a",
    cells: dict[dt.date, int] | None = None,
    position: tuple[int, int] = (1, 1),
    *,
    default: int | None = None,
    context: str = "inventory",
) -> CalendarWrite:
    return CalendarWrite("rooms", key, cells or {}, context, position, default)


def run(prev: tuple[int, int] = START, position: tuple[int, int] = START, context: str = "inventory") -> LogRun:
    """The events that writes come from; by default nobody says which."""
    return LogRun(context, Position(*prev), Position(*position), ())


async def test_a_stay_reads_what_was_written_and_nothing_where_nothing_is_known(place: Place) -> None:
    await place.write("cal_1", [write(cells={D(2026, 7, 1): 3, D(2026, 7, 2): 0, D(2026, 7, 4): -1})])
    assert await place.rooms("a", D(2026, 6, 30), 6) == [None, 3, 0, None, -1, None]
    assert await place.rooms("unknown", D(2026, 7, 1), 2) == [None, None]


async def test_a_stay_over_new_year_is_one_row_of_nights(place: Place) -> None:
    cells = {NEW_YEARS_EVE + dt.timedelta(days=day): 10 + day for day in range(-2, 3)}
    await place.write("cal_1", [write(cells=cells)])
    assert await place.rooms("a", D(2026, 12, 29), 5) == [8, 9, 10, 11, 12]
    assert await place.rooms("a", D(2026, 12, 28), 400) == [None, 8, 9, 10, 11, 12, *[None] * 394]


async def test_the_default_fills_days_that_were_never_written_and_takes_no_room(place: Place) -> None:
    await place.write("cal_1", [write(default=7), write(cells={D(2026, 7, 2): 6}, position=(1, 2))])
    assert await place.rooms("a", D(2026, 7, 1), 3) == [7, 6, 7]
    assert await place.rooms("a", D(2099, 12, 31), 1) == [7]
    days = f"{place.prefix}:days:cal_1:rooms:a"
    assert {key for key in await place.keys() if b":days:" in key} == {days.encode(), f"{days}:2026".encode()}


async def test_kinds_and_calendars_are_apart_and_many_are_read_at_once(place: Place) -> None:
    day = D(2026, 7, 1)
    price = CalendarWrite("price", "a", {day: 12_345}, "hotels", (1, 1))
    await place.write("cal_1", [write("a", {day: 1}), write("b", {day: 2}), price])
    assert await place.store.read("cal", "rooms", ["b", "a", "c"], day, 1) == {"a": [1], "b": [2], "c": [None]}
    assert await place.store.read("cal", "price", ["a"], day, 1) == {"a": [12_345]}
    assert await place.store.read("cal", "price", [], day, 1) == {}


@pytest.mark.parametrize("late", [(5, 1), (4, 9), (5, 0)])
async def test_a_write_at_or_below_what_was_applied_changes_nothing(place: Place, late: tuple[int, int]) -> None:
    day, other = D(2026, 7, 1), D(2026, 7, 2)
    await place.write("cal_1", [write(cells={day: 1}, position=(5, 1), default=9)])
    await place.write("cal_1", [write(cells={day: 2, other: 2}, position=late, default=8)])
    assert await place.rooms("a", day, 2) == [1, 9]
    await place.write("cal_1", [write(cells={day: 3}, position=(5, 2))])
    assert await place.rooms("a", day, 2) == [3, 9]


async def test_the_guard_is_exact_for_the_largest_positions(place: Place) -> None:
    day = D(2026, 7, 1)
    await place.write("cal_1", [write(cells={day: 1}, position=(FAR, FAR))])
    await place.write("cal_1", [write(cells={day: 2}, position=(FAR - 1, FAR + 1))])
    assert await place.rooms("a", day, 1) == [1]
    await place.write("cal_1", [write(cells={day: 3}, position=(FAR, FAR + 1))])
    assert await place.rooms("a", day, 1) == [3]


async def test_the_guard_is_per_calendar_and_context(place: Place) -> None:
    day = D(2026, 7, 1)
    await place.write("cal_1", [write("a", {day: 1}, (9, 9))])
    await place.write("cal_1", [write("b", {day: 2}, (1, 1)), write("a", {day: 3}, (1, 1), context="hotels")])
    assert await place.rooms("a", day, 1) == [3]
    assert await place.rooms("b", day, 1) == [2]


async def test_writes_apply_in_order_and_again_without_effect(place: Place) -> None:
    days = [D(2026, 7, 1) + dt.timedelta(days=day) for day in range(5)]
    run = [write(f"r{count % 7}", {days[count % 5]: count}, (1, count)) for count in range(1, 701)]
    await place.write("cal_1", run)
    first = {key: await place.rooms(key, days[0], 5) for key in ("r0", "r3")}
    # Of each calendar and day the last of the run: 35 writes make up one turn.
    assert first == {
        f"r{key}": [next(n for n in range(700, 0, -1) if n % 7 == key and n % 5 == day) for day in range(5)]
        for key in (0, 3)
    }
    await place.write("cal_1", run)
    await place.write("cal_1", run[300:])
    assert {key: await place.rooms(key, days[0], 5) for key in ("r0", "r3")} == first


async def test_concurrent_writers_of_one_calendar_leave_the_newest(place: Place) -> None:
    day = D(2026, 7, 1)
    await asyncio.gather(
        *(place.write("cal_1", [write(cells={day: count}, position=(1, count))]) for count in range(1, 101))
    )
    assert await place.rooms("a", day, 1) == [100]


@pytest.mark.parametrize("value", [2**31, -(2**31)])
async def test_a_value_that_does_not_fit_is_refused_and_nothing_is_written(place: Place, value: int) -> None:
    day = D(2026, 7, 1)
    with pytest.raises(ValueError, match="does not fit into a calendar"):
        await place.write("cal_1", [write(cells={day: 1}), write("b", {day: value})])
    assert await place.rooms("a", day, 1) == [None]


async def test_a_build_is_filled_beside_the_live_one_and_swapped_in(place: Place) -> None:
    day = D(2026, 7, 1)
    await place.write("cal_1", [write(cells={day: 1})])
    await place.store.prepare("cal_2")
    await place.write("cal_2", [write(cells={day: 2})])
    assert await place.rooms("a", day, 1) == [1]
    assert await place.store.pointed("cal") == "cal_1"
    await place.store.point("cal", "cal_2")
    assert await place.rooms("a", day, 1) == [2]
    assert await place.store.pointed("cal") == "cal_2"
    await place.store.drop("cal_1")
    assert await place.rooms("a", day, 1) == [2]
    assert not [key for key in await place.keys() if b"cal_1" in key]


async def test_readers_never_see_a_moment_without_a_build(place: Place) -> None:
    day = D(2026, 7, 1)
    await place.write("cal_1", [write(cells={day: 1})])
    swapping = asyncio.create_task(_swap_often(place, day))
    seen: set[int | None] = set()
    while not swapping.done():
        seen.update(await place.rooms("a", day, 1))
    await swapping
    assert seen == {1}


async def _swap_often(place: Place, day: dt.date) -> None:
    for number in range(2, 30):
        build = f"cal_{number}"
        await place.store.prepare(build)
        await place.write(build, [write(cells={day: 1})])
        await place.store.point("cal", build)
        await place.store.drop(f"cal_{number - 1}")


async def test_dropping_spares_builds_whose_names_begin_alike_and_may_be_repeated(place: Place) -> None:
    day = D(2026, 7, 1)
    await place.store.prepare("cal_11")
    await place.write("cal_11", [write(cells={day: 11})])
    await place.store.point("cal", "cal_11")
    await place.store.drop("cal_1")
    await place.store.drop("cal_1")
    await place.store.drop("never_was")
    assert await place.rooms("a", day, 1) == [11]


async def test_a_dropped_build_takes_no_writes_and_cannot_go_live(place: Place) -> None:
    await place.store.drop("cal_1")
    with pytest.raises(BuildMissing, match="cal_1"):
        await place.write("cal_1", [write(cells={D(2026, 7, 1): 1})])
    with pytest.raises(BuildMissing, match="cal_1"):
        await place.store.point("cal", "cal_1")
    assert not [key for key in await place.keys() if b":days:" in key]


async def test_an_emptied_redis_is_noticed_by_readers_and_writers(place: Place) -> None:
    day = D(2026, 7, 1)
    await place.write("cal_1", [write(cells={day: 1})])
    assert await place.rooms("a", day, 1) == [1]
    await place.client.delete(*await place.keys())
    assert await place.store.pointed("cal") is None
    assert await place.rooms("a", day, 1) == [None]
    with pytest.raises(BuildMissing):
        await place.write("cal_1", [write(cells={day: 2}, position=(1, 2))])


async def test_preparing_again_keeps_what_was_written(place: Place) -> None:
    day = D(2026, 7, 1)
    await place.write("cal_1", [write(cells={day: 1})])
    await place.store.prepare("cal_1")
    assert await place.rooms("a", day, 1) == [1]


async def test_a_build_tells_how_far_it_has_the_log_of_each_context(place: Place) -> None:
    assert await place.store.reached("cal_1", "inventory") == START
    await place.store.write("cal_1", [write(position=(FAR, 7))], run(START, (FAR, 9)))
    await place.store.write("cal_1", [], run((FAR, 9), (FAR, FAR - 1)))
    await place.store.write("cal_1", [], run((1, 1), (2, 1)))  # handed over once more
    await place.store.write("cal_1", [], run(START, (3, 1), "hotels"))
    assert await place.store.reached("cal_1", "inventory") == (FAR, FAR - 1)
    assert await place.store.reached("cal_1", "hotels") == (3, 1)
    await place.store.drop("cal_1")
    with pytest.raises(BuildMissing, match="cal_1"):
        await place.store.reached("cal_1", "inventory")
    assert not [key for key in await place.keys() if b"cal_1" in key]


async def test_a_run_that_does_not_join_what_is_there_is_refused_whole(place: Place) -> None:
    first, second = D(2026, 7, 1), D(2026, 7, 2)
    await place.store.write("cal_1", [write(cells={first: 1}, position=(5, 1))], run(START, (5, 1)))
    late = write(cells={second: 2}, position=(7, 1))
    with pytest.raises(WentBack, match=r"inventory into cal_1 before 6\.1"):
        await place.store.write("cal_1", [late], run((6, 1), (7, 1)))
    assert await place.rooms("a", first, 2) == [1, None]
    assert await place.store.reached("cal_1", "inventory") == (5, 1)
    # The missing part is not taken for older than what is there.
    missing = write(cells={second: 3}, position=(6, 1))
    await place.store.write("cal_1", [missing], run((5, 1), (6, 1)))
    await place.store.write("cal_1", [write(cells={first: 4}, position=(7, 1))], run((6, 1), (7, 1)))
    assert await place.rooms("a", first, 2) == [4, 3]


async def test_a_redis_that_comes_back_as_it_was_at_its_last_snapshot_says_how_far_that_is(tmp_path: Path) -> None:
    """As Redis is set up by default: what was acknowledged since the last snapshot is lost by a kill."""
    first, second = D(2026, 7, 1), D(2026, 7, 2)
    server = SnapshotRedis(tmp_path)
    server.start()
    try:
        async with Redis.from_url(server.url) as client:
            store = RedisCalendars(client)
            await store.prepare("cal_1")
            await store.point("cal", "cal_1")
            await store.write("cal_1", [write(cells={first: 1}, position=(1, 1))], run(START, (1, 1)))
            await client.save()
            await store.write("cal_1", [write(cells={second: 2}, position=(2, 1))], run((1, 1), (2, 1)))
            server.kill()
            server.start()
            await client.connection_pool.disconnect()  # those connections have ended
            later = [write(cells={first: 3}, position=(3, 1))]
            with pytest.raises(WentBack):
                await store.write("cal_1", later, run((2, 1), (3, 1)))
            assert await store.reached("cal_1", "inventory") == (1, 1)
            await store.write("cal_1", [write(cells={second: 2}, position=(2, 1))], run((1, 1), (2, 1)))
            await store.write("cal_1", later, run((2, 1), (3, 1)))
            assert await store.read("cal", "rooms", ["a"], first, 2) == {"a": [3, 2]}
    finally:
        server.stop()


async def test_a_redis_that_forgot_the_script_is_told_again(place: Place) -> None:
    day = D(2026, 7, 1)
    await place.write("cal_1", [write(cells={day: 1})])
    await place.client.script_flush()
    await place.write("cal_1", [write(cells={day: 2}, position=(1, 2))])
    assert await place.rooms("a", day, 1) == [2]


async def test_a_redis_that_is_away_says_so(tmp_path: object) -> None:
    client = Redis.from_url(f"unix://{tmp_path}/nobody.sock", retry=Retry(NoBackoff(), 0))
    store = RedisCalendars(client)
    day = D(2026, 7, 1)
    for call in (
        lambda: store.prepare("cal_1"),
        lambda: store.point("cal", "cal_1"),
        lambda: store.pointed("cal"),
        lambda: store.drop("cal_1"),
        lambda: store.write("cal_1", [write(cells={day: 1})], run()),
        lambda: store.reached("cal_1", "inventory"),
        lambda: store.read("cal", "rooms", ["a"], day, 1),
    ):
        with pytest.raises(StoreUnavailable, match="Redis"):
            await call()
    await client.aclose()
