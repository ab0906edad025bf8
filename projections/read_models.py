"""All read models of one process: each is fed live, rebuilt beside itself on demand, and swapped in atomically.

A build has its own checkpoints, under its own name as feed. So a replay is: prepare the next build, fill it from the
log in large batches, start its live feed, wait until that has caught up, point readers to it, stop and drop the old
one. The old build is fed and serves until the very end, and a replay that is killed goes on from its checkpoints.
The very first build of a read model is a replay like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from commands.ports import START, Checkpoint, Clock, Commit, EventStore, FeedHost, LogRun, Metadata, NewId
from domain.shared.errors import NotFound
from projections.builds import Build, BuildRegistry, ReplayRunning
from projections.ports import BuildMissing, StoreUnavailable
from projections.writers import ProjectionWriter

REPLAY_BATCH = 2_000
CAUGHT_UP_WITHIN = 200
WATCH_SECONDS = 0.5
_STORE_PATIENCE_SECONDS = 1.0

log = structlog.get_logger(__name__)


class ProjectionFeed:
    """Feeds one build of one read model; what it writes is harmless twice, so its checkpoint may follow later."""

    commits_checkpoint = False

    def __init__(self, writer: ProjectionWriter, build: str) -> None:
        self.name = build
        self.contexts = writer.projection.contexts
        self.topics: frozenset[str] | None = writer.projection.topics
        self._writer = writer

    async def handle(self, run: LogRun, checkpoint: Checkpoint) -> None:
        """Write the run; ``checkpoint`` is stored by the runner."""
        del checkpoint
        if run.events:
            await self._writer.write(self.name, run.events)


class ReadModels:
    """Keeps the read models of one process fed; see the module."""

    def __init__(
        self,
        writers: Sequence[ProjectionWriter],
        *,
        registries: Mapping[str, BuildRegistry],
        logs: Mapping[str, EventStore],
        feeds: FeedHost,
        clock: Clock,
        new_id: NewId,
        wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``logs`` by context: those that are read, and each writer's service as the home of its checkpoints.

        ``registries`` by service. ``wait`` sleeps, so that tests need not.
        """
        self.writers = {writer.projection.name: writer for writer in writers}
        self._registries = registries
        self._logs = logs
        self._feeds = feeds
        self._clock = clock
        self._new_id = new_id
        self._wait = wait
        self._replays: dict[str, asyncio.Task[Build]] = {}
        self._fed: set[str] = set()

    async def open(self) -> None:
        """Feed what is live; build what is missing or has another version in the code; resume what was cut off.

        What is in a store that is away is looked after by ``watch`` once the store is back.
        """
        for writer in self.writers.values():
            await self._look_after(writer)

    async def watch(self) -> None:
        """For ever: start the replays that operators ask for (in any process), and rebuild what a store has lost."""
        while True:
            await self._wait(WATCH_SECONDS)
            for writer in self.writers.values():
                await self._look_after(writer)

    async def _look_after(self, writer: ProjectionWriter) -> None:
        try:
            await self._as_it_should_be(writer)
        except StoreUnavailable as error:
            log.warning("a read store is away", projection=writer.projection.name, error=str(error))

    async def _as_it_should_be(self, writer: ProjectionWriter) -> None:
        projection = writer.projection
        builds = await self._registry_of(writer).builds(projection.name)
        live = await self._live(writer)
        if live is not None and live.name not in self._fed:
            await self._feed(writer, live.name)
        building = [build for build in builds if build.state == "building"]
        if building:
            running = self._replays.get(building[0].name)
            if running is None or running.done():
                self._spawn(writer, building[0])
        elif not (builds and builds[0].state == "failed") and (live is None or live.version != projection.version):
            log.info("a read model is built", projection=projection.name, version=projection.version)
            await self.replay(projection.name)

    async def _live(self, writer: ProjectionWriter) -> Build | None:
        """The build that readers see; None if there is none (a new store, or one that lost it)."""
        pointed = await writer.store.pointed(writer.projection.name)
        builds = await self._registry_of(writer).builds(writer.projection.name)
        return next((build for build in builds if build.name == pointed), None)

    async def close(self) -> None:
        """Stop replays where they are; they are resumed at the next ``open``. Feeds are stopped by their host."""
        for task in self._replays.values():
            task.cancel()
        await asyncio.gather(*self._replays.values(), return_exceptions=True)

    async def replay(self, name: str) -> Build:
        """Start to build the next version of ``name`` beside the live one; returns at once.

        Raises NotFound, or ReplayRunning.
        """
        writer = self.writers.get(name)
        if writer is None:
            raise NotFound(f"no read model {name!r}; there are {', '.join(self.writers)}")
        registry = self._registry_of(writer)
        async with registry.only_replay_of(name):
            if any(build.state == "building" for build in await registry.builds(name)):
                raise ReplayRunning(f"{name} is being rebuilt; wait until that has ended")
            build = await registry.create(name, writer.projection.version, "building", self._new_id())
        self._spawn(writer, build)
        return build

    async def finished(self, build: Build) -> Build:
        """Wait until the replay that makes ``build`` has ended. Raises what ended it."""
        return await self._replays[build.name]

    def _registry_of(self, writer: ProjectionWriter) -> BuildRegistry:
        return self._registries[writer.projection.service]

    async def _feed(self, writer: ProjectionWriter, build: str) -> None:
        if build not in self._fed:
            self._fed.add(build)
            await self._feeds.start(ProjectionFeed(writer, build), writer.projection.service)

    async def _unfeed(self, build: str) -> None:
        await self._feeds.stop(build)
        self._fed.discard(build)

    def _spawn(self, writer: ProjectionWriter, build: Build) -> None:
        task = asyncio.create_task(self._run_replay(writer, build), name=f"replay {build.name}")
        self._replays[build.name] = task
        task.add_done_callback(_report)

    async def _run_replay(self, writer: ProjectionWriter, build: Build) -> Build:
        registry = self._registry_of(writer)
        async with registry.only_replay_of(writer.projection.name):
            try:
                return await self._swap(writer, await self._fill(writer, build))
            except BuildMissing:
                # The store was emptied meanwhile: what the checkpoints say is written is not, so begin another build.
                await registry.update(build.model_copy(update={"state": "dropped", "finished_at": self._clock.now()}))
                await self._unfeed(build.name)
                raise
            except Exception as error:
                ended = {"state": "failed", "error": str(error), "finished_at": self._clock.now()}
                await registry.update(build.model_copy(update=ended))
                await self._unfeed(build.name)
                await writer.store.drop(build.name)
                raise

    async def _fill(self, writer: ProjectionWriter, build: Build) -> Build:
        """Write the whole log into ``build``, context by context, reading the next batch while one is written."""
        topics = writer.projection.topics
        home = self._logs[writer.projection.service]
        starts = {context: await home.checkpoint(build.name, context) for context in writer.projection.contexts}
        if all(start == START for start in starts.values()):
            await writer.prepare(build.name)
        left = [await self._logs[context].count(start, topics) for context, start in starts.items()]
        build = build.model_copy(update={"events_total": build.events_done + sum(left)})
        for context, start in starts.items():
            source = self._logs[context]
            run = await source.read_log(start, REPLAY_BATCH, topics=topics)
            while run.position != run.prev:
                following = asyncio.create_task(source.read_log(run.position, REPLAY_BATCH, topics=topics))
                try:
                    await self._write(writer, build.name, run)
                    await home.commit(self._progress(build, run))
                except BaseException:
                    following.cancel()
                    raise
                build = build.model_copy(update={"events_done": build.events_done + len(run.events)})
                await self._registry_of(writer).update(build)
                run = await following
        return build

    async def _write(self, writer: ProjectionWriter, build: str, run: LogRun) -> None:
        """Write, waiting for a store that is away: its return is all that is missing."""
        while True:
            try:
                return await writer.write(build, run.events)
            except StoreUnavailable as error:
                log.warning("replay waits for its store", build=build, error=str(error))
                await self._wait(_STORE_PATIENCE_SECONDS)

    async def _swap(self, writer: ProjectionWriter, build: Build) -> Build:
        name = writer.projection.name
        registry = self._registry_of(writer)
        await self._feed(writer, build.name)
        await self._caught_up(writer, build.name)
        await writer.store.point(name, build.name)
        done = build.model_copy(update={"state": "live", "finished_at": self._clock.now()})
        await registry.update(done)
        for old in await registry.builds(name):
            if old.name != build.name:
                await self._unfeed(old.name)
                await writer.store.drop(old.name)
                await registry.update(old.model_copy(update={"state": "dropped"}))
        return done

    async def _caught_up(self, writer: ProjectionWriter, build: str) -> None:
        """Return when the build's live feed is no further behind than one run of events."""
        home = self._logs[writer.projection.service]
        for context in writer.projection.contexts:
            while True:
                position = await home.checkpoint(build, context)
                if await self._logs[context].count(position, writer.projection.topics) <= CAUGHT_UP_WITHIN:
                    break
                await home.wait_beyond(await home.head(), _STORE_PATIENCE_SECONDS)

    def _progress(self, build: Build, run: LogRun) -> Commit:
        metadata = Metadata(correlation_id=build.replay_id, actor="system", at=self._clock.now())
        return Commit(metadata, checkpoints=(Checkpoint(build.name, run.context, run.position),))


def _report(task: asyncio.Task[Any]) -> None:
    if task.cancelled() or isinstance(error := task.exception(), ReplayRunning):
        return  # closed, or another process makes this build
    if error is not None:
        log.error("replay failed", replay=task.get_name(), error=str(error))
