"""Sagas for operators: where each stands, what it has done, and what to do about one that does not get on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.http.history import history_of
from api.http.masking import masked_event
from api.http.on_record import Order, on_record
from api.http.operation_models import SagaOrdered, SagasView, SagaView
from api.http.requests import ApiRequest
from api.http.security import BEARER, STAFF, access
from api.http.sending import send
from api.http.views import spec, utc
from commands.ports import RecordedEvent
from domain.saga.events import SagaReacted
from domain.shared.errors import NotFound
from domain.shared.messages import Command
from projections.folding import page_of
from projections.saga_pages import SagaListing, SagaPages, list_sagas
from sagas.commands import CompensateSaga, RetrySaga

Json = Response[dict[str, Any]]


@get("/sagas", responses={200: spec(SagasView, description="Those first that have waited longest.")})
async def get_sagas(
    request: ApiRequest,
    listing: Annotated[SagaListing | None, QueryParameter(name="state")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, QueryParameter(max_length=2_000)] = None,
) -> Json:
    """Sagas by state; a stuck one is running although its deadline is long over."""
    platform = request.platform
    page = await list_sagas(platform.documents, listing, now=platform.clock.now(), limit=limit, cursor=cursor)
    return Response({"items": list(page.items), "next_cursor": page.next_cursor})


@get("/sagas/{saga_id:uuid}", responses={200: spec(SagaView, description="The saga.")})
async def get_saga(request: ApiRequest, saga_id: FromPath[UUID]) -> Json:
    """One saga, with every step that it has taken, and the story of its booking across all services."""
    log = request.platform.logs["bookings"]
    recorded = await log.read_stream(saga_id)
    page = page_of(SagaPages(), recorded)
    if page is None:
        raise NotFound(f"there is no saga {saga_id}")
    steps = [
        {
            "at": utc(each.recorded_at),
            "what": each.event.topic,
            "details": masked_event(request.principal, each.event.model_dump(mode="json")),
        }
        for each in recorded
    ]
    booking_id = _booking_of(recorded)
    timeline = await history_of(request, booking_id, await log.read_stream(booking_id))
    age = request.platform.clock.now() - recorded[0].recorded_at
    return Response(page | {"age_seconds": round(age.total_seconds(), 3), "steps": steps, "timeline": timeline})


def _booking_of(recorded: Sequence[RecordedEvent]) -> UUID:
    """The booking that a saga is about: a modification's knows which, or the event that it failed on does."""
    last = next(each.event for each in reversed(recorded) if isinstance(each.event, SagaReacted))
    told = (last.state, *(untold.content for untold in last.untold))
    return UUID(next((known["booking_id"] for known in told if "booking_id" in known), str(last.subject_id)))


@post(
    "/sagas/{saga_id:uuid}/retry", status_code=200, responses={200: spec(SagaOrdered, description="Where it is now.")}
)
async def retry_saga(request: ApiRequest, saga_id: FromPath[UUID], data: JSONBody[Order | None] = None) -> Json:
    """Tell a quarantined saga again what it failed on, or a stuck one that its time is up."""
    return await _order(request, "sagas.retry", saga_id, RetrySaga(saga_id=saga_id), data)


@post(
    "/sagas/{saga_id:uuid}/compensate",
    status_code=200,
    responses={200: spec(SagaOrdered, description="Where it is now.")},
)
async def compensate_saga(request: ApiRequest, saga_id: FromPath[UUID], data: JSONBody[Order | None] = None) -> Json:
    """Let a saga give back everything that it has taken."""
    return await _order(request, "sagas.compensate", saga_id, CompensateSaga(saga_id=saga_id), data)


async def _order(request: ApiRequest, action: str, saga_id: UUID, command: Command, data: Order | None) -> Json:
    async with on_record(request, action, str(saga_id), data.why if data else "") as record:
        answer = await send(request, command)
        record.outcome = dict(answer.body)
    return Response(dict(answer.body) | {"action_id": str(record.action_id)})


sagas_router = Router(
    "/v1/ops",
    guards=access(*STAFF),
    security=BEARER,
    tags=["Operations"],
    route_handlers=[get_sagas, get_saga, retry_saga, compensate_saga],
)
