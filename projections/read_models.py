"""All read models of one process: each is fed live, rebuilt beside itself on demand, and swapped in atomically.

What there is to do is on record, in the builds of each read model: builds that operators have ordered, builds that a
process that died has left half done, builds that nobody wants any more. So it does not matter which process does it.
The very first build of a read model is a replay like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import structlog

from commands.ports import Clock, EventStore, FeedHost, NewId, Temporary
from domain.shared.errors import IllegalTransition
from projections.builds import UNDER_WAY, Build, BuildRegistry, BuildState, ReplayRunning
from projections.feeding import BuildFeeds
from projections.filling import Fillers, Wait
from projections.replay import Replay
from projections.writers import ProjectionWriter

WATCH_SECONDS = 0.5
GATHER_SECONDS = 0.1
"""An order for several read models is put on record one by one: when one is found, the others follow at once."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class _Task(NamedTuple):
    """A build that has to be brought to its readers."""

    replay: Replay
    build: Build


class ReadModels:
    """Keeps the read models of one process fed; see the module."""

    def __init__(
        self,
        writers: Sequence[ProjectionWriter],
        *,
        registries: Mapping[str, BuildRegistry],
        logs: Mapping[str, EventStore],
        feeds: FeedHost,
        fillers: Fillers,
        clock: Clock,
        new_id: NewId,
        wait: Wait = asyncio.sleep,
    ) -> None:
        """``logs`` by context: those that are read, and each writer's service as the home of its checkpoints.

        ``registries`` by service. ``wait`` sleeps, so that tests need not.
        """
        self._registries = registries
        self._feeds = BuildFeeds(feeds)
        self._fillers = fillers
        self._new_id = new_id
        self._wait = wait
        one_by_one = asyncio.Lock()
        self._models = [
            (
                writer,
                Replay(
                    writer,
                    registry=registries[writer.projection.service],
                    logs=logs,
                    feeds=self._feeds,
                    clock=clock,
                    one_by_one=one_by_one,
                    wait=wait,
                ),
            )
            for writer in writers
        ]
        self._running: dict[str, asyncio.Task[None]] = {}
        self._away: set[str] = set()
        """Read models of which a server is away."""

    async def open(self) -> None:
        """Feed what is live; build what is missing or has another version in the code; resume what was cut off.

        Only a process that begins compares versions: while a new version is deployed beside an old one, they would
        replace each other's builds for ever. What is in a store that is away is looked after by ``watch`` later.
        """
        await asyncio.gather(
            *(self._available(writer, self._bring_up_to_date(writer, replay)) for writer, replay in self._models)
        )
        await self._look()

    async def watch(self) -> None:
        """For ever: carry out what is ordered (in any process), and rebuild what a store has lost."""
        while True:
            await self._wait(WATCH_SECONDS)
            await self._look()

    async def close(self) -> None:
        """Stop replays where they are; they are resumed at the next ``open``. Feeds are stopped by their host."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _look(self) -> None:
        if await self._everything_to_do():
            await self._wait(GATHER_SECONDS)
            await self._begin(await self._everything_to_do())

    async def _everything_to_do(self) -> list[_Task]:
        found = await asyncio.gather(
            *(self._available(writer, self._to_do(writer, replay)) for writer, replay in self._models)
        )
        return [task for some in found for task in some or ()]

    async def _begin(self, tasks: Sequence[_Task]) -> None:
        """Carry out ``tasks``, those that read the log in one pass."""
        try:
            filler = await self._fillers([build for _, build in tasks if build.state == "building"])
        except Temporary as error:
            log.warning("replays wait", error=str(error))
            return
        for replay, build in tasks:
            work = asyncio.create_task(replay.make_live(build, filler), name=f"replay {build.name}")
            self._running[build.name] = work
            work.add_done_callback(self._ended)

    async def _available(self, writer: ProjectionWriter, work: Awaitable[T]) -> T | None:
        """The result; None while a server is away, which is said once."""
        name = writer.projection.name
        try:
            result = await work
        except Temporary as error:
            if name not in self._away:
                log.warning("a read model cannot be looked after", projection=name, error=str(error))
            self._away.add(name)
            return None
        if name in self._away:
            log.info("a read model is looked after again", projection=name)
            self._away.remove(name)
        return result

    async def _bring_up_to_date(self, writer: ProjectionWriter, replay: Replay) -> None:
        """If the live build was made by other code: go back to one that this code made, or make one.

        A first build that failed is tried again, because the code may be another.
        """
        name, version = writer.projection.name, writer.projection.version
        builds, live = await self._after_swaps(writer, replay)
        ours = [build for build in builds if build.version == version]
        if any(build.state in UNDER_WAY for build in ours):
            return
        if live is None and builds and builds[0].state == "failed":
            await self._begin_anew(writer, builds)
        if live is None or live.version == version or any(build.state == "failed" for build in ours):
            return
        log.info("a read model changes its version", projection=name, live=live.version, code=version)
        for build in builds:
            if build.state in UNDER_WAY:  # other code's, whose place this code takes
                await self._change(writer, build, "unwanted")
        kept = next((build for build in ours if build.state == "kept"), None)
        if kept is not None:
            await self._change(writer, kept, "returning")
        else:
            await self._create(writer, keep=True)

    async def _after_swaps(self, writer: ProjectionWriter, replay: Replay) -> tuple[list[Build], Build | None]:
        """All builds, and the live one, once other code swaps none in.

        That takes it a moment; if it has died in the middle, readers may see the build already, and it is ended for it.
        """
        while True:
            builds = await self._registry_of(writer).builds(writer.projection.name)
            live = await self._live(writer, builds)
            others = [each for each in builds if each.version != writer.projection.version and each.state == "swapping"]
            if not others:
                return builds, live
            with suppress(ReplayRunning):
                await replay.make_live(others[0], await self._fillers(()))
            await self._wait(GATHER_SECONDS)

    async def _to_do(self, writer: ProjectionWriter, replay: Replay) -> list[_Task]:
        """Feed what is to be fed, drop what is to be dropped; returns what takes longer."""
        name, version = writer.projection.name, writer.projection.version
        builds = await self._registry_of(writer).builds(name)
        live = await self._live(writer, builds)
        under_way = [build for build in builds if build.state in UNDER_WAY and build.version == version]
        # A build that other code has made is left to that code: ours would write what it does not expect.
        wanted = [live] if live is not None and live.version == version else []
        for build in wanted:
            await self._feeds.start(writer, build.name)
        await self._feeds.stop_others(name, {build.name for build in [*wanted, *under_way]})
        for build in builds:
            if build.state == "unwanted" and not self._is_running(build):
                await replay.drop(build)
        nothing_comes = not any(build.state in UNDER_WAY for build in builds)
        if live is None and nothing_comes and not (builds and builds[0].state == "failed"):
            under_way = await self._begin_anew(writer, builds)
        return [_Task(replay, build) for build in under_way if not self._is_running(build)]

    async def _begin_anew(self, writer: ProjectionWriter, builds: Sequence[Build]) -> list[Build]:
        """Readers see nothing: the store is new, or has lost what it had, and with it what was kept."""
        log.info("a read model is built", projection=writer.projection.name, version=writer.projection.version)
        for build in builds:
            await self._change(writer, build, "unwanted")
        return await self._create(writer, keep=False)

    async def _change(self, writer: ProjectionWriter, build: Build, state: BuildState) -> None:
        """Unless another process has changed it first: several may begin at once."""
        with suppress(IllegalTransition, ReplayRunning):
            await self._registry_of(writer).change(build, state)

    async def _create(self, writer: ProjectionWriter, *, keep: bool) -> list[Build]:
        projection = writer.projection
        try:
            registry = self._registry_of(writer)
            return [await registry.create(projection.name, projection.version, self._new_id(), keep=keep)]
        except ReplayRunning:
            return []  # another process has seen it too

    async def _live(self, writer: ProjectionWriter, builds: Sequence[Build]) -> Build | None:
        """The build that readers see; None if there is none (a new store, or one that lost it)."""
        pointed = await writer.store.pointed(writer.projection.name)
        return next((build for build in builds if build.name == pointed), None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say why a replay was broken off; it is taken up again."""
        self._running = {build: running for build, running in self._running.items() if running is not task}
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ReplayRunning):
            report = log.warning if isinstance(error, Temporary | OSError) else log.error
            report("replay broken off", replay=task.get_name(), error=repr(error))

    def _is_running(self, build: Build) -> bool:
        return build.name in self._running

    def _registry_of(self, writer: ProjectionWriter) -> BuildRegistry:
        return self._registries[writer.projection.service]
