"""What people come in to: everything that routes, pages and the command line may use. ``infra.bootstrap`` makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from commands.accounts import Accounts
from commands.dead_letters import LetterDesk
from commands.limits import RateLimiter
from commands.operating import ActionLog
from commands.ports import Clock, CommandBus, EventStore, NewId, Streams
from commands.security import Offers, Passwords, Tokens
from projections.audit.audits import Audits
from projections.builds import BuildRegistry
from projections.ports import CalendarStore, DocumentStore, SearchStore
from projections.projection import Projection
from projections.replay_orders import ReplayOrders
from projections.reports import ParquetWriter

HealthState = Literal["up", "down", "degraded"]
_RED = frozenset({"paused", "failed", "waiting", "down"})


@dataclass(frozen=True, slots=True)
class Health:
    """How one part of the platform is: ``detail`` says what is wrong and what to do."""

    part: str
    state: HealthState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How one feed stands, in whichever process it runs.

    ``state`` is running, starting, retrying, waiting, failed, paused, or down: nobody runs it. ``last_error`` is the
    cause of what is wrong. ``lag_events`` counts what it has not handled yet, over all its contexts; ``rate`` is in
    events per second.
    """

    name: str
    state: str
    positions: Mapping[str, str]
    lag_events: int
    lag_seconds: float
    last_error: str | None
    rate: float = 0.0

    @property
    def is_red(self) -> bool:
        """Whether it falls behind, or lacks events that it could not handle. Lists, metrics and health go by this."""
        return self.state in _RED


class Operations(Protocol):
    """What operators may see and do, in whichever process the thing runs."""

    async def health(self) -> Sequence[Health]:
        """Every store, the broker, every feed. Ready means that none is ``down``."""
        ...

    async def feeds(self) -> Sequence[FeedStatus]:
        """The feeds of read models that are live or being built."""
        ...

    async def pause(self, projection: str, by: str, why: str) -> None:
        """Stop feeding a read model until it is resumed, also over restarts. Raises NotFound."""
        ...

    async def resume(self, projection: str, by: str, why: str) -> None:
        """Let a paused read model be fed again. Raises NotFound."""
        ...

    def metrics(self) -> bytes:
        """Prometheus text exposition of this process."""
        ...

    def asyncapi(self) -> Mapping[str, Any]:
        """The AsyncAPI document of all messages."""
        ...


@dataclass(frozen=True, slots=True)
class Platform:
    """One process of the platform. What operators order is put on record in ``actions`` first.

    ``logs``, ``streams`` and ``dead_letters`` are by context and may be read for all contexts; commands go over
    ``bus``. ``builds`` is by the service that feeds a read model; what ``replays`` orders there, the process that feeds
    it carries out. ``data_dir`` keeps files for those who run it;
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
    dead_letters: Mapping[str, LetterDesk]
    actions: ActionLog
    builds: Mapping[str, BuildRegistry]
    replays: ReplayOrders
    projections: Sequence[Projection]
    documents: DocumentStore
    search: SearchStore
    calendars: CalendarStore
    accounts: Accounts
    tokens: Tokens
    passwords: Passwords
    offers: Offers
    parquet: ParquetWriter
    limiter: RateLimiter
    operations: Operations
    audits: Audits
