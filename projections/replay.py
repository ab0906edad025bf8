"""How one build comes to its readers: it is filled from the log, fed until it has caught up, and swapped in.

A build has its own checkpoints, under its own name as feed. So a replay that is killed goes on where they are, in
whichever process feeds the read model next, and the live build is fed and serves until the very end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from commands.ports import START, Checkpoint, Clock, Commit, EventStore, LogRun, Metadata, Position, Temporary, WentBack
from domain.shared.errors import IllegalTransition
from projections.builds import Build, BuildRegistry, BuildState
from projections.feeding import BuildFeeds
from projections.fills import Fill
from projections.log_pass import LogPass, Wanted
from projections.ports import BuildMissing, StoreUnavailable
from projections.writers import ProjectionWriter

CAUGHT_UP_WITHIN = 200
"""Events that the live feed of a build may be behind when it is swapped in: no more than one run."""
_LOOK_SECONDS = 1.0
_TELL_SECONDS = 0.25
_CATCHING_UP_SECONDS = 0.1
_CUT_OFF = (Temporary, WentBack, OSError)
"""What ends a replay without being its failure: it goes on when servers and locks are back."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class _GivenUp(Exception):
    """Somebody has ordered that the build should not go live."""


class Replay:
    """Takes builds of one read model to their readers. ``logs`` by context, ``registry`` that of its service."""

    flush_seconds: float = 5.0
    """How much of its work a replay may have to do again after it was killed."""

    def __init__(
        self,
        writer: ProjectionWriter,
        *,
        registry: BuildRegistry,
        logs: Mapping[str, EventStore],
        feeds: BuildFeeds,
        clock: Clock,
        wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``wait`` sleeps, so that tests need not."""
        self._writer = writer
        self._projection = writer.projection
        self._registry = registry
        self._logs = logs
        self._home = logs[writer.projection.service]
        self._feeds = feeds
        self._clock = clock
        self._wait = wait

    async def make_live(self, build: Build, one_pass: LogPass) -> None:
        """Fill ``build`` from ``one_pass`` if it is being built, then swap it in.

        A failure is on record when this returns, and readers see what they saw before. Raises ReplayRunning if
        another process does it, and a Temporary if a server it depends on is away: it can be gone on with later.
        """
        try:
            async with self._registry.only_replay_of(self._projection.name):
                await self._to_its_end(build, one_pass)
        finally:
            one_pass.give_up(build.name)

    async def drop(self, build: Build) -> None:
        """Delete ``build`` from its store; that it is gone is put on record last. Raises StoreUnavailable."""
        await self._feeds.stop(build.name)
        await self._writer.store.drop(build.name)
        await self._registry.update(build.model_copy(update={"state": "dropped"}))

    async def _to_its_end(self, build: Build, one_pass: LogPass) -> None:
        try:
            await self._swap(await self._fill(build, one_pass) if build.state == "building" else build)
        except _GivenUp:
            log.info("a replay was given up", build=build.name)
            await self._feeds.stop(build.name)
            if build.state == "building":
                await self.drop(build)
        except BuildMissing:
            # The store was emptied meanwhile: what the checkpoints say is written is not, so begin another build.
            log.warning("the store has lost a build", build=build.name)
            await self._feeds.stop(build.name)
            await self._registry.update(self._ended(build, "dropped"))
        except _CUT_OFF:
            raise
        except Exception as error:
            log.exception("replay failed", build=build.name)
            await self._registry.update(self._ended(build, "failed").model_copy(update={"error": str(error)}))
            await self._feeds.stop(build.name)
            await self._writer.store.drop(build.name)

    async def _begun(self, build: Build, fill: Fill) -> Wanted:
        """Where to begin: at the checkpoints of an earlier try, or with an empty build."""
        contexts = self._projection.contexts
        reached = [Checkpoint(build.name, each, await self._home.checkpoint(build.name, each)) for each in contexts]
        starts = {each.context: await self._writer.resumes_at(build.name, each) for each in reached}
        afresh = all(start == START for start in starts.values())
        await self._patiently(build, lambda: fill.begin(afresh=afresh))
        return Wanted(self._projection.topics, starts)

    async def _fill(self, build: Build, one_pass: LogPass) -> Build:
        fill = self._writer.filling(build.name)
        try:
            return await self._fill_by(fill, build, one_pass)
        finally:
            await fill.close()

    async def _fill_by(self, fill: Fill, build: Build, one_pass: LogPass) -> Build:
        wanted = await self._begun(build, fill)
        total = left = 0
        for context, start in wanted.starts.items():
            everything = await self._logs[context].count(START, wanted.topics)
            total += everything
            left += everything if start == START else await self._logs[context].count(start, wanted.topics)
        build = build.model_copy(update={"events_done": total - left, "events_total": total})
        told_at = flushed_at = time.monotonic()
        taken: dict[str, Position] = {}

        async def flush() -> None:
            await self._patiently(build, fill.flush)
            for context in list(taken):
                await self._home.commit(self._reached(build, context, taken.pop(context)))

        async def handle(run: LogRun) -> None:
            nonlocal build, told_at, flushed_at
            await self._patiently(build, lambda: fill.write(run))
            taken[run.context] = run.position
            if time.monotonic() - flushed_at >= self.flush_seconds:
                await flush()
                flushed_at = time.monotonic()
            done = build.events_done + len(run.events)
            build = build.model_copy(update={"events_done": done, "events_total": max(done, build.events_total)})
            if time.monotonic() - told_at >= _TELL_SECONDS:
                await self._tell(build)
                told_at = time.monotonic()

        await one_pass.read(build.name, wanted, handle)
        await flush()
        await self._patiently(build, fill.end)
        await self._tell(build)
        return build

    async def _tell(self, build: Build) -> None:
        """Put on record how far ``build`` is. Raises _GivenUp."""
        if await self._registry.advance(build) != build.state:
            raise _GivenUp

    async def _patiently(self, build: Build, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work``, waiting for a store that is away: its return is all that is missing. Raises _GivenUp."""
        while True:
            try:
                return await work()
            except StoreUnavailable as error:
                log.warning("a replay waits for its store", build=build.name, error=str(error))
                await self._tell(build)
                await self._wait(_LOOK_SECONDS)

    async def _swap(self, build: Build) -> None:
        name, registry = self._projection.name, self._registry
        if build.state != "swapping":
            await self._feeds.start(self._writer, build.name)
            await self._caught_up(build)
            # Going back must not lose the newer build: it is what one came from.
            build = await self._claimed(build, keep=build.keep or build.state == "returning")
        # From here on it cannot be given up, and whatever code has made it, any process can end this.
        await self._patiently(build, lambda: self._writer.store.point(name, build.name))
        others = [each for each in await registry.builds(name) if each.name != build.name]
        replaced = _replaced_among(others)
        for other in others:
            kept = build.keep and other is replaced
            await registry.update(other.model_copy(update={"state": "kept" if kept else "unwanted"}))
        await registry.update(self._ended(build, "live"))
        await self._feeds.stop_others(name, {build.name})
        for other in await registry.builds(name):
            if other.state == "unwanted":
                await self.drop(other)

    async def _claimed(self, build: Build, *, keep: bool) -> Build:
        """``build``, put on record as being swapped in. Raises _GivenUp."""
        try:
            return await self._registry.change(build, "swapping", keep=keep)
        except IllegalTransition as error:
            raise _GivenUp from error

    async def _caught_up(self, build: Build) -> None:
        """Return when the build's live feed is hardly behind. Raises _GivenUp."""
        for context in self._projection.contexts:
            while True:
                position = await self._home.checkpoint(build.name, context)
                if await self._logs[context].count(position, self._projection.topics) <= CAUGHT_UP_WITHIN:
                    break
                await self._tell(build)
                await self._wait(_CATCHING_UP_SECONDS)

    def _reached(self, build: Build, context: str, position: Position) -> Commit:
        metadata = Metadata(correlation_id=build.replay_id, actor="system", at=self._clock.now())
        return Commit(metadata, checkpoints=(Checkpoint(build.name, context, position),))

    def _ended(self, build: Build, state: BuildState) -> Build:
        return build.model_copy(update={"state": state, "finished_at": self._clock.now()})


def _replaced_among(others: Sequence[Build]) -> Build | None:
    """The build that readers saw before. When an earlier try was cut off in the middle of this, it is kept already."""
    return next((each for state in ("live", "kept") for each in others if each.state == state), None)
