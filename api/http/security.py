"""Who may come in: every route declares the roles it is for, or that it is public; there is no third way."""

from __future__ import annotations

from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityRequirement
from litestar.types import Guard

from api.http.limits import limit_commands
from api.http.requests import ApiRequest
from commands.accounts import ROLES, Role
from commands.security import Principal
from domain.shared.errors import Forbidden, Unauthenticated

PUBLIC = {"public": True}
"""``opt`` of the routes that need no access token."""
BEARER: list[SecurityRequirement] = [{"bearer": []}]
STAFF: tuple[Role, ...] = ("operator", "admin")
_SCHEME = "bearer "
_LONGEST_TOKEN = 8_192


class Access:
    """A guard that lets in whoever has an access token with one of ``roles``.

    It raises Unauthenticated (no token, or none that is good now) or Forbidden (another role is needed).
    """

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        """Authenticate, then authorise."""
        request = cast("ApiRequest", connection)
        principal = await authenticate(request)
        if not self.roles & principal.roles:
            raise Forbidden(f"this is for the roles {', '.join(sorted(self.roles))}")
        request.scope["user"] = principal


def access(*roles: Role) -> list[Guard]:
    """The guards of routes for ``roles`` (all roles, if none is named): who comes in, and how often."""
    return [Access(*(roles or ROLES)), limit_commands]


async def authenticate(request: ApiRequest) -> Principal:
    """The principal of the bearer token. Nothing else identifies anybody. Raises Unauthenticated."""
    given = request.headers.getall("authorization", [])
    if len(given) != 1 or not given[0].lower().startswith(_SCHEME) or len(given[0]) > _LONGEST_TOKEN:
        raise Unauthenticated("send one header Authorization: Bearer <access token>")
    return await request.platform.tokens.verify(given[0][len(_SCHEME) :].strip())


def is_staff(principal: Principal) -> bool:
    """Whether the principal may see and do everything."""
    return not principal.roles.isdisjoint(STAFF)
