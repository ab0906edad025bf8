"""Requests before long work: somebody waits for the answer."""

from __future__ import annotations

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from commands.turns import going_first


class RequestsFirst(ASGIMiddleware):
    """Keeps replays and audits of this process from taking their turns while a request is answered."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """See ASGIMiddleware."""
        with going_first():
            await next_app(scope, receive, send)
