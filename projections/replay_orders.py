"""What operators order of builds. It is put on record; the process that feeds the read model carries it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

from commands.ports import NewId, Temporary
from domain.shared.errors import DomainError, IllegalTransition, NotFound
from projections.builds import UNDER_WAY, Build, BuildRegistry, BuildState
from projections.projection import Projection


class ReplayOrders:
    """Orders over all read models, in whichever process they are fed; ``registries`` by service."""

    def __init__(
        self, projections: Sequence[Projection], registries: Mapping[str, BuildRegistry], new_id: NewId
    ) -> None:
        self._projections = {projection.name: projection for projection in projections}
        self._registries = registries
        self._new_id = new_id

    async def replay(self, names: Sequence[str], *, keep: bool = False) -> list[Build]:
        """Rebuild ``names`` beside the live builds: all of them, or none.

        Those that one process feeds are rebuilt in one pass over the log. Raises NotFound, ReplayRunning.
        """
        ordered: list[Build] = []
        try:
            for projection in [self.projection(name) for name in dict.fromkeys(names)]:
                registry = self._registry_of(projection)
                ordered.append(await registry.create(projection.name, projection.version, self._new_id(), keep=keep))
        except BaseException:
            for build in ordered:
                with suppress(DomainError, Temporary):  # it has ended already, or its service is away
                    await self.cancel(build.replay_id)
            raise
        return ordered

    async def cancel(self, replay_id: UUID) -> Build:
        """Give up a replay: what it has built is dropped, what was coming back is kept on.

        Raises NotFound, IllegalTransition if it has ended, or is just being swapped in.
        """
        build = await self.find(replay_id)
        instead: dict[BuildState, BuildState] = {"building": "unwanted", "returning": "kept"}
        if build.state not in instead:
            raise IllegalTransition(f"the replay {replay_id} has ended: {build.name} is {build.state}")
        return await self._registry_of(self.projection(build.projection)).change(build, instead[build.state])

    async def bring_back(self, name: str) -> Build:
        """Let the build that was kept at the last replay become the live one again, once it has caught up.

        Raises NotFound, ReplayRunning, or IllegalTransition if none is kept, or if other code made it.
        """
        projection = self.projection(name)
        kept = await self._kept(projection)
        if kept.version != projection.version:
            raise IllegalTransition(
                f"{kept.name} was made by version {kept.version} of {name}, and this code has version "
                f"{projection.version}: deploy that version's code, which brings it back by itself"
            )
        return await self._registry_of(projection).change(kept, "returning")

    async def discard(self, name: str) -> Build:
        """Drop the build that was kept at the last replay. Raises NotFound, IllegalTransition if none is kept."""
        projection = self.projection(name)
        return await self._registry_of(projection).change(await self._kept(projection), "unwanted")

    async def find(self, replay_id: UUID) -> Build:
        """The build that a replay makes or made. Raises NotFound."""
        for registry in self._registries.values():
            if (build := await registry.of_replay(replay_id)) is not None:
                return build
        raise NotFound(f"there is no replay {replay_id}")

    async def under_way(self) -> list[Build]:
        """Builds that are on their way to be live, newest first."""
        found = [build for registry in dict.fromkeys(self._registries.values()) for build in await registry.builds()]
        return sorted((each for each in found if each.state in UNDER_WAY), key=lambda each: each.name, reverse=True)

    def projection(self, name: str) -> Projection:
        """The read model of that name. Raises NotFound."""
        if name not in self._projections:
            raise NotFound(f"no read model {name[:100]!r}; there are {', '.join(self._projections)}")
        return self._projections[name]

    def _registry_of(self, projection: Projection) -> BuildRegistry:
        return self._registries[projection.service]

    async def _kept(self, projection: Projection) -> Build:
        for build in await self._registry_of(projection).builds(projection.name):
            if build.state == "kept":
                return build
        raise IllegalTransition(
            f"no earlier build of {projection.name} is kept: say so when it is replayed, by `--keep`"
        )
