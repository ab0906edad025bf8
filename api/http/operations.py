"""What operators see and do: read models and their replays, sagas, dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, QueryParameter

from api.http.operation_models import (
    DeadLettersView,
    DeadLetterView,
    ProjectionsView,
    ReplayStarted,
    ReplayView,
    SagasView,
    SagaView,
)
from api.http.requests import ApiRequest
from api.http.security import BEARER, STAFF, access
from api.http.views import spec, utc
from api.platform import FeedStatus
from commands.ports import DeadLetter
from domain.shared.errors import NotFound
from projections.builds import Build, ReplayRunning
from projections.projection import Projection
from projections.saga_pages import SagaListing, SagaPages, list_sagas

Json = Response[dict[str, Any]]


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
    async with registry.only_replay_of(name):
        if any(build.state == "building" for build in await registry.builds(name)):
            raise ReplayRunning(f"a replay of {name} is under way; wait until it has ended")
        build = await registry.create(name, projection.version, "building", platform.new_id())
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
    """One saga, with every step that it has taken."""
    recorded = await request.platform.logs["bookings"].read_stream(saga_id)
    projection, page = SagaPages(), None
    for each in recorded:
        if isinstance(each.event, projection.takes):
            page = projection.apply(page, each)
    if page is None:
        raise NotFound(f"there is no saga {saga_id}")
    steps = [
        {"at": utc(each.recorded_at), "what": each.event.topic, "details": each.event.model_dump(mode="json")}
        for each in recorded
    ]
    return Response(page | {"steps": steps})


@get("/dead-letters", responses={200: spec(DeadLettersView, description="Oldest first.")})
async def list_dead_letters(
    request: ApiRequest,
    consumer: Annotated[str | None, QueryParameter(max_length=200)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
) -> Json:
    """What could not be handled, in all contexts, without its content."""
    tables = request.platform.dead_letters.values()
    found = await asyncio.gather(*(table.list(consumer, limit) for table in tables))
    letters = sorted((letter for some in found for letter in some), key=lambda letter: letter.parked_at)[:limit]
    return Response({"items": [_letter(letter) for letter in letters], "next_cursor": None})


@get("/dead-letters/{letter_id:uuid}", responses={200: spec(DeadLetterView, description="The letter.")})
async def get_dead_letter(request: ApiRequest, letter_id: FromPath[UUID]) -> Json:
    """One dead letter with its message and traceback."""
    tables = request.platform.dead_letters.values()
    found = await asyncio.gather(*(table.get(letter_id) for table in tables))
    letter = next((letter for letter in found if letter is not None), None)
    if letter is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    return Response(_letter(letter) | {"message": letter.message, "traceback": letter.traceback})


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
    }


def _state(builds: Sequence[Build], live: Build | None, feed: FeedStatus | None) -> str:
    """``live`` while readers are served and nothing is wrong with the feed; else what is wrong, or ``building``."""
    if live is not None:
        return feed.state if feed is not None and feed.state in {"paused", "failed"} else "live"
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


def _letter(letter: DeadLetter) -> dict[str, Any]:
    return {
        "letter_id": str(letter.letter_id),
        "consumer": letter.consumer,
        "context": letter.context,
        "stream_id": str(letter.stream_id) if letter.stream_id else None,
        "position": str(letter.position) if letter.position else None,
        "topic": letter.topic,
        "error": letter.error,
        "attempts": letter.attempts,
        "behind": letter.behind,
        "parked_at": utc(letter.parked_at),
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
        get_sagas,
        get_saga,
        list_dead_letters,
        get_dead_letter,
    ],
)
