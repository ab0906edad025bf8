"""What operators see of read models and their feeds; pause and resume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody

from api.http.on_record import Order, on_record
from api.http.operation_models import ProjectionOrdered, ProjectionsView
from api.http.requests import ApiRequest
from api.http.security import BEARER, STAFF, access
from api.http.views import spec
from api.platform import FeedStatus
from projections.builds import Build
from projections.projection import Projection

Json = Response[dict[str, Any]]


@get("/projections", responses={200: spec(ProjectionsView, description="All read models.")})
async def list_projections(request: ApiRequest) -> Json:
    """The read models: the build that readers see, how far it is, and what it lags behind by."""
    feeds = {feed.name: feed for feed in await request.platform.operations.feeds()}
    items = [await _projection(request, each, feeds) for each in request.platform.projections]
    return Response({"items": items, "next_cursor": None})


@post(
    "/projections/{name:str}/pause",
    status_code=200,
    responses={200: spec(ProjectionOrdered, description="It stops within a second, in whichever process.")},
)
async def pause_projection(request: ApiRequest, name: FromPath[str], data: JSONBody[Order | None] = None) -> Json:
    """Stop feeding a read model until it is resumed, also over restarts; it serves on, and its events wait."""
    why = data.why if data else ""
    async with on_record(request, "projections.pause", name[:100], why) as record:
        await request.platform.operations.pause(name, f"user:{request.principal.account_id}", why)
    return Response({"name": name, "state": "paused", "action_id": str(record.action_id)})


@post(
    "/projections/{name:str}/resume",
    status_code=200,
    responses={200: spec(ProjectionOrdered, description="It goes on within a second, in whichever process.")},
)
async def resume_projection(request: ApiRequest, name: FromPath[str], data: JSONBody[Order | None] = None) -> Json:
    """Let a paused read model be fed again; no error if it is not paused."""
    why = data.why if data else ""
    async with on_record(request, "projections.resume", name[:100], why) as record:
        await request.platform.operations.resume(name, f"user:{request.principal.account_id}", why)
    return Response({"name": name, "state": "resumed", "action_id": str(record.action_id)})


async def _projection(request: ApiRequest, projection: Projection, feeds: dict[str, FeedStatus]) -> dict[str, Any]:
    builds = await request.platform.builds[projection.service].builds(projection.name)
    live = next((build for build in builds if build.state == "live"), None)
    feed = feeds.get(live.name) if live else None
    return {
        "name": projection.name,
        "version": live.version if live else projection.version,
        "build": live.name if live else None,
        "kept": next((build.name for build in builds if build.state == "kept"), None),
        "state": _state(builds, live, feed),
        "position": dict(feed.positions) if feed else {},
        "lag_events": feed.lag_events if feed else None,
        "lag_seconds": feed.lag_seconds if feed else None,
        "last_error": _last_error(builds, feed),
        "events_per_second": round(feed.rate, 1) if feed else None,
    }


def _state(builds: Sequence[Build], live: Build | None, feed: FeedStatus | None) -> str:
    """``live`` while readers are served and nothing is wrong with the feed; else what is wrong, or ``building``."""
    if live is not None:
        return feed.state if feed is not None and feed.is_red else "live"
    return builds[0].state if builds else "missing"


def _last_error(builds: Sequence[Build], feed: FeedStatus | None) -> str | None:
    if feed is not None and feed.last_error:
        return feed.last_error
    return builds[0].error if builds and builds[0].state == "failed" else None


operations_router = Router(
    "/v1/ops",
    guards=access(*STAFF),
    security=BEARER,
    tags=["Operations"],
    route_handlers=[
        list_projections,
        pause_projection,
        resume_projection,
    ],
)
