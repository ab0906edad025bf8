"""For machines: whether the process lives, whether it can serve, and its numbers."""

from __future__ import annotations

from typing import Any

from litestar import Response, Router, get

from api.http.operation_models import HealthView, Live
from api.http.requests import ApiRequest
from api.http.security import PUBLIC
from api.http.views import spec

Json = Response[dict[str, Any]]
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@get("/live", responses={200: spec(Live, description="The process answers.")})
async def get_live(request: ApiRequest) -> Json:
    """Whether the process answers; it asks nothing else."""
    return Response({"status": "up", "version": request.platform.version})


@get(
    "/ready",
    responses={
        200: spec(HealthView, description="The platform can serve."),
        503: spec(HealthView, description="A part of it is down."),
    },
)
async def get_ready(request: ApiRequest) -> Json:
    """Whether the platform can serve: every store, the broker, every feed."""
    parts = await request.platform.operations.health()
    ready = all(part.state != "down" for part in parts)
    body = {
        "status": "ready" if ready else "not ready",
        "version": request.platform.version,
        "parts": [{"part": part.part, "state": part.state, "detail": part.detail} for part in parts],
    }
    return Response(body, status_code=200 if ready else 503, headers={} if ready else {"Retry-After": "1"})


@get("/metrics", media_type="text/plain")
async def get_metrics(request: ApiRequest) -> Response[bytes]:
    """Prometheus text exposition of this process."""
    return Response(request.platform.operations.metrics(), media_type=METRICS_TYPE)


health_router = Router(
    "/",
    opt=PUBLIC,
    tags=["Machines"],
    route_handlers=[Router("/health", route_handlers=[get_live, get_ready]), get_metrics],
)
