"""The contract of RateLimiter, on the embedded Redis (6.2) and on the distribution's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from commands.limits import RateDecision
from infra.messaging.stats import Stats
from infra.stores.redis_limits import RedisLimiter

PATIENT = 60.0
"""On a busy machine nothing may pass uncounted because of the time it took."""


@dataclass
class Place:
    limiter: RedisLimiter
    twin: RedisLimiter
    client: Redis
    prefix: str


@pytest.fixture(params=["embedded_redis_url", "redis_url"])
async def place(request: pytest.FixtureRequest, fresh_name: Callable[..., str]) -> AsyncIterator[Place]:
    """Two limiters that share a Redis, as those of two processes do."""
    url = request.getfixturevalue(request.param)
    prefix = fresh_name("limits")
    async with Redis.from_url(url) as client, Redis.from_url(url) as other:
        limiter, twin = (RedisLimiter(each, _never, prefix, PATIENT) for each in (client, other))
        yield Place(limiter, twin, client, prefix)


def _never() -> None:
    pytest.fail("it was let through uncounted")


async def test_as_many_as_the_limit_pass_at_once_and_the_next_is_told_when_to_come(place: Place) -> None:
    decisions = [await place.limiter.take("guest", 3, 60) for _ in range(5)]
    assert [decision.allowed for decision in decisions] == [True, True, True, False, False]
    assert [decision.remaining for decision in decisions] == [2, 1, 0, 0, 0]
    assert [decision.retry_after_seconds for decision in decisions[:3]] == [0, 0, 0]
    # One comes back every 20 s, and what was refused has not put that off.
    for refused in decisions[3:]:
        assert 15 < refused.retry_after_seconds <= 20


async def test_processes_count_together_and_exactly(place: Place) -> None:
    decisions = await asyncio.gather(
        *((place.limiter if number % 2 else place.twin).take("guest", 40, 600) for number in range(100))
    )
    assert sum(decision.allowed for decision in decisions) == 40


async def test_keys_do_not_share_and_are_not_readable(place: Place) -> None:
    assert (await place.limiter.take("ann@example.org", 1, 60)).allowed
    assert (await place.limiter.take("ben@example.org", 1, 60)).allowed
    assert not (await place.limiter.take("ann@example.org", 1, 60)).allowed
    keys = [key async for key in place.client.scan_iter(match=f"{place.prefix}:*")]
    assert len(keys) == 2
    assert not [key for key in keys if b"example" in key]


async def test_one_more_passes_when_the_time_that_was_told_is_over(place: Place) -> None:
    limit, window = 2, 1.0
    began = time.monotonic()
    while (refused := await place.limiter.take("guest", limit, window)).allowed:
        pass
    assert 0 < refused.retry_after_seconds <= window / limit
    passed = 0
    while passed < 3:
        passed += (await place.limiter.take("guest", limit, window)).allowed
    assert time.monotonic() - began >= 3 * window / limit


async def test_what_is_full_again_is_forgotten(place: Place) -> None:
    await place.limiter.take("guest", 10, 1.0)
    (key,) = [key async for key in place.client.scan_iter(match=f"{place.prefix}:*")]
    assert 0 < await place.client.pttl(key) <= 100


async def test_a_redis_that_forgot_the_script_is_told_again(place: Place) -> None:
    await place.limiter.take("guest", 2, 60)
    await place.client.script_flush()
    assert (await place.limiter.take("guest", 2, 60)).remaining == 0


@pytest.mark.parametrize(("limit", "window"), [(0, 60.0), (-1, 60.0), (5, 0.0), (5, -1.0)])
async def test_a_limit_that_is_none_is_refused(place: Place, limit: int, window: float) -> None:
    with pytest.raises(ValueError, match="is no rate limit"):
        await place.limiter.take("guest", limit, window)


async def test_a_redis_that_is_away_lets_everything_through_and_it_is_counted(tmp_path: Path) -> None:
    client = Redis.from_url(f"unix://{tmp_path}/nobody.sock", retry=Retry(NoBackoff(), 0))
    stats = Stats()
    limiter = RedisLimiter(client, lambda: stats.count("uncounted"))
    decisions = [await limiter.take("guest", 1, 60) for _ in range(3)]
    assert decisions == [RateDecision(allowed=True, remaining=1, retry_after_seconds=0.0)] * 3
    assert stats.counted("uncounted") == 3
    await client.aclose()


async def test_a_redis_that_does_not_answer_holds_nobody_up() -> None:
    silent = await asyncio.start_server(_say_nothing, "127.0.0.1", 0)
    client = Redis(port=silent.sockets[0].getsockname()[1])
    limiter = RedisLimiter(client, lambda: None, patience_seconds=0.2)
    began = time.monotonic()
    assert (await limiter.take("guest", 1, 60)).allowed
    assert 0.2 <= time.monotonic() - began < 4  # redis-py itself would wait for 5 s
    await client.aclose()
    silent.close()
    await silent.wait_closed()


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()
