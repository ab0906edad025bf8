"""Request ids: taken from ``X-Request-Id`` if that is a UUID, made otherwise, and sent back.

They are the correlation id of all that follows from the request.
"""

from __future__ import annotations

from uuid import UUID

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

from commands.ports import NewId

_KEY = "nightledger_request_id"
_NEW_ID = "new_id"
_HEADER = b"x-request-id"
_UUID_LENGTH = 36
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def request_id_of(scope: Scope) -> UUID:
    """The id of the request, the same however often it is asked for."""
    state = scope["state"]
    if _KEY not in state:
        new_id: NewId = scope["litestar_app"].state[_NEW_ID]
        state[_KEY] = _given(scope) or new_id()
    request_id: UUID = state[_KEY]
    return request_id


async def add_headers(message: Message, scope: Scope) -> None:
    """Put the request id and what keeps browsers safe on every response; nothing is cached unless its route says so."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        headers["X-Request-Id"] = str(request_id_of(scope))
        for name, value in _SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")


def header_of(scope: Scope, header: bytes) -> str:
    """The value of a header (its name in lower case), empty if there is none; with several of the name the first."""
    return next((value for name, value in scope["headers"] if name == header), b"").decode("latin-1")


def _given(scope: Scope) -> UUID | None:
    text = header_of(scope, _HEADER)
    if len(text) != _UUID_LENGTH:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None
