"""Builds of read models and the record of their replays: who serves, what is being built, how far it is."""

from __future__ import annotations

import datetime as dt
import re
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.shared.errors import DomainError

BuildState = Literal["building", "live", "kept", "returning", "swapping", "unwanted", "failed", "dropped"]
"""``kept``: was live, is no longer fed, and can come back. ``returning``: is fed again and will be live once it has
caught up. ``swapping``: has caught up, and nothing keeps it from going live any more. ``unwanted``: the process that
feeds its read model will drop it."""
UNDER_WAY: frozenset[BuildState] = frozenset({"building", "returning", "swapping"})
_NUMBER = re.compile(r"_\d+$")


class Build(BaseModel):
    """One physical build of a read model. ``version`` is that of the projection's code that fills it.

    ``keep``: the build that it replaces is kept, so that it can come back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    projection: str
    version: int
    state: BuildState
    replay_id: UUID
    created_at: dt.datetime
    finished_at: dt.datetime | None = None
    events_done: int = 0
    events_total: int = 0
    error: str | None = None
    keep: bool = False

    def per_second(self, now: dt.datetime) -> float:
        """Events written per second since the build began (until it ended)."""
        seconds = ((self.finished_at or now) - self.created_at).total_seconds()
        return self.events_done / seconds if seconds > 0 else 0.0

    def eta_seconds(self, now: dt.datetime) -> float | None:
        """How long the rest will take at the rate so far; None when that cannot be said."""
        rate = self.per_second(now)
        if self.state != "building" or rate == 0:
            return None
        return max(0, self.events_total - self.events_done) / rate


def read_model_of(feed: str) -> str:
    """The read model that a feed fills, if it is named like a build (``hotel_pages_7``), else the feed itself."""
    return _NUMBER.sub("", feed)


class ReplayRunning(DomainError):
    """A replay of this read model is under way; wait for it or stop it first."""

    problem = "replay-running"


class BuildRegistry(Protocol):
    """Durable record of builds, in the PostgreSQL of the service that feeds them."""

    async def create(self, projection: str, version: int, replay_id: UUID, *, keep: bool = False) -> Build:
        """Record the next build of ``projection``, in state ``building``.

        Its name is never used twice, even if the store was emptied. Raises ReplayRunning if another is under way.
        """
        ...

    async def update(self, build: Build) -> None:
        """Replace the record of ``build.name``, whatever its state. Raises LookupError if there is none."""
        ...

    async def advance(self, build: Build) -> BuildState:
        """Record how far ``build`` is, and nothing else; returns the state on record, which others may have changed.

        Raises LookupError.
        """
        ...

    async def change(self, build: Build, state: BuildState, *, keep: bool | None = None) -> Build:
        """Change the state, and ``keep`` if given, if the state is still that of ``build``.

        Raises IllegalTransition if it is not, ReplayRunning if ``build`` would be on its way beside another.
        """
        ...

    async def builds(self, projection: str | None = None) -> list[Build]:
        """All builds that were not dropped (newest first)."""
        ...

    async def of_replay(self, replay_id: UUID) -> Build | None:
        """The build that a replay makes or made."""
        ...

    def only_replay_of(self, projection: str) -> AbstractAsyncContextManager[None]:
        """Hold the right to replay ``projection``; freed when the process dies. Raises ReplayRunning."""
        ...

    def only_filling_of(self, build: str) -> AbstractAsyncContextManager[None]:
        """Hold the right to fill ``build``, in whichever process; otherwise as ``only_replay_of``.

        What fills a build may outlive for a moment the process that replays it.
        """
        ...
