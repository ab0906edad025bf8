"""Calendars in Redis (6.2 or later), packed; see ``packed_days``.

Keys, after the prefix: ``pointer:<name>`` holds the live build; ``build:<build>`` exists as long as the build does;
``days:<build>:<kind>:<key>`` is a hash with the calendar's default and per context the position that was applied last;
``days:<build>:<kind>:<key>:<year>`` are the packed days. Redis must not evict keys (``maxmemory-policy noeviction``).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from infra.stores.packed_days import Slice, runs, slices, unpack
from infra.stores.redis_errors import redis_available
from projections.ports import BuildMissing, CalendarKind, CalendarWrite

_SCAN_COUNT = 1_000

_WRITE = """
-- KEYS: the build, the calendar's hash, then one year's string per run of days.
-- ARGV: the context's field, the position, the default ('' if none is given), then an offset and bytes per run.
if redis.call('EXISTS', KEYS[1]) == 0 then
    return redis.error_reply('BUILDMISSING')
end
local applied = redis.call('HGET', KEYS[2], ARGV[1])
if applied and applied >= ARGV[2] then
    return 0
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
if ARGV[3] ~= '' then
    redis.call('HSET', KEYS[2], 'default', ARGV[3])
end
for run = 3, #KEYS do
    redis.call('SETRANGE', KEYS[run], ARGV[2 * run - 2], ARGV[2 * run - 1])
end
return 1
"""
_WRITE_SHA = hashlib.sha1(_WRITE.encode(), usedforsecurity=False).hexdigest()


class RedisCalendars:
    """CalendarStore over ``client``, which must return bytes (``decode_responses`` off)."""

    def __init__(self, client: Redis, prefix: str = "nightledger:calendars") -> None:
        self._redis = client
        self._prefix = prefix
        self._live: dict[str, str] = {}

    async def prepare(self, build: str) -> None:
        """See CalendarStore."""
        with redis_available():
            await self._redis.set(self._build_key(build), b"1")

    async def point(self, name: str, build: str) -> None:
        """See Builds. Raises BuildMissing."""
        with redis_available():
            if not await self._redis.exists(self._build_key(build)):
                raise BuildMissing(build)
            await self._redis.set(self._pointer_key(name), build)

    async def pointed(self, name: str) -> str | None:
        """See Builds."""
        with redis_available():
            found: Any = await self._redis.get(self._pointer_key(name))
        return found.decode() if found else None

    async def drop(self, build: str) -> None:
        """See Builds. The build's own key goes first, so that no late writer adds to what is being deleted."""
        with redis_available():
            await self._redis.delete(self._build_key(build))
            doomed: list[bytes] = []
            async for key in self._redis.scan_iter(match=f"{self._prefix}:days:{build}:*", count=_SCAN_COUNT):
                doomed.append(key)
                if len(doomed) == _SCAN_COUNT:
                    await self._redis.unlink(*doomed)
                    doomed.clear()
            if doomed:
                await self._redis.unlink(*doomed)

    async def write(self, build: str, writes: Sequence[CalendarWrite]) -> None:
        """See CalendarStore. One script call per write, all in one round trip; atomic per write."""
        calls = [self._call(build, write) for write in writes]
        with redis_available():
            answers = await self._run(calls)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                await self._redis.script_load(_WRITE)
                answers = await self._run(calls)
            for answer in answers:
                if isinstance(answer, ResponseError) and "BUILDMISSING" in str(answer):
                    raise BuildMissing(build)
                if isinstance(answer, Exception):
                    raise answer

    async def read(
        self, name: str, kind: CalendarKind, keys: Sequence[str], first: dt.date, days: int
    ) -> Mapping[str, Sequence[int | None]]:
        """See CalendarStore. One round trip, unless another build has become the live one since the last call."""
        wanted = slices(first, days)
        build = self._live.get(name)
        while True:
            live, answers = await self._read_build(name, build, kind, keys, wanted)
            if live is None:
                self._live.pop(name, None)
                return {key: [None] * days for key in keys}
            if live == build:
                return dict(zip(keys, (_values(answer, wanted) for answer in answers), strict=True))
            self._live[name] = build = live

    async def _read_build(
        self, name: str, build: str | None, kind: CalendarKind, keys: Sequence[str], wanted: Sequence[Slice]
    ) -> tuple[str | None, list[list[Any]]]:
        """The live build, and per calendar its default and slices as ``build`` has them, all of one moment."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(self._pointer_key(name))
            for key in keys if build else ():
                calendar = f"{self._prefix}:days:{build}:{kind}:{key}"
                pipe.hget(calendar, "default")
                for part in wanted:
                    pipe.getrange(f"{calendar}:{part.year}", part.offset, part.last)
            with redis_available():
                pointer, *answers = await pipe.execute()
        width = 1 + len(wanted)
        grouped = [answers[start : start + width] for start in range(0, len(answers), width)]
        return pointer.decode() if pointer else None, grouped

    async def _run(self, calls: Sequence[Sequence[Any]]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command("EVALSHA", _WRITE_SHA, *call)
            return await pipe.execute(raise_on_error=False)

    def _call(self, build: str, write: CalendarWrite) -> list[Any]:
        """Number of keys, keys, arguments of the script."""
        calendar = f"{self._prefix}:days:{build}:{write.kind}:{write.key}"
        keys: list[Any] = [self._build_key(build), calendar]
        default = "" if write.default is None else write.default
        arguments: list[Any] = [f"at:{write.context}", _position_text(write.position), default]
        for run in runs(write.cells):
            keys.append(f"{calendar}:{run.year}")
            arguments += [run.offset, run.data]
        return [len(keys), *keys, *arguments]

    def _build_key(self, build: str) -> str:
        return f"{self._prefix}:build:{build}"

    def _pointer_key(self, name: str) -> str:
        return f"{self._prefix}:pointer:{name}"


def _position_text(position: tuple[int, int]) -> str:
    """Text that sorts as positions do: the script's numbers have 53 bits, a transaction id has 64."""
    transaction_id, notification_id = position
    return f"{transaction_id:020d}.{notification_id:020d}"


def _values(answer: Sequence[Any], wanted: Sequence[Slice]) -> list[int | None]:
    default = None if answer[0] is None else int(answer[0])
    values: list[int | None] = []
    for part, data in zip(wanted, answer[1:], strict=True):
        values += [default if value is None else value for value in unpack(data, part.days)]
    return values
