"""How the command line of this machine gets in: a file that only the owner of the data directory can read.

``server.json`` is ``{"url", "pid", "token"}``. The token is an operator's, and is renewed long before it ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Callable, Generator
from pathlib import Path
from uuid import UUID, uuid5

import httpx
import structlog
from pydantic import BaseModel

from api.demo.hotels import NAMESPACE
from api.platform import Platform
from commands.accounts import Account
from commands.ports import Temporary
from commands.security import TokenPair
from domain.shared.errors import Unauthenticated

RENEW_SECONDS = 300
"""A third of an access token's life."""
AGAIN_SECONDS = 1.0

log = structlog.get_logger(__name__)


class RunningServer(BaseModel):
    """A platform that runs on this data directory, or did."""

    url: str
    pid: int
    token: str

    async def answers(self) -> bool:
        """Whether it is there now."""
        try:
            async with httpx.AsyncClient(timeout=3) as client:
                return (await client.get(f"{self.url}/health/live")).is_success
        except httpx.TransportError:
            return False


class LocalAccess:
    """Writes and reads ``server.json``."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / "server.json"

    def read(self) -> RunningServer | None:
        """What the file says; None if there is none."""
        if not self._file.exists():
            return None
        return RunningServer.model_validate_json(self._file.read_text(encoding="utf-8"))

    def latest_token(self) -> str | None:
        """The token that is in the file now."""
        server = self.read()
        return None if server is None else server.token

    async def keep(self, platform: Platform, url: str) -> None:
        """Write the file, and again with a fresh token before the last one ends, until cancelled."""
        tokens = await local_operator(platform)
        try:
            while True:
                self._write(RunningServer(url=url, pid=os.getpid(), token=tokens.access_token))
                await asyncio.sleep(RENEW_SECONDS)
                tokens = await _renewed(platform, tokens)
        finally:
            self._forget_ours()

    def _forget_ours(self) -> None:
        """Take the file away, unless it is another server's by now."""
        server = self.read()
        if server is not None and server.pid == os.getpid():
            self._file.unlink(missing_ok=True)

    def _write(self, server: RunningServer) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._file.with_suffix(".new")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(server.model_dump(), file)
        unfinished.replace(self._file)


async def local_operator(platform: Platform) -> TokenPair:
    """A session of the account that the command line acts as; nobody knows its password."""
    account_id: UUID = uuid5(NAMESPACE, "local operator")
    account = await platform.accounts.by_id(account_id)
    if account is None:
        account = Account(
            account_id=account_id,
            email="operator@localhost",
            name="Command line",
            phone=None,
            locale=None,
            roles=frozenset({"operator"}),
            password_hash=await platform.passwords.hash(secrets.token_urlsafe(32)),
            created_at=platform.clock.now(),
        )
        await platform.accounts.register(account)
    return await platform.tokens.issue(account)


async def _renewed(platform: Platform, tokens: TokenPair) -> TokenPair:
    """The next tokens, as soon as PostgreSQL is there: the last ones are good for two renewals more."""
    refreshing = True
    while True:
        try:
            if refreshing:
                return await platform.tokens.refresh(tokens.refresh_token)
            return await local_operator(platform)
        except Unauthenticated:
            refreshing = False  # a session ends for good after some weeks, or when somebody ends it
        except Temporary as error:
            # The token may have been used up or not: whoever shows a used one loses the session.
            log.warning("the command line's access is not renewed yet", error=str(error))
            refreshing = False
            await asyncio.sleep(AGAIN_SECONDS)


class BearerToken(httpx.Auth):
    """Shows a token, and when that is refused once more the one that ``latest`` gives by then."""

    def __init__(self, token: str, latest: Callable[[], str | None]) -> None:
        self._token = token
        self._latest = latest

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See httpx.Auth."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        answer = yield request
        latest = self._latest() if answer.status_code == httpx.codes.UNAUTHORIZED else None
        if latest is not None and latest != self._token:
            self._token = latest
            request.headers["Authorization"] = f"Bearer {latest}"
            yield request


def client_of(
    url: str,
    token: str,
    transport: httpx.AsyncBaseTransport | None = None,
    latest: Callable[[], str | None] = lambda: None,
) -> httpx.AsyncClient:
    """A client of the API at ``url`` that shows ``token``; see BearerToken for ``latest``."""
    return httpx.AsyncClient(base_url=url, auth=BearerToken(token, latest), timeout=30, transport=transport)
