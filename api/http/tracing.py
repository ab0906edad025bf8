"""The trace that a request belongs to: its caller's (W3C ``traceparent``), or one that begins with it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from http import HTTPStatus
from time import monotonic
from typing import cast

import structlog
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from api.http.request_ids import header_of, request_id_of
from commands.tracing import UNTRACED, Attributes, Span, Tracing, logged_with, valid_traceparent

_TRACEPARENT = "nightledger_traceparent"
_ERROR = "nightledger_error"
_UNTRACED_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics", "/static/{name}"})
"""Asked for by machines, all the time."""

log = structlog.get_logger(__name__)


def traceparent_of(scope: Scope) -> str | None:
    """The request's own span, the parent of what follows from the request; None if there is no trace."""
    traceparent: str | None = scope["state"].get(_TRACEPARENT)
    return traceparent


def headers_of_follow_up(scope: Scope) -> dict[str, str]:
    """What a request that is sent on behalf of this one says of it: the same correlation id, the same trace."""
    if _TRACEPARENT not in scope["state"]:
        return {}  # the application has no TracedRequests
    traceparent = traceparent_of(scope)
    return {"X-Request-Id": str(request_id_of(scope))} | ({"traceparent": traceparent} if traceparent else {})


async def note_error(error: Exception, scope: Scope) -> None:
    """Keep what a handler raised for the request's span, which sees the answer only. For ``after_exception``."""
    scope["state"][_ERROR] = error


class TracedRequests(ASGIMiddleware):
    """Makes every request a span, named by method and route, and binds its correlation id to what is logged."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """See ASGIMiddleware."""
        begun, status = monotonic(), 0
        request = cast("HTTPScope", scope)  # it is put around nothing else
        method, route, state = request["method"], scope["path_template"], scope["state"]

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._span(request, route) as span:
            state[_TRACEPARENT] = span.traceparent
            with logged_with(request_id_of(scope), span.traceparent):
                await next_app(scope, receive, send_and_note)
                if route not in _UNTRACED_ROUTES:
                    log.debug("request", method=method, route=route, status=status, seconds=monotonic() - begun)
            span.tell({"http.response.status_code": status})
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.fail(state.get(_ERROR) or str(status))

    def _span(self, scope: HTTPScope, route: str) -> AbstractContextManager[Span]:
        given = valid_traceparent(header_of(scope, b"traceparent"))
        tracing = UNTRACED if route in _UNTRACED_ROUTES else self._tracing
        return tracing.span(f"{scope['method']} {route}", "server", given, _about(scope, route))


def _about(scope: HTTPScope, route: str) -> Attributes:
    """By the semantic conventions; without query and address of the asker, which are personal data."""
    return {
        "http.request.method": scope["method"],
        "http.route": route,
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        "nightledger.correlation_id": str(request_id_of(scope)),
    }
