"""The live feeds of builds: which builds of this process are fed, and how a run of events gets into one."""

from __future__ import annotations

from collections.abc import Collection

from commands.ports import Checkpoint, FeedHost, LogRun, Position
from projections.writers import ProjectionWriter


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
        await self._writer.write(self.name, run)

    async def resumes_at(self, checkpoint: Checkpoint) -> Position:
        """See Feed."""
        return await self._writer.resumes_at(self.name, checkpoint)


class BuildFeeds:
    """Starts and stops the live feeds of builds; either may be asked for again."""

    def __init__(self, host: FeedHost) -> None:
        self._host = host
        self._fed: dict[str, str] = {}
        """The read model of each build that is fed."""

    async def start(self, writer: ProjectionWriter, build: str) -> None:
        """Feed ``build`` from its checkpoints."""
        if build not in self._fed:
            self._fed[build] = writer.projection.name
            await self._host.start(ProjectionFeed(writer, build), writer.projection.service)

    async def stop(self, build: str) -> None:
        """Feed ``build`` no longer."""
        if self._fed.pop(build, None) is not None:
            await self._host.stop(build)

    async def stop_others(self, projection: str, wanted: Collection[str]) -> None:
        """Feed no builds of ``projection`` but ``wanted``: others were replaced, perhaps by another process."""
        for build in [build for build, model in self._fed.items() if model == projection and build not in wanted]:
            await self.stop(build)
