"""Operators' orders go on record before they are carried out, with who and why; afterwards what came of them."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get
from litestar.params import FromQuery, QueryParameter
from pydantic import Field

from api.http.moments import in_utc
from api.http.requests import ApiRequest
from api.http.schemas import Body
from api.http.security import BEARER, STAFF, access
from api.http.views import View, spec, utc
from commands.operating import OperatorAction
from domain.shared.errors import DomainError, InvalidCommand

Json = Response[dict[str, Any]]


class Order(Body):
    """Why something is ordered, in words that go on record."""

    why: Annotated[str, Field(max_length=500)] = ""


@dataclass(slots=True)
class Record:
    """An order that is being carried out; ``outcome`` is what will be told of it."""

    action_id: UUID
    outcome: dict[str, Any] = field(default_factory=dict)


@asynccontextmanager
async def on_record(request: ApiRequest, action: str, target: str, why: str) -> AsyncIterator[Record]:
    """Carry out ``action`` (``sagas.retry``) in the body. A refusal goes on record too."""
    platform = request.platform
    record = Record(platform.new_id())
    target = target.replace("\0", "\N{REPLACEMENT CHARACTER}")  # it may come from a path, and PostgreSQL keeps no NUL
    ordered = OperatorAction(
        record.action_id, platform.clock.now(), f"user:{request.principal.account_id}", action, target, why
    )
    await platform.actions.begin(ordered)
    try:
        yield record
    except DomainError as refusal:
        await platform.actions.end(record.action_id, {"refused": refusal.detail})
        raise
    except BaseException as error:  # also if whoever ordered it has gone away in the middle
        await asyncio.shield(platform.actions.end(record.action_id, {"failed": type(error).__name__}))
        raise
    await platform.actions.end(record.action_id, record.outcome)


class ActionView(View):
    """What an operator ordered. ``outcome`` None: it has not ended, or its process has."""

    action_id: UUID
    at: str
    actor: str
    action: str
    target: str
    why: str
    outcome: dict[str, Any] | None


class ActionsView(View):
    """Newest first; ``next_cursor`` is the time before which the next page begins."""

    items: list[ActionView]
    next_cursor: str | None


@get("/actions", responses={200: spec(ActionsView, description="Newest first.")})
async def list_actions(
    request: ApiRequest,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    cursor: FromQuery[str | None] = None,
) -> Json:
    """What operators ordered: who, what, when, why, and what came of it."""
    found = await request.platform.actions.newest(limit + 1, _time_of(cursor))
    shown = found[:limit]
    items = [
        {
            "action_id": str(action.action_id),
            "at": utc(action.at),
            "actor": action.actor,
            "action": action.action,
            "target": action.target,
            "why": action.why,
            "outcome": action.outcome,
        }
        for action in shown
    ]
    return Response({"items": items, "next_cursor": utc(shown[-1].at) if len(found) > limit else None})


def _time_of(cursor: str | None) -> dt.datetime | None:
    if cursor is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(cursor)
    except ValueError as error:
        raise InvalidCommand("cursor: must be one that this list has given") from error
    return in_utc(moment)


actions_router = Router(
    "/v1/ops", guards=access(*STAFF), security=BEARER, tags=["Operations"], route_handlers=[list_actions]
)
