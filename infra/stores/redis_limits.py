"""Rate limits in Redis, shared by all processes: a bucket of ``limit`` tokens that fills evenly over the window.

What is kept is one number per key (GCRA): the time at which the bucket will be full again. Redis's own clock counts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from commands.limits import RateDecision
from infra.stores.redis_errors import OUT_OF_SERVICE

PATIENCE_SECONDS = 0.5
"""How long a request is held up by a Redis that does not answer."""
_MICROSECONDS = 1_000_000

_TAKE = """
-- KEYS: the bucket. ARGV: tokens, microseconds until one token comes back.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local wait = full_at - now - (limit - 1) * interval
if wait > 0 then
    return {0, 0, wait}
end
full_at = full_at + interval
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return {1, limit - math.ceil((full_at - now) / interval), 0}
"""
_TAKE_SHA = hashlib.sha1(_TAKE.encode(), usedforsecurity=False).hexdigest()

log = structlog.get_logger(__name__)


class RedisLimiter:
    """RateLimiter over ``client``, which is given up on after ``patience_seconds``.

    ``uncounted`` is called for each request that is let through because Redis does not answer. Keys are stored hashed:
    they may be addresses of people.
    """

    def __init__(
        self,
        client: Redis,
        uncounted: Callable[[], None],
        prefix: str = "nightledger:limits",
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._redis = client
        self._uncounted = uncounted
        self._patience_seconds = patience_seconds
        self._prefix = prefix
        self._away = False

    async def take(self, key: str, limit: int, window_seconds: float) -> RateDecision:
        """See RateLimiter. Raises ValueError for a limit that nobody could keep (less than 1, or no window)."""
        interval = int(window_seconds * _MICROSECONDS / limit) if limit >= 1 else 0
        if interval < 1:
            raise ValueError(f"{limit} per {window_seconds} s is no rate limit")
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        try:
            async with asyncio.timeout(self._patience_seconds):
                allowed, remaining, wait = await self._take(f"{self._prefix}:{digest}", limit, interval)
        except OUT_OF_SERVICE as error:
            return self._let_through(limit, error)
        self._away = False
        return RateDecision(allowed == 1, remaining, wait / _MICROSECONDS)

    async def _take(self, bucket: str, limit: int, interval: int) -> tuple[int, int, int]:
        keys_and_arguments = (bucket, str(limit), str(interval))
        answer: Any
        try:
            answer = await self._redis.evalsha(_TAKE_SHA, 1, *keys_and_arguments)
        except NoScriptError:
            answer = await self._redis.eval(_TAKE, 1, *keys_and_arguments)
        allowed, remaining, wait = answer
        return allowed, remaining, wait

    def _let_through(self, limit: int, error: Exception) -> RateDecision:
        self._uncounted()
        if not self._away:
            log.warning("nothing is rate-limited while Redis is away", error=f"{type(error).__name__}: {error}")
        self._away = True
        return RateDecision(allowed=True, remaining=limit, retry_after_seconds=0.0)
