"""What comparing a read model with the log needs, whatever kind it is."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from commands.ports import EventStore, Position, RecordedEvent
from domain.shared.messages import Event
from projections.audit.findings import Findings, Period
from projections.audit.sampling import Sample
from projections.builds import UNDER_WAY, BuildRegistry
from projections.ports import BuildMissing
from projections.projection import Projection

SAMPLED = 200
"""How many documents or calendars of one read model are compared, unless all are."""
PATIENCE_SECONDS = 60.0
"""How long a read model may take to get to the cut before it is left out."""
SWAPS = 3
"""How often a comparison is begun again because a replay has exchanged the build meanwhile."""
_LOOK_SECONDS = 0.05


class Logs:
    """The logs, and how to wait until a read model is there and has read them up to some place."""

    def __init__(
        self,
        logs: Mapping[str, EventStore],
        wait: Callable[[float], Awaitable[object]],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """``wait`` sleeps, so that tests need not."""
        self.by_context = logs
        self._wait = wait
        self._patience_seconds = patience_seconds

    async def reached(self, projection: Projection, build: str, needed: Mapping[str, Position]) -> bool:
        """Wait until ``build`` has read everything up to ``needed``; False if that takes too long."""
        home = self.by_context[projection.service]

        async def there() -> bool:
            reached = [await home.checkpoint(build, context) >= position for context, position in needed.items()]
            return all(reached)

        return await self._in_time(there)

    async def built(self, projection: Projection, registry: BuildRegistry) -> bool:
        """Wait while readers of ``projection`` see nothing yet, but will; False if that takes too long."""

        async def there() -> bool:
            states = {build.state for build in await registry.builds(projection.name)}
            return "live" in states or not states & UNDER_WAY

        return await self._in_time(there)

    async def _in_time(self, there: Callable[[], Awaitable[bool]]) -> bool:
        deadline = time.monotonic() + self._patience_seconds
        while not await there():
            if time.monotonic() > deadline:
                return False
            await self._wait(_LOOK_SECONDS)
        return True


class ReadModelAudit(ABC):
    """One read model: folded anew from the log in one pass, then held against its store."""

    def __init__(self, projection: Projection, period: Period, *, full: bool, salt: UUID) -> None:
        """With a period everything is folded, because it is not known before what will happen in it."""
        whole = full or period != Period()
        self.sample = Sample(None if whole else SAMPLED, salt)
        self.full = full
        self.period = period
        self.needed: dict[str, Position] = {}
        """Per context the last event that concerns the read model."""
        self.findings = Findings(
            f"read_model:{projection.name}", f"{projection.name} is what a fresh fold of the log makes of it."
        )

    @property
    @abstractmethod
    def projection(self) -> Projection:
        """Which read model."""

    @property
    def takes(self) -> tuple[type[Event], ...]:
        """Events that concern it."""
        return self.projection.takes

    def take(self, recorded: RecordedEvent) -> None:
        """Fold the next event of a log."""
        self.needed[recorded.context] = recorded.position
        self.fold(recorded)

    @abstractmethod
    def fold(self, recorded: RecordedEvent) -> None:
        """Fold one event."""

    @abstractmethod
    async def judge(self, logs: Logs) -> None:
        """Compare. Raises StoreUnavailable."""


async def compare_live(
    audit: ReadModelAudit,
    pointed: Callable[[], Awaitable[str | None]],
    logs: Logs,
    compare: Callable[[str], Awaitable[Findings]],
) -> None:
    """Let ``compare`` look at the live build, once that has read up to the cut; again, if it is exchanged meanwhile.

    ``pointed`` tells which one is live. ``compare`` returns findings of its own, which are only taken over if the build
    was there all the time.
    """
    for _ in range(SWAPS):
        build = await pointed()
        if build is None:
            audit.findings.violation(f"{audit.projection.name} is not in its store")
            return
        found = Findings(audit.findings.name, audit.findings.about)
        if await logs.reached(audit.projection, build, audit.needed):
            try:
                found = await compare(build)
            except BuildMissing as error:
                found.violation(str(error))
        else:
            found.skipped = f"{build} is far behind the log; try again when its feed has caught up"
        if await pointed() == build:
            take_over(audit.findings, found)
            return
    audit.findings.skipped = f"{audit.projection.name} was rebuilt again and again meanwhile"


def take_over(findings: Findings, more: Findings) -> None:
    """Add what a comparison has found."""
    findings.skipped = more.skipped or findings.skipped
    findings.checked += more.checked
    findings.unlisted += more.unlisted
    findings.noted += more.noted
    for violation in more.violations:
        findings.violation(violation.detail, *violation.proof)
