"""Replays: rebuilding read models beside the live ones, following that, giving it up, going back."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody
from pydantic import Field

from api.http.on_record import Order, on_record
from api.http.operation_models import ProjectionOrdered, ReplaysStarted, ReplayStarted, ReplaysView, ReplayView
from api.http.requests import ApiRequest
from api.http.security import BEARER, STAFF, access
from api.http.views import spec, utc
from projections.builds import Build

Json = Response[dict[str, Any]]
_SERVED = frozenset({"live", "kept"})
"""States of builds that readers have seen."""


class ReplayOrder(Order):
    """How to replay. ``keep``: the build that is replaced is kept, so that it can come back."""

    keep: bool = False


class ReplaysOrder(ReplayOrder):
    """``projections`` are the read models to rebuild; without it, all."""

    projections: Annotated[list[str], Field(min_length=1, max_length=50)] | None = None


@post(
    "/projections/{name:str}/replay",
    status_code=202,
    responses={202: spec(ReplayStarted, description="The process that feeds the read model will rebuild it.")},
)
async def replay_projection(
    request: ApiRequest, name: FromPath[str], data: JSONBody[ReplayOrder | None] = None
) -> Json:
    """Rebuild a read model beside the live one. Two replays of one read model at once are refused."""
    order = data or ReplayOrder()
    (build,) = await _replay(request, [name], order)
    headers = {"Location": f"/v1/ops/replays/{build.replay_id}"}
    return Response({"replay_id": str(build.replay_id)}, status_code=202, headers=headers)


@post(
    "/replays",
    status_code=202,
    responses={202: spec(ReplaysStarted, description="Those that one process feeds share one pass over the log.")},
)
async def replay_projections(request: ApiRequest, data: JSONBody[ReplaysOrder]) -> Json:
    """Rebuild several read models, or all. If one of them is being rebuilt already, nothing is begun."""
    names = data.projections or [projection.name for projection in request.platform.projections]
    builds = await _replay(request, names, data)
    items = [{"projection": build.projection, "replay_id": str(build.replay_id)} for build in builds]
    return Response({"items": items}, status_code=202)


@get("/replays", responses={200: spec(ReplaysView, description="Replays that have not ended.")})
async def list_replays(request: ApiRequest) -> Json:
    """The replays that are under way, and builds that are on their way back."""
    builds = await request.platform.replays.under_way()
    return Response({"items": [_view(request, build) for build in builds], "next_cursor": None})


@get("/replays/{replay_id:uuid}", responses={200: spec(ReplayView, description="The replay.")})
async def get_replay(request: ApiRequest, replay_id: FromPath[UUID]) -> Json:
    """How far a replay is, how fast, and how long the rest will take at that rate."""
    return Response(_view(request, await request.platform.replays.find(replay_id)))


@post(
    "/replays/{replay_id:uuid}/cancel",
    status_code=202,
    responses={202: spec(ReplayView, description="What it has built will be dropped, unless it has just ended.")},
)
async def cancel_replay(request: ApiRequest, replay_id: FromPath[UUID], data: JSONBody[Order | None] = None) -> Json:
    """Give up a replay. Readers see what they saw before."""
    async with on_record(request, "replays.cancel", str(replay_id), data.why if data else ""):
        build = await request.platform.replays.cancel(replay_id)
    return Response(_view(request, build), status_code=202)


@post(
    "/projections/{name:str}/back",
    status_code=202,
    responses={202: spec(ReplayStarted, description="It takes over once it has caught up; what it replaces is kept.")},
)
async def bring_back(request: ApiRequest, name: FromPath[str], data: JSONBody[Order | None] = None) -> Json:
    """Go back to the build that was kept when the read model was last replayed."""
    async with on_record(request, "projections.back", name[:100], data.why if data else "") as record:
        build = await request.platform.replays.bring_back(name)
        record.outcome = {"build": build.name}
    headers = {"Location": f"/v1/ops/replays/{build.replay_id}"}
    return Response({"replay_id": str(build.replay_id)}, status_code=202, headers=headers)


@post(
    "/projections/{name:str}/discard",
    status_code=202,
    responses={202: spec(ProjectionOrdered, description="The build that was kept will be dropped.")},
)
async def discard(request: ApiRequest, name: FromPath[str], data: JSONBody[Order | None] = None) -> Json:
    """Drop the build that is kept for going back, and free what it takes up."""
    async with on_record(request, "projections.discard", name[:100], data.why if data else "") as record:
        build = await request.platform.replays.discard(name)
        record.outcome = {"build": build.name}
    answer = {"name": name, "state": "discarded", "action_id": str(record.action_id)}
    return Response(answer, status_code=202)


async def _replay(request: ApiRequest, names: list[str], order: ReplayOrder) -> list[Build]:
    platform = request.platform
    async with on_record(request, "projections.replay", ", ".join(names)[:500], order.why) as record:
        builds = await platform.replays.replay(names, keep=order.keep)
        record.outcome = {build.projection: str(build.replay_id) for build in builds}
    for build in builds:
        # What was paused because it was wrong is put right, and goes on.
        await platform.operations.resume(build.projection, f"user:{request.principal.account_id}", "it is rebuilt")
    return builds


def _view(request: ApiRequest, build: Build) -> dict[str, Any]:
    now = request.platform.clock.now()
    filled = 1.0 if build.state in _SERVED else min(1.0, build.events_done / max(1, build.events_total))
    return {
        "replay_id": str(build.replay_id),
        "projection": build.projection,
        "build": build.name,
        "version": build.version,
        "state": build.state,
        "events_done": build.events_done,
        "events_total": build.events_total,
        "progress": round(filled, 4),
        "events_per_second": round(build.per_second(now), 1),
        "eta_seconds": build.eta_seconds(now),
        "created_at": utc(build.created_at),
        "finished_at": utc(build.finished_at) if build.finished_at else None,
        "error": build.error,
    }


replays_router = Router(
    "/v1/ops",
    guards=access(*STAFF),
    security=BEARER,
    tags=["Operations"],
    route_handlers=[
        replay_projection,
        replay_projections,
        list_replays,
        get_replay,
        cancel_replay,
        bring_back,
        discard,
    ],
)
