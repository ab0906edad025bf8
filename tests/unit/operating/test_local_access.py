"""The command line of the machine gets in, also after PostgreSQL was away when its token had to be renewed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import cast

import httpx
import pytest

from commands.ports import Temporary
from commands.security import TokenPair, Tokens
from domain.shared.errors import Unauthenticated
from infra.bootstrap.local import LocalAccess, client_of
from tests.unit.api.fakes import Memory


class Ended:
    """Tokens whose session ends by itself after each renewal, as one does after a month."""

    def __init__(self, tokens: Tokens) -> None:
        self.issue = tokens.issue

    async def refresh(self, refresh_token: str) -> TokenPair:
        """See Tokens."""
        raise Unauthenticated(f"the token {refresh_token[:4]} has expired")


class Interrupted:
    """Tokens whose first renewal loses its server after the refresh token was used up."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._lost = False
        self.issue = tokens.issue

    async def refresh(self, refresh_token: str) -> TokenPair:
        """See Tokens."""
        renewed = await self._tokens.refresh(refresh_token)
        if self._lost:
            return renewed
        self._lost = True
        raise Temporary("PostgreSQL is away")


@pytest.mark.parametrize("trouble", [Interrupted, Ended])
async def test_the_access_of_the_command_line_outlives_outages_and_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Callable[[Tokens], object]
) -> None:
    monkeypatch.setattr("infra.bootstrap.local.RENEW_SECONDS", 0)
    monkeypatch.setattr("infra.bootstrap.local.AGAIN_SECONDS", 0)
    platform = Memory().platform
    access = LocalAccess(tmp_path)
    keeping = asyncio.create_task(
        access.keep(dataclasses.replace(platform, tokens=cast("Tokens", trouble(platform.tokens))), "http://here")
    )
    seen: set[str] = set()
    async with asyncio.timeout(10):
        while len(seen) < 4:
            await asyncio.sleep(0)
            assert not keeping.done()
            if (server := access.read()) is not None:
                seen.add(server.token)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert access.read() is None


async def test_who_follows_for_long_shows_the_token_of_the_time() -> None:
    """A command holds its token for longer than that is good."""
    good = "first"

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if request.headers["Authorization"] == f"Bearer {good}" else 401)

    async with client_of("http://here", good, httpx.MockTransport(answer), lambda: good) as client:
        assert (await client.get("/")).status_code == 200
        good = "second"
        assert [(await client.get("/")).status_code for _ in range(2)] == [200, 200]
    async with client_of("http://here", "never", httpx.MockTransport(answer)) as client:
        assert (await client.get("/")).status_code == 401
