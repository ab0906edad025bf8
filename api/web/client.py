"""The pages' way to the API: the routes that everybody calls, called in process. Pages know no rules of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import httpx
from litestar import Litestar

_TYPE_PREFIX = "urn:nightledger:problem:"
_SAME_TOKENS_SECONDS = 30.0
_CITIES_SECONDS = 60.0
_UNAUTHENTICATED = 401
_INVALID_GRANT = 400

Answer = dict[str, Any]
_Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class ApiProblem(Exception):
    """The API refused: ``name`` is the last part of its problem type, ``errors`` are (field, message) pairs."""

    def __init__(self, status: int, name: str, detail: str, errors: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{status} {name}: {detail}")
        self.status = status
        self.name = name
        self.detail = detail
        self.errors = tuple(errors)

    def by_field(self) -> dict[str, str]:
        """Messages by the last part of the field's name (``email`` for ``guest.email``)."""
        return {name.rpartition(".")[2]: message for name, message in self.errors}


class InProcess(httpx.AsyncBaseTransport):
    """Hands requests to the application itself, as coming from the peer that the page was asked for by."""

    def __init__(self, app: Litestar) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer; rate limits count the peer in the extension ``peer``."""
        peer = request.extensions.get("peer", "127.0.0.1")
        transport = httpx.ASGITransport(cast("_Asgi", self._app), raise_app_exceptions=False, client=(peer, 0))
        return await transport.handle_async_request(request)


@dataclass(frozen=True, slots=True)
class Api:
    """The API as one visitor calls it. All methods raise ApiProblem for what is refused.

    ``headers`` go with every call: they say which request for a page it belongs to.
    """

    client: httpx.AsyncClient
    peer: str
    headers: Mapping[str, str] = field(default_factory=dict)

    async def get(self, path: str, token: str | None = None, **parameters: Any) -> Answer:
        """The JSON at ``path``."""
        return await self._call("GET", path, token, params=parameters)

    async def post(self, path: str, content: Mapping[str, Any], token: str | None = None, **headers: str) -> Answer:
        """Send JSON; header names are written with underscores. An answer without a body is empty."""
        named = {name.replace("_", "-"): value.encode() for name, value in headers.items()}
        return await self._call("POST", path, token, json=content, headers=named)

    async def delete(self, path: str, content: Mapping[str, Any], token: str) -> Answer:
        """Ask that what is at ``path`` be deleted, with JSON that confirms it."""
        return await self._call("DELETE", path, token, json=content)

    async def refreshed(self, refresh_token: str) -> Answer | None:
        """The next tokens of a session; None if it has ended. Raises ApiProblem if only they cannot be had now."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        answer = await self._send("POST", "/v1/auth/token", data=form)
        return None if answer.status_code == _INVALID_GRANT else _content(answer)

    async def _call(self, method: str, path: str, token: str | None, **options: Any) -> Answer:
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}".encode()} if token else {})
        return _content(await self._send(method, path, headers=headers, **options))

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, extensions={"peer": self.peer}, **options)


@dataclass(slots=True)
class Backstage:
    """What all requests for pages share; lives as long as the application."""

    client: httpx.AsyncClient
    _refreshing: dict[str, asyncio.Task[Answer | None]] = field(default_factory=dict)
    _cities: tuple[float, dict[str, int]] = (float("-inf"), {})

    async def refreshed(self, api: Api, refresh_token: str) -> Answer | None:
        """The next tokens, once for all requests that come with the same refresh token at about the same time.

        Each is good for one use; but a browser that opens several tabs again asks with one for all of them.
        """
        task = self._refreshing.get(refresh_token)
        if task is None:
            task = asyncio.create_task(api.refreshed(refresh_token))
            self._refreshing[refresh_token] = task
            task.add_done_callback(partial(self._refreshed, refresh_token))
        return await asyncio.shield(task)

    def _refreshed(self, refresh_token: str, task: asyncio.Task[Answer | None]) -> None:
        """Keep the new tokens for a while; a failure may have passed when the next one asks."""
        failed = task.cancelled() or task.exception() is not None
        keep = 0.0 if failed else _SAME_TOKENS_SECONDS
        asyncio.get_running_loop().call_later(keep, self._refreshing.pop, refresh_token, None)

    async def cities(self, api: Api) -> dict[str, int]:
        """Cities and how many hotels each has; may be a minute old."""
        known_at, cities = self._cities
        if not cities or time.monotonic() - known_at > _CITIES_SECONDS:
            found = await api.get("/v1/hotels", limit=1)
            cities = found["facets"].get("city", {})
            self._cities = (time.monotonic(), cities)
        return cities


def in_process_client(app: Litestar) -> httpx.AsyncClient:
    """A client of the API of ``app``; nothing of it goes over a network."""
    return httpx.AsyncClient(transport=InProcess(app), base_url="http://nightledger", timeout=60, trust_env=False)


def _content(answer: httpx.Response) -> Answer:
    if answer.is_error:
        raise _problem(answer)
    return answer.json() if answer.content else {}


def _problem(answer: httpx.Response) -> ApiProblem:
    if "json" not in answer.headers.get("content-type", ""):
        return ApiProblem(answer.status_code, "internal-error", answer.reason_phrase)
    body = answer.json()
    errors = [(each["field"], each["message"]) for each in body.get("errors", ())]
    name = str(body.get("type", "")).removeprefix(_TYPE_PREFIX)
    return ApiProblem(answer.status_code, name, str(body.get("detail", "")), errors)
