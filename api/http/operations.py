"""What operators see of read models, and do with them: replay, pause, resume."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody

from api.http.on_record import Order, on_record
from api.http.operation_models import ProjectionOrdered, ProjectionsView, ReplayStarted, ReplayView
from api.http.requests import ApiRequest
from api.http.security import BEARER, STAFF, access
from api.http.views import spec, utc
from api.platform import FeedStatus
from domain.shared.errors import NotFound
from projections.builds import Build, ask_for_replay
from projections.projection import Projection

Json = Response[dict[str, Any]]
_RED = frozenset({"paused", "failed", "down"})
"""States of a feed in which its read model falls behind until somebody does something."""


@get("/projections", responses={200: spec(ProjectionsView, description="All read models.")})
async def list_projections(request: ApiRequest) -> Json:
    """The read models: the build that readers see, how far it is, and what it lags behind by."""
    feeds = {feed.name: feed for feed in await request.platform.operations.feeds()}
    items = [await _projection(request, each, feeds) for each in request.platform.projections]
    return Response({"items": items, "next_cursor": None})


@post(
    "/projections/{name:str}/replay",
    status_code=202,
    responses={202: spec(ReplayStarted, description="The process that feeds the read model will rebuild it.")},
)
async def replay_projection(request: ApiRequest, name: FromPath[str]) -> Json:
    """Rebuild a read model beside the live one. Two replays of one read model at once are refused."""
    platform = request.platform
    projection = next((each for each in platform.projections if each.name == name), None)
    if projection is None:
        raise NotFound(
            f"no read model {name[:100]!r}; there are {', '.join(each.name for each in platform.projections)}"
        )
    registry = platform.builds[projection.service]
    async with on_record(request, "projections.replay", name, "") as record:
        build = await ask_for_replay(registry, name, projection.version, platform.new_id())
        record.outcome = {"replay_id": str(build.replay_id)}
    # What was paused because it was wrong is put right, and goes on.
    await platform.operations.resume(name, f"user:{request.principal.account_id}", "it is rebuilt")
    headers = {"Location": f"/v1/ops/replays/{build.replay_id}"}
    return Response({"replay_id": str(build.replay_id)}, status_code=202, headers=headers)


@get("/replays/{replay_id:uuid}", responses={200: spec(ReplayView, description="The replay.")})
async def get_replay(request: ApiRequest, replay_id: FromPath[UUID]) -> Json:
    """How far a replay is, how fast, and how long the rest will take at that rate."""
    registries = request.platform.builds.values()
    found = await asyncio.gather(*(registry.of_replay(replay_id) for registry in registries))
    build = next((build for build in found if build is not None), None)
    if build is None:
        raise NotFound(f"there is no replay {replay_id}")
    return Response(_replay(request, build))


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
        return feed.state if feed is not None and feed.state in _RED else "live"
    return builds[0].state if builds else "missing"


def _last_error(builds: Sequence[Build], feed: FeedStatus | None) -> str | None:
    if feed is not None and feed.last_error:
        return feed.last_error
    return builds[0].error if builds and builds[0].state == "failed" else None


def _replay(request: ApiRequest, build: Build) -> dict[str, Any]:
    now = request.platform.clock.now()
    done = build.state not in {"building", "failed"}
    return {
        "replay_id": str(build.replay_id),
        "projection": build.projection,
        "build": build.name,
        "version": build.version,
        "state": build.state,
        "events_done": build.events_done,
        "events_total": build.events_total,
        "progress": 1.0 if done else round(min(1.0, build.events_done / max(1, build.events_total)), 4),
        "events_per_second": round(build.per_second(now), 1),
        "eta_seconds": build.eta_seconds(now),
        "created_at": utc(build.created_at),
        "finished_at": utc(build.finished_at) if build.finished_at else None,
        "error": build.error,
    }


operations_router = Router(
    "/v1/ops",
    guards=access(*STAFF),
    security=BEARER,
    tags=["Operations"],
    route_handlers=[
        list_projections,
        replay_projection,
        get_replay,
        pause_projection,
        resume_projection,
    ],
)
