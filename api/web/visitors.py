"""Who looks at a page: their cookies, and how these have to change. Also the headers that keep pages safe."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import Cookie, MutableScopeHeaders, State
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.http.tracing import headers_of_follow_up
from api.web.client import Api, Backstage

ACCESS, REFRESH, FORM = "nightledger_access", "nightledger_refresh", "nightledger_form"
SESSION_SECONDS = 30 * 24 * 3600
"""How long a refresh token may be used; the API itself decides, this only lets browsers forget it."""
_EARLY_SECONDS = 30
_FORM_TOKEN_LENGTH = 43
_VISITOR = "nightledger_visitor"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Cookie",
}


class SignInNeeded(Exception):
    """The page is for people who have logged in; ``wanted`` is where they go afterwards."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted


class Visitor:
    """One browser. ``changes`` are the cookies that the answer sets."""

    def __init__(self, cookies: Mapping[str, str], *, secure: bool) -> None:
        self.access_token = cookies.get(ACCESS)
        self.refresh_token = cookies.get(REFRESH)
        self.changes: list[Cookie] = []
        self._secure = secure
        self.form_token = cookies.get(FORM, "")
        if len(self.form_token) != _FORM_TOKEN_LENGTH:
            self.form_token = secrets.token_urlsafe(32)
            self._set(FORM, self.form_token, None)

    @property
    def signed_in(self) -> bool:
        """Whether the browser holds a session; it may have ended meanwhile."""
        return bool(self.access_token or self.refresh_token)

    def sign_in(self, tokens: Mapping[str, Any]) -> None:
        """Keep the tokens of a session. The browser forgets the access token a little before it expires."""
        self.access_token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]
        self._set(ACCESS, tokens["access_token"], max(1, int(tokens["expires_in"]) - _EARLY_SECONDS))
        self._set(REFRESH, tokens["refresh_token"], SESSION_SECONDS)

    def sign_out(self) -> None:
        """Forget the session."""
        self.access_token = self.refresh_token = None
        self._set(ACCESS, "", 0)
        self._set(REFRESH, "", 0)

    def _set(self, name: str, value: str, max_age: int | None) -> None:
        self.changes.append(
            Cookie(name, value=value, path="/", max_age=max_age, secure=self._secure, httponly=True, samesite="lax")
        )


class PageRequest(Request[Any, Any, State]):
    """A request for a page."""

    @property
    def visitor(self) -> Visitor:
        """Who asks."""
        return visitor_of(self.scope)

    @property
    def backstage(self) -> Backstage:
        """What requests share."""
        backstage: Backstage = self.app.state.web
        return backstage

    @property
    def api(self) -> Api:
        """The API, called for this visitor."""
        peer = self.client.host if self.client else "unknown"
        return Api(self.backstage.client, peer, headers_of_follow_up(self.scope))

    @property
    def address(self) -> str:
        """Path and query of this page."""
        query = self.scope["query_string"].decode("latin-1")
        return f"{self.scope['path']}?{query}" if query else self.scope["path"]

    async def token(self, wanted: str | None = None) -> str:
        """The visitor's access token. Raises SignInNeeded; ``wanted`` is the page to go to afterwards, if not this."""
        visitor = self.visitor
        if visitor.access_token:
            return visitor.access_token
        if visitor.refresh_token:
            tokens = await self.backstage.refreshed(self.api, visitor.refresh_token)
            if tokens is not None:
                visitor.sign_in(tokens)
                return str(tokens["access_token"])
            visitor.sign_out()
        raise SignInNeeded(wanted or self.address)


class Visiting(ASGIMiddleware):
    """Makes the visitor known, sends back what changes in their cookies, and puts the headers on every page."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """See ASGIMiddleware."""
        visitor = visitor_of(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                for cookie in visitor.changes:
                    headers.add("Set-Cookie", cookie.to_header(header=""))
            await send(message)

        await next_app(scope, receive, send_with_headers)


def visitor_of(scope: Scope) -> Visitor:
    """The visitor of a request, always the same one."""
    state = scope["state"]
    if _VISITOR not in state:
        request: Request[Any, Any, Any] = Request(scope)
        state[_VISITOR] = Visitor(request.cookies, secure=scope["scheme"] == "https")
    visitor: Visitor = state[_VISITOR]
    return visitor


def local_address(given: str | None) -> str:
    """``given`` if it is a path of this site, else the start page: nobody is sent elsewhere by a link to us."""
    if not given or not given.startswith("/") or given[1:2] in {"/", "\\"} or not given.isprintable():
        return "/"
    return given if not urlsplit(given).netloc else "/"
