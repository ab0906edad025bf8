"""Audits: the books of the whole platform, checked beside live traffic."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import AwareDatetime, Field

from api.http.on_record import on_record
from api.http.requests import ApiRequest
from api.http.schemas import Body
from api.http.security import BEARER, STAFF, access
from api.http.views import View, spec, utc
from domain.shared.errors import InvalidCommand, NotFound
from projections.audit.records import Audit, AuditRequest, Check, Violation

Json = Response[dict[str, Any]]


class NewAudit(Body):
    """What to audit: what happened ``from`` a time (inclusive) ``to`` another (exclusive); all if not given.

    A day stands for its beginning in UTC. ``full``: compare every document, not a sample. ``fix``: have the read models
    rebuilt that differ.
    """

    first: Annotated[AwareDatetime | dt.date | None, Field(alias="from")] = None
    last: Annotated[AwareDatetime | dt.date | None, Field(alias="to")] = None
    full: bool = False
    fix: bool = False

    @property
    def period(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """From when to when. Raises InvalidCommand if that is nothing."""
        first, last = _begun(self.first), _begun(self.last)
        if first is not None and last is not None and first >= last:
            raise InvalidCommand("from must be before to", errors=(("to", "must be after from"),))
        return first, last


def _begun(when: dt.date | None) -> dt.datetime | None:
    if when is None or isinstance(when, dt.datetime):
        return when
    return dt.datetime.combine(when, dt.time(), dt.UTC)


class AuditStarted(View):
    """An audit that is under way."""

    audit_id: UUID


class ProofView(View):
    """An event that proves a violation."""

    event_id: UUID
    context: str
    stream_id: UUID
    version: int
    type: str
    position: str
    at: str
    actor: str


class ViolationView(View):
    """What was expected and what is so, with the events that prove it."""

    detail: str
    events: list[ProofView]


class CheckView(View):
    """One rule: ``about`` says it, ``checked`` counts what was looked at, ``unlisted`` violations beyond those listed.

    ``noted`` is no violation. ``skipped``: why the rule could not be checked.
    """

    name: str
    about: str
    checked: int
    violations: list[ViolationView]
    unlisted: int
    noted: list[ViolationView]
    skipped: str | None


class AuditView(View):
    """One audit; ``state`` is running, finished or failed. ``replays`` are those it asked for, by read model.

    ``events_per_second``: how fast the log was read and checked, event by event, in ``reading_seconds``.
    """

    audit_id: UUID
    state: str
    asked_by: str
    asked_at: str
    finished_at: str | None
    first: Annotated[str | None, Field(alias="from")]
    last: Annotated[str | None, Field(alias="to")]
    full: bool
    fix: bool
    events_done: int
    events_total: int
    reading_seconds: float
    events_per_second: float
    violations: int
    checks: list[CheckView]
    replays: dict[str, UUID]
    error: str | None


class AuditsView(View):
    """Audits, newest first, without their findings."""

    items: list[AuditView]
    next_cursor: None


@post("/audits", status_code=202, responses={202: spec(AuditStarted, description="The audit has begun.")})
async def start_audit(request: ApiRequest, data: JSONBody[NewAudit]) -> Json:
    """Check the books: rooms, holds, money, refunds, sagas, streams and every read model. One audit at a time."""
    first, last = data.period
    wanted = AuditRequest(first=first, last=last, full=data.full, fix=data.fix)
    if wanted.fix:
        async with on_record(request, "audits.fix", "read models that differ from the log", "") as record:
            audit = await request.platform.audits.ask(wanted, request.metadata())
            record.outcome = {"audit_id": str(audit.audit_id)}
    else:
        audit = await request.platform.audits.ask(wanted, request.metadata())
    headers = {"Location": f"/v1/ops/audits/{audit.audit_id}"}
    return Response({"audit_id": str(audit.audit_id)}, status_code=202, headers=headers)


@get("/audits", responses={200: spec(AuditsView, description="The last audits.")})
async def list_audits(request: ApiRequest, limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20) -> Json:
    """The last audits, newest first; what each found is in the audit itself."""
    audits = await request.platform.audits.recent(limit)
    return Response({"items": [_view(audit, checks=False) for audit in audits], "next_cursor": None})


@get("/audits/{audit_id:uuid}", responses={200: spec(AuditView, description="The audit.")})
async def get_audit(request: ApiRequest, audit_id: FromPath[UUID]) -> Json:
    """How far an audit is, and what it found: each violation with the events that prove it."""
    audit = await request.platform.audits.get(audit_id)
    if audit is None:
        raise NotFound(f"there is no audit {audit_id}")
    return Response(_view(audit))


def _view(audit: Audit, *, checks: bool = True) -> dict[str, Any]:
    wanted = audit.request
    return {
        "audit_id": str(audit.audit_id),
        "state": audit.state,
        "asked_by": audit.asked_by,
        "asked_at": utc(audit.asked_at),
        "finished_at": utc(audit.finished_at) if audit.finished_at else None,
        "from": utc(wanted.first) if wanted.first else None,
        "to": utc(wanted.last) if wanted.last else None,
        "full": wanted.full,
        "fix": wanted.fix,
        "events_done": audit.events_done,
        "events_total": audit.events_total,
        "reading_seconds": round(audit.reading_seconds, 3),
        "events_per_second": round(audit.events_per_second, 1),
        "violations": audit.violations,
        "checks": [_check(check) for check in audit.checks] if checks else [],
        "replays": {name: str(replay_id) for name, replay_id in audit.replays.items()},
        "error": audit.error,
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "about": check.about,
        "checked": check.checked,
        "violations": [_violation(violation) for violation in check.violations],
        "unlisted": check.unlisted,
        "noted": [_violation(note) for note in check.noted],
        "skipped": check.skipped,
    }


def _violation(violation: Violation) -> dict[str, Any]:
    events = [event.model_dump(mode="json") | {"at": utc(event.at)} for event in violation.events]
    return {"detail": violation.detail, "events": events}


audits_router = Router(
    "/v1/ops",
    guards=access(*STAFF),
    security=BEARER,
    tags=["Operations"],
    route_handlers=[start_audit, list_audits, get_audit],
)
