"""Behind a reverse proxy that is known: who asks, and by which scheme, is what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.e2e.running import RunningPlatform

pytestmark = pytest.mark.xdist_group("e2e-embedded")
_LOGIN = {"email": "nobody@example.com", "password": "not the one"}
_FAR_MORE_THAN_ALLOWED = 60
"""20 at once, and one more every three seconds that they take."""


async def test_a_known_proxy_is_believed(tmp_path: Path) -> None:
    settings = {"NIGHTLEDGER_TRUSTED_PROXIES": "127.0.0.1", "NIGHTLEDGER_RATE_LIMITS": "true"}
    with RunningPlatform(tmp_path / "data", settings) as platform:
        async with platform.client() as proxy:
            for scheme, secure in (("https", True), ("http", False)):
                page = await proxy.get("/login", headers={"X-Forwarded-Proto": scheme})
                assert ("secure" in page.headers["set-cookie"].lower()) == secure

            async def logins(addresses: Iterable[str]) -> set[int]:
                answers = await asyncio.gather(
                    *(
                        proxy.post("/v1/auth/login", json=_LOGIN, headers={"X-Forwarded-For": each})
                        for each in addresses
                    )
                )
                return {answer.status_code for answer in answers}

            assert await logins(["192.0.2.1"] * _FAR_MORE_THAN_ALLOWED) == {401, 429}
            assert await logins(["192.0.2.2"]) == {401}, "one who tries too often locks out nobody else"
            assert await logins(f"2001:db8:0:1::{number:x}" for number in range(_FAR_MORE_THAN_ALLOWED)) == {401, 429}
            assert await logins(["2001:db8:0:2::1"]) == {401}
            assert await logins(f"::ffff:192.0.2.{number}" for number in range(10, 40)) == {401}
