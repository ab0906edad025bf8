"""The command line of the machine gets in, also after PostgreSQL was away when its token had to be renewed."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import cast

import pytest

from commands.ports import Temporary
from commands.security import TokenPair, Tokens
from infra.bootstrap.local import LocalAccess
from tests.unit.api.fakes import Memory


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


async def test_the_access_of_the_command_line_outlives_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.bootstrap.local.RENEW_SECONDS", 0)
    monkeypatch.setattr("infra.bootstrap.local.AGAIN_SECONDS", 0)
    platform = Memory().platform
    access = LocalAccess(tmp_path)
    keeping = asyncio.create_task(
        access.keep(dataclasses.replace(platform, tokens=cast("Tokens", Interrupted(platform.tokens))), "http://here")
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
