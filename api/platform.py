"""What people come in to: everything that routes, pages and the command line may use. ``infra.bootstrap`` makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from commands.accounts import Accounts
from commands.limits import RateLimiter
from commands.ports import Clock, CommandBus, DeadLetters, EventStore, NewId, Streams
from commands.security import Offers, Passwords, Tokens
from projections.builds import BuildRegistry
from projections.ports import CalendarStore, DocumentStore, SearchStore
from projections.projection import Projection

HealthState = Literal["up", "down", "degraded"]


@dataclass(frozen=True, slots=True)
class Health:
    """How one part of the platform is: ``detail`` says what is wrong and what to do."""

    part: str
    state: HealthState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How one feed of this process stands. ``lag_events`` counts what it has not handled yet, over all its contexts."""

    name: str
    state: str
    positions: Mapping[str, str]
    lag_events: int
    lag_seconds: float
    last_error: str | None


class Operations(Protocol):
    """What operators may see and do, in whichever process the thing runs."""

    async def health(self) -> Sequence[Health]:
        """Every store, the broker, every feed. Ready means that none is ``down``."""
        ...

    async def feeds(self) -> Sequence[FeedStatus]:
        """The live feeds, from their checkpoints (also of other processes)."""
        ...

    async def pause(self, feed: str) -> None:
        """Stop a feed until it is resumed, also over restarts. Raises NotFound."""
        ...

    async def resume(self, feed: str) -> None:
        """Let a paused feed go on. Raises NotFound."""
        ...

    def metrics(self) -> bytes:
        """Prometheus text exposition of this process."""
        ...

    def asyncapi(self) -> Mapping[str, Any]:
        """The AsyncAPI document of all messages."""
        ...


@dataclass(frozen=True, slots=True)
class Platform:
    """One process of the platform.

    ``logs``, ``streams`` and ``dead_letters`` are by context and may be read for all contexts; commands go over
    ``bus``. ``builds`` is by the service that feeds a read model; a replay is asked for by creating a build in state
    ``building`` there, which the process that feeds it picks up. ``data_dir`` keeps files for those who run it;
    ``demo_hotels`` is how many the demo seeds.
    """

    version: str
    data_dir: Path
    demo_hotels: int
    services: Sequence[str]
    clock: Clock
    new_id: NewId
    bus: CommandBus
    logs: Mapping[str, EventStore]
    streams: Mapping[str, Streams]
    dead_letters: Mapping[str, DeadLetters]
    builds: Mapping[str, BuildRegistry]
    projections: Sequence[Projection]
    documents: DocumentStore
    search: SearchStore
    calendars: CalendarStore
    accounts: Accounts
    tokens: Tokens
    passwords: Passwords
    offers: Offers
    limiter: RateLimiter
    operations: Operations
