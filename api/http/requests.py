"""The request as handlers see it, and how its body is read: strictly, so that nothing odd reaches what is behind."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from litestar import Request
from litestar.datastructures import FormMultiDict, State

from api.http.problems import UnsupportedMediaType
from api.http.request_ids import request_id_of
from api.http.settings import HttpSettings
from api.http.tracing import traceparent_of
from api.http.watching import StreamWatch
from api.platform import Platform
from commands.ports import Metadata
from commands.security import Principal
from domain.shared.errors import InvalidCommand, Unauthenticated

_JSON_TYPES = frozenset({"application/json"})
_DEEPEST = 20
_FORM_TYPES = frozenset({"application/x-www-form-urlencoded"})


class ApiRequest(Request[Any, Any, State]):
    """A request of the API. Its guard has set the principal, unless the route is public."""

    @property
    def platform(self) -> Platform:
        """What the request is carried out with."""
        platform: Platform = self.app.state.platform
        return platform

    @property
    def http(self) -> HttpSettings:
        """How this API is set up."""
        settings: HttpSettings = self.app.state.http
        return settings

    @property
    def bookings_watch(self) -> StreamWatch:
        """Tells when something happens to a booking."""
        watch: StreamWatch = self.app.state.bookings_watch
        return watch

    @property
    def request_id(self) -> UUID:
        """See ``request_ids``."""
        return request_id_of(self.scope)

    @property
    def principal(self) -> Principal:
        """Who asks. Raises Unauthenticated where the route's guard has asked for nobody."""
        principal = self.scope.get("user")
        if not isinstance(principal, Principal):
            raise Unauthenticated("this needs an access token")
        return principal

    @property
    def address(self) -> str:
        """The peer's address, or that of whom it asks for if the peer is a proxy that the server trusts."""
        return self.client.host if self.client else "unknown"

    def metadata(self) -> Metadata:
        """Metadata of a command that the principal sends now."""
        return Metadata(
            correlation_id=self.request_id,
            actor=f"user:{self.principal.account_id}",
            at=self.platform.clock.now(),
            traceparent=traceparent_of(self.scope),
        )

    async def json(self) -> Any:
        """The JSON body; None if there is no body.

        Raises UnsupportedMediaType for anything that does not call itself JSON, InvalidCommand for what is not (RFC
        8259: so no NaN), and for text that stores cannot keep.
        """
        body = await self.body()
        if not body:
            return None
        self._require_type(_JSON_TYPES)
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise _bad_body(f"the body is not JSON: {error}") from error
        _check(value)
        return value

    async def form(self) -> FormMultiDict:
        """The form in the body. Raises UnsupportedMediaType, InvalidCommand."""
        self._require_type(_FORM_TYPES)
        try:
            (await self.body()).decode("ascii")
        except UnicodeDecodeError as error:
            raise _bad_body("the form is not percent-encoded") from error
        return await super().form()

    def _require_type(self, allowed: frozenset[str]) -> None:
        content_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in allowed:
            raise UnsupportedMediaType(
                f"send {' or '.join(sorted(allowed))}, not {content_type[:100] or 'an unnamed type'}"
            )


def _bad_body(detail: str) -> InvalidCommand:
    return InvalidCommand(detail, errors=(("body", detail),))


def _check(value: Any) -> None:
    """Refuse texts with NUL, and nesting beyond what any route takes."""
    layer, depth = [value], 0
    while layer:
        if depth > _DEEPEST:
            raise _bad_body(f"the body is nested deeper than {_DEEPEST} levels")
        texts = [item for item in layer if isinstance(item, str)]
        texts += [key for item in layer if isinstance(item, dict) for key in item]
        if any("\0" in text for text in texts):
            raise _bad_body("the body has a NUL character in a text")
        inner = [item.values() if isinstance(item, dict) else item for item in layer if isinstance(item, dict | list)]
        layer = [item for items in inner for item in items]
        depth += 1
