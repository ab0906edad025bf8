"""Guards that bound how often things are asked for. The counts are shared by all processes."""

from __future__ import annotations

import math
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.http.problems import TooManyRequests
from api.http.requests import ApiRequest

MINUTE = 60.0
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def limit_logins(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Bound what one peer address may try that costs a password hash or a token. Raises TooManyRequests."""
    request = cast("ApiRequest", connection)
    await _take(request, f"logins:{_neighbourhood(request.address)}", request.http.limits.logins)


async def limit_commands(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Bound the commands of one account; reading is not counted. Raises TooManyRequests."""
    request = cast("ApiRequest", connection)
    if request.method not in _SAFE_METHODS:
        await _take(request, f"commands:{request.principal.account_id}", request.http.limits.commands)


def _neighbourhood(address: str) -> str:
    """What one client has for itself: an IPv4 address, or the /64 in which it chooses its IPv6 addresses (RFC 7421)."""
    try:
        found = ip_address(address)
    except ValueError:  # no network at all: a test's client, or a socket's path
        return address
    if isinstance(found, IPv6Address):
        # IPv4 addresses written as IPv6 ones all lie in one /64, and are not one client.
        return str(found.ipv4_mapped or ip_network((int(found), 64), strict=False))
    return address


async def _take(request: ApiRequest, key: str, limit: int) -> None:
    decision = await request.platform.limiter.take(key, limit, MINUTE)
    if not decision.allowed:
        wait = max(1, math.ceil(decision.retry_after_seconds))
        raise TooManyRequests(f"at most {limit} of these a minute; try again in {wait} s", retry_after=wait)
