"""Calendars in Redis (6.2 or later), packed; see ``packed_days``.

Keys, after the prefix: ``pointer:<name>`` holds the live build; ``build:<build>`` exists as long as the build does;
``reached:<build>`` is a hash with the end of the last run written, per context;
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

from commands.ports import START, LogRun, Position, WentBack
from infra.stores.packed_days import Slice, runs, slices, unpack
from infra.stores.redis_errors import redis_available
from projections.ports import BuildMissing, CalendarKind, CalendarWrite

_SCAN_COUNT = 1_000

_CHECK = """
-- KEYS: the build, the hash of what it has reached. ARGV: the context, where the run begins ('' for the log's start).
if redis.call('EXISTS', KEYS[1]) == 0 then
    return redis.error_reply('BUILDMISSING')
end
local reached = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if reached < ARGV[2] then
    return redis.error_reply('WENTBACK to ' .. reached)
end
"""
_WRITE = (
    _CHECK
    + """
-- KEYS: further the calendar's hash, then one year's string per run of days.
-- ARGV: further the position, the default ('' if none is given), then an offset and bytes per run of days.
local field = 'at:' .. ARGV[1]
local applied = redis.call('HGET', KEYS[3], field)
if applied and applied >= ARGV[3] then
    return 0
end
redis.call('HSET', KEYS[3], field, ARGV[3])
if ARGV[4] ~= '' then
    redis.call('HSET', KEYS[3], 'default', ARGV[4])
end
for days = 4, #KEYS do
    redis.call('SETRANGE', KEYS[days], ARGV[2 * days - 3], ARGV[2 * days - 2])
end
return 1
"""
)
_REACH = (
    _CHECK
    + """
-- ARGV: further where the run ends.
if reached < ARGV[3] then
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
end
return 1
"""
)
_SHA = {script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (_WRITE, _REACH)}


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

    async def filled(self, build: str) -> None:
        """See Builds: it was so all the time."""

    async def drop(self, build: str) -> None:
        """See Builds. The build's own key goes first, so that no late writer adds to what is being deleted."""
        with redis_available():
            await self._redis.delete(self._build_key(build), self._reached_key(build))
            doomed: list[bytes] = []
            async for key in self._redis.scan_iter(match=f"{self._prefix}:days:{build}:*", count=_SCAN_COUNT):
                doomed.append(key)
                if len(doomed) == _SCAN_COUNT:
                    await self._redis.unlink(*doomed)
                    doomed.clear()
            if doomed:
                await self._redis.unlink(*doomed)

    async def write(self, build: str, writes: Sequence[CalendarWrite], run: LogRun) -> None:
        """See CalendarStore. One script call per write and one for the run, in one round trip; atomic per call."""
        calls = [self._write_call(build, write, run) for write in writes]
        calls.append(self._reach_call(build, run))
        with redis_available():
            answers = await self._run(calls)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                for script in _SHA:
                    await self._redis.script_load(script)
                answers = await self._run(calls)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise _meaning(answer, build, run)

    async def reached(self, build: str, context: str) -> Position:
        """See CalendarStore."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.exists(self._build_key(build))
            pipe.hget(self._reached_key(build), context)
            with redis_available():
                there, text = await pipe.execute()
        if not there:
            raise BuildMissing(build)
        return Position.parse(text.decode()) if text else START

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
                pipe.execute_command("EVALSHA", *call)
            return await pipe.execute(raise_on_error=False)

    def _write_call(self, build: str, write: CalendarWrite, run: LogRun) -> list[Any]:
        calendar = f"{self._prefix}:days:{build}:{write.kind}:{write.key}"
        default = "" if write.default is None else write.default
        days = list(runs(write.cells))
        keys = [self._build_key(build), self._reached_key(build), calendar]
        keys += [f"{calendar}:{part.year}" for part in days]
        arguments: list[Any] = [write.context, _position_text(run.prev), _position_text(write.position), default]
        for part in days:
            arguments += [part.offset, part.data]
        return [_SHA[_WRITE], len(keys), *keys, *arguments]

    def _reach_call(self, build: str, run: LogRun) -> list[Any]:
        keys = [self._build_key(build), self._reached_key(build)]
        return [_SHA[_REACH], len(keys), *keys, run.context, _position_text(run.prev), _position_text(run.position)]

    def _build_key(self, build: str) -> str:
        return f"{self._prefix}:build:{build}"

    def _reached_key(self, build: str) -> str:
        return f"{self._prefix}:reached:{build}"

    def _pointer_key(self, name: str) -> str:
        return f"{self._prefix}:pointer:{name}"


def _meaning(answer: Exception, build: str, run: LogRun) -> Exception:
    """What an error of one call means."""
    if isinstance(answer, ResponseError) and "BUILDMISSING" in str(answer):
        return BuildMissing(build)
    if isinstance(answer, ResponseError) and "WENTBACK" in str(answer):
        return WentBack(f"Redis has lost what was written of {run.context} into {build} before {run.prev}: {answer}")
    return answer


def _position_text(position: tuple[int, int]) -> str:
    """Text that sorts as positions do, '' for the start: numbers in scripts have 53 bits, a transaction id has 64."""
    transaction_id, notification_id = position
    return f"{transaction_id:020d}.{notification_id:020d}" if position > START else ""


def _values(answer: Sequence[Any], wanted: Sequence[Slice]) -> list[int | None]:
    default = None if answer[0] is None else int(answer[0])
    values: list[int | None] = []
    for part, data in zip(wanted, answer[1:], strict=True):
        values += [default if value is None else value for value in unpack(data, part.days)]
    return values
