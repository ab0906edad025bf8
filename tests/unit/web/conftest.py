"""Browsers on an API of one hotel."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from litestar.testing import AsyncTestClient

from tests.unit.web.browsing import DOMAIN
from tests.unit.web.fake_api import (
    ACCESS,
    REFRESH,
    FakeApi,
)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def anonymous(api: FakeApi) -> AsyncIterator[httpx.AsyncClient]:
    async with AsyncTestClient(api.app()) as client:
        client.follow_redirects = False
        yield client


@pytest.fixture
async def guest(anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    """A browser with a session."""
    anonymous.cookies.set("nightledger_access", ACCESS, DOMAIN)
    anonymous.cookies.set("nightledger_refresh", REFRESH, DOMAIN)
    return anonymous
