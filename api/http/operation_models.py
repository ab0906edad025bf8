"""What operators and machines are answered. See ``views``."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from api.http.booking_models import HistoryItem
from api.http.views import View


class ProjectionView(View):
    """A read model: its live build, how far that is, and what it lags behind by.

    ``kept`` is the build that it can go back to; ``state`` is ``live`` while readers are served and its feed is well.
    """

    name: str
    version: int
    build: str | None
    kept: str | None
    state: str
    position: dict[str, str]
    lag_events: int | None
    lag_seconds: float | None
    last_error: str | None
    events_per_second: float | None


class ProjectionsView(View):
    """All read models."""

    items: list[ProjectionView]
    next_cursor: None


class ProjectionOrdered(View):
    """What was ordered of a read model; the list tells when it has taken effect."""

    name: str
    state: Literal["paused", "resumed", "discarded"]
    action_id: UUID


class ReplayStarted(View):
    """A replay that will be carried out."""

    replay_id: UUID


class ReplayOfProjection(View):
    """Which replay rebuilds a read model."""

    projection: str
    replay_id: UUID


class ReplaysStarted(View):
    """Replays that will be carried out."""

    items: list[ReplayOfProjection]


class ReplayView(View):
    """How far a replay is. ``progress`` is from 0 to 1; ``eta_seconds`` None: cannot be said."""

    replay_id: UUID
    projection: str
    build: str
    version: int
    state: str
    events_done: int
    events_total: int
    progress: float
    events_per_second: float
    eta_seconds: float | None
    created_at: str
    finished_at: str | None
    error: str | None


class ReplaysView(View):
    """Replays that are under way."""

    items: list[ReplayView]
    next_cursor: None


class SagaItem(View):
    """Where one saga stands; times are real ones."""

    saga_id: UUID
    saga: str
    subject_id: UUID
    step: str
    status: str
    deadline: str | None
    started_at: str
    updated_at: str
    attempts: int
    note: str
    version: int
    age_seconds: float


class SagasView(View):
    """A page of sagas."""

    items: list[SagaItem]
    next_cursor: str | None


class SagaStep(View):
    """One event of a saga's stream."""

    at: str
    what: str
    details: dict[str, Any]


class SagaOrdered(View):
    """Where a saga is after an operator's order."""

    saga_id: UUID
    step: str
    status: str
    action_id: UUID


class SagaView(SagaItem):
    """One saga and everything that it has done; ``timeline`` is the story of its booking across all services."""

    steps: list[SagaStep]
    timeline: list[HistoryItem]


class Live(View):
    """The process answers."""

    status: Literal["up"]
    version: str


class HealthPart(View):
    """One part of the platform."""

    part: str
    state: str
    detail: str


class HealthView(View):
    """Whether the platform can serve; ``parts`` say what is wrong."""

    status: str
    version: str
    parts: list[HealthPart]
