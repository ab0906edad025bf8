"""Audits on record: who asked for them, how far they are, what they found."""

from __future__ import annotations

import datetime as dt
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict

from domain.shared.errors import DomainError

AuditState = Literal["running", "finished", "failed"]


class AuditRunning(DomainError):
    """An audit is under way, in whichever process; wait until it has ended."""

    problem = "audit-running"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Proof(_Record):
    """An event that proves a violation. ``at`` is its time in the business sense."""

    event_id: UUID
    context: str
    stream_id: UUID
    version: int
    type: str
    position: str
    at: dt.datetime
    actor: str


class Violation(_Record):
    """What was expected and what is so, with the events that prove it."""

    detail: str
    events: tuple[Proof, ...] = ()


class Check(_Record):
    """What came of one rule; ``about`` is the rule. ``checked`` counts what was looked at.

    ``unlisted`` counts violations beyond those listed. ``noted`` is worth knowing, but no violation. ``skipped`` says
    why the rule could not be checked.
    """

    name: str
    about: str
    checked: int
    violations: tuple[Violation, ...] = ()
    unlisted: int = 0
    noted: tuple[Violation, ...] = ()
    skipped: str | None = None


def _in_utc(moment: dt.datetime) -> dt.datetime:
    """A time without zone, or a day, is meant in UTC."""
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment


Moment = Annotated[dt.datetime, AfterValidator(_in_utc)]


class AuditRequest(_Record):
    """What to audit: what happened from ``first`` (inclusive) to ``last`` (exclusive); None: without bound.

    ``full`` compares every document, otherwise a sample. ``fix`` has read models rebuilt that differ, and nothing else.
    """

    first: Moment | None = None
    last: Moment | None = None
    full: bool = False
    fix: bool = False


class Audit(_Record):
    """One audit. ``replays`` are those that it has asked for, by read model. ``error`` is what ended a failed one.

    ``reading_seconds`` is how long the log was read for (``events_done`` of ``events_total``); judging comes after.
    """

    audit_id: UUID
    request: AuditRequest
    asked_by: str
    asked_at: dt.datetime
    updated_at: dt.datetime
    finished_at: dt.datetime | None = None
    state: AuditState = "running"
    events_done: int = 0
    events_total: int = 0
    reading_seconds: float = 0.0
    checks: tuple[Check, ...] = ()
    replays: dict[str, UUID] = {}
    error: str | None = None

    @property
    def events_per_second(self) -> float:
        """How fast the log was read and checked, event by event."""
        return self.events_done / self.reading_seconds if self.reading_seconds else 0.0

    @property
    def violations(self) -> int:
        """All of them, listed or not."""
        return sum(len(check.violations) + check.unlisted for check in self.checks)


class AuditRecords(Protocol):
    """Durable record of audits, which all processes share."""

    def only_one(self) -> AbstractAsyncContextManager[None]:
        """The right to audit, which one audit holds at a time. Entering raises AuditRunning.

        When it is lost the body is cancelled, and leaving raises what says so.
        """
        ...

    async def save(self, audit: Audit) -> None:
        """Keep ``audit`` in place of what was kept of it before."""
        ...

    async def get(self, audit_id: UUID) -> Audit | None:
        """One audit."""
        ...

    async def recent(self, limit: int) -> list[Audit]:
        """The last audits, newest first."""
        ...
