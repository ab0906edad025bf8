"""The first part of a replay: a build gets everything that is in the logs, several builds by one pass over them.

It is long work, and who shares an event loop with it notices. So a Filler does it, which may be in another process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import structlog

from commands.ports import START, Checkpoint, Clock, Commit, EventStore, LogRun, Metadata, Position
from projections.builds import Build, BuildRegistry
from projections.fills import Fill
from projections.log_pass import LogPass, Wanted
from projections.ports import StoreUnavailable
from projections.writers import FillWriter

_LOOK_SECONDS = 1.0
_TELL_SECONDS = 0.25

T = TypeVar("T")
Wait = Callable[[float], Awaitable[object]]
log = structlog.get_logger(__name__)


class GivenUp(Exception):
    """Somebody has ordered that the build should not go live."""


class Filler(Protocol):
    """Fills some builds. It begins when each of them is to be filled, or is given up."""

    async def fill(self, build: Build) -> Build:
        """Return when everything that was in the logs is durable in ``build``.

        Raises GivenUp, BuildMissing, ReplayRunning if another process fills it, and a Temporary if a server is away:
        it can be gone on with later. Whatever else it raises is the failure of the replay.
        """
        ...

    def give_up(self, build: Build) -> None:
        """Do not wait for ``build``; no error if it is not waited for."""
        ...


Fillers = Callable[[Sequence[Build]], Awaitable[Filler]]
"""Makes what fills the builds that were found in one look; raises a Temporary if a server is away."""


class Record:
    """The record of a build while its replay is under way: how far it is, and whether it is still wanted."""

    def __init__(self, registry: BuildRegistry, wait: Wait, one_by_one: asyncio.Lock | None = None) -> None:
        """``one_by_one`` is held while a store works, so that several replays do not have much done at once."""
        self._registry = registry
        self._wait = wait
        self.one_by_one = one_by_one or asyncio.Lock()

    async def tell(self, build: Build) -> None:
        """Put on record how far ``build`` is. Raises GivenUp."""
        if await self._registry.advance(build) != build.state:
            raise GivenUp

    async def patiently(self, build: Build, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work``, waiting for a store that is away: its return is all that is missing. Raises GivenUp."""
        while True:
            try:
                async with self.one_by_one:
                    return await work()
            except StoreUnavailable as error:
                log.warning("a replay waits for its store", build=build.name, error=str(error))
                await self.tell(build)
                await self._wait(_LOOK_SECONDS)


class Filling:
    """Fills builds of one read model. ``logs`` by context, ``registry`` that of its service."""

    flush_seconds: float = 5.0
    """How much of its work a replay may have to do again after it was killed."""

    def __init__(
        self,
        writer: FillWriter,
        *,
        registry: BuildRegistry,
        logs: Mapping[str, EventStore],
        clock: Clock,
        wait: Wait = asyncio.sleep,
    ) -> None:
        """``wait`` sleeps, so that tests need not."""
        self._writer = writer
        self._projection = writer.projection
        self._registry = registry
        self._record = Record(registry, wait)
        self._logs = logs
        self._home = logs[writer.projection.service]
        self._clock = clock

    async def fill(self, build: Build, one_pass: LogPass) -> Build:
        """Fill ``build`` from ``one_pass``, on from where an earlier try has come. Raises as Filler does."""
        async with self._registry.only_filling_of(build.name):
            fill = self._writer.filling(build.name)
            try:
                return await self._fill_by(fill, build, one_pass)
            finally:
                await fill.close()

    async def _begun(self, build: Build, fill: Fill, one_pass: LogPass) -> Wanted:
        """Where to begin: at the checkpoints of an earlier try, or with an empty build."""
        contexts = self._projection.contexts
        reached = [Checkpoint(build.name, each, await self._home.checkpoint(build.name, each)) for each in contexts]
        starts = {each.context: await self._writer.resumes_at(build.name, each) for each in reached}
        afresh = all(start == START for start in starts.values())

        async def begin() -> None:
            try:
                async with one_pass.one_by_one:
                    await fill.begin(afresh=afresh)
            except StoreUnavailable:
                one_pass.give_up(build.name)  # it reads by itself, later; the others need not wait for its store
                raise

        await self._record.patiently(build, begin)
        return Wanted(self._projection.topics, starts)

    async def _counted(self, build: Build, wanted: Wanted, one_pass: LogPass) -> Build:
        """``build``, with how many events it takes and how many of them it has."""
        total = left = 0
        for context, start in wanted.starts.items():
            everything = await one_pass.length(context, wanted.topics)
            total += everything
            left += everything if start == START else await self._logs[context].count(start, wanted.topics)
        return build.model_copy(update={"events_done": max(0, total - left), "events_total": max(total, left)})

    async def _fill_by(self, fill: Fill, build: Build, one_pass: LogPass) -> Build:
        wanted = await self._begun(build, fill, one_pass)
        build = await self._counted(build, wanted, one_pass)
        told_at = flushed_at = time.monotonic()
        taken: dict[str, Position] = {}

        async def flush() -> None:
            await self._record.patiently(build, fill.flush)
            for context in list(taken):
                await self._home.commit(self._reached(build, context, taken.pop(context)))

        async def handle(run: LogRun) -> None:
            nonlocal build, told_at, flushed_at
            await self._record.patiently(build, lambda: fill.write(run))
            taken[run.context] = run.position
            if time.monotonic() - flushed_at >= self.flush_seconds:
                await flush()
                flushed_at = time.monotonic()
            done = build.events_done + len(run.events)
            build = build.model_copy(update={"events_done": done, "events_total": max(done, build.events_total)})
            if time.monotonic() - told_at >= _TELL_SECONDS:
                await self._record.tell(build)
                told_at = time.monotonic()

        await one_pass.read(build.name, wanted, handle)
        await flush()
        await self._record.tell(build)
        return build

    def _reached(self, build: Build, context: str, position: Position) -> Commit:
        metadata = Metadata(correlation_id=build.replay_id, actor="system", at=self._clock.now())
        return Commit(metadata, checkpoints=(Checkpoint(build.name, context, position),))


class FillerHere:
    """A Filler in this event loop. ``fillings`` by read model."""

    def __init__(self, fillings: Mapping[str, Filling], one_pass: LogPass) -> None:
        self._fillings = fillings
        self._pass = one_pass

    async def fill(self, build: Build) -> Build:
        """See Filler."""
        return await self._fillings[build.projection].fill(build, self._pass)

    def give_up(self, build: Build) -> None:
        """See Filler."""
        self._pass.give_up(build.name)


def fillers_here(
    writers: Sequence[FillWriter],
    *,
    registries: Mapping[str, BuildRegistry],
    logs: Mapping[str, EventStore],
    clock: Clock,
    wait: Wait = asyncio.sleep,
) -> Fillers:
    """Fillers in this event loop. ``registries`` by service; ``wait`` sleeps, so that tests need not."""
    fillings = {
        writer.projection.name: Filling(
            writer,
            registry=registries[writer.projection.service],
            logs=logs,
            clock=clock,
            wait=wait,
        )
        for writer in writers
    }

    async def make(builds: Sequence[Build]) -> Filler:
        return FillerHere(fillings, LogPass(logs, [build.name for build in builds]))

    return make
