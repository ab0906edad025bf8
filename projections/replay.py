"""How one build comes to its readers: it is filled from the log, fed until it has caught up, and swapped in.

A build has its own checkpoints, under its own name as feed. So a replay that is killed goes on where they are, in
whichever process feeds the read model next, and the live build is fed and serves until the very end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from commands.ports import Clock, EventStore, Temporary, WentBack
from domain.shared.errors import IllegalTransition
from projections.builds import UNDER_WAY, Build, BuildRegistry, BuildState, ReplayRunning
from projections.feeding import BuildFeeds
from projections.filling import Filler, GivenUp, Record, Wait
from projections.ports import BuildMissing
from projections.writers import ProjectionWriter

CAUGHT_UP_WITHIN = 200
"""Events that the live feed of a build may be behind when it is swapped in: no more than one run."""
CUT_OFF = (Temporary, WentBack, OSError)
"""What ends a replay without being its failure: it goes on when servers and locks are back."""
_CATCHING_UP_SECONDS = 0.1

log = structlog.get_logger(__name__)


class Replay:
    """Takes builds of one read model to their readers. ``logs`` by context, ``registry`` that of its service."""

    def __init__(
        self,
        writer: ProjectionWriter,
        *,
        registry: BuildRegistry,
        logs: Mapping[str, EventStore],
        feeds: BuildFeeds,
        clock: Clock,
        one_by_one: asyncio.Lock,
        wait: Wait = asyncio.sleep,
    ) -> None:
        """``one_by_one`` is shared by the replays of a process, and held while one of them has a store work.

        Builds that are filled together are swapped in together: all of that at once would leave others no processor.
        ``wait`` sleeps, so that tests need not.
        """
        self._writer = writer
        self._projection = writer.projection
        self._registry = registry
        self._record = Record(registry, wait, one_by_one)
        self._logs = logs
        self._home = logs[writer.projection.service]
        self._feeds = feeds
        self._clock = clock
        self._wait = wait

    async def make_live(self, build: Build, filler: Filler) -> None:
        """Let ``filler`` fill ``build`` if it is being built, then swap it in.

        A failure is on record when this returns, and readers see what they saw before. Raises ReplayRunning if
        another process does it, and a Temporary if a server it depends on is away: it can be gone on with later.
        """
        try:
            async with self._registry.only_replay_of(self._projection.name):
                # Until the lock was ours another process may have ended it, and readers see it now.
                builds = await self._registry.builds(self._projection.name)
                current = next((each for each in builds if each.name == build.name and each.state in UNDER_WAY), None)
                if current is not None:
                    await self._to_its_end(current, filler)
        finally:
            filler.give_up(build)

    async def drop(self, build: Build) -> None:
        """Delete ``build`` from its store; that it is gone is put on record last. Raises StoreUnavailable."""
        await self._feeds.stop(build.name)
        async with self._record.one_by_one:
            await self._writer.store.drop(build.name)
        await self._registry.update(build.model_copy(update={"state": "dropped"}))

    async def _to_its_end(self, build: Build, filler: Filler) -> None:
        try:
            if build.state == "building":
                build = await filler.fill(build)
                await self._record.patiently(build, lambda: self._writer.filled(build.name))
            await self._swap(build)
        except GivenUp:
            log.info("a replay was given up", build=build.name)
            await self._feeds.stop(build.name)
        except BuildMissing:
            # The store was emptied meanwhile: what the checkpoints say is written is not, so begin another build.
            log.warning("the store has lost a build", build=build.name)
            await self._feeds.stop(build.name)
            await self._registry.update(self._ended(build, "unwanted"))
        except (*CUT_OFF, ReplayRunning):
            raise
        except Exception as error:
            log.exception("replay failed", build=build.name)
            await self._registry.update(self._ended(build, "failed").model_copy(update={"error": str(error)}))
            await self._feeds.stop(build.name)
            await self._writer.store.drop(build.name)

    async def _swap(self, build: Build) -> None:
        name, registry = self._projection.name, self._registry
        if build.state != "swapping":
            async with self._record.one_by_one:
                await self._feeds.start(self._writer, build.name)
            await self._caught_up(build)
            # Going back must not lose the newer build: it is what one came from.
            build = await self._claimed(build, keep=build.keep or build.state == "returning")
        # From here on it cannot be given up, and whatever code has made it, any process can end this.
        await self._record.patiently(build, lambda: self._writer.store.point(name, build.name))
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
        """``build``, put on record as being swapped in. Raises GivenUp."""
        try:
            return await self._registry.change(build, "swapping", keep=keep)
        except IllegalTransition as error:
            raise GivenUp from error

    async def _caught_up(self, build: Build) -> None:
        """Return when the build's live feed is hardly behind. Raises GivenUp."""
        for context in self._projection.contexts:
            while True:
                async with self._record.one_by_one:
                    position = await self._home.checkpoint(build.name, context)
                    left = await self._logs[context].count(position, self._projection.topics)
                if left <= CAUGHT_UP_WITHIN:
                    break
                await self._record.tell(build)
                await self._wait(_CATCHING_UP_SECONDS)

    def _ended(self, build: Build, state: BuildState) -> Build:
        return build.model_copy(update={"state": state, "finished_at": self._clock.now()})


def _replaced_among(others: Sequence[Build]) -> Build | None:
    """The build that readers saw before. When an earlier try was cut off in the middle of this, it is kept already."""
    return next((each for state in ("live", "kept") for each in others if each.state == state), None)
