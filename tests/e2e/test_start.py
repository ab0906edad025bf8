"""Processes start in any order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import until

pytestmark = pytest.mark.xdist_group("e2e-real")


async def test_the_demo_waits_for_services_that_start_later(
    tmp_path: Path, new_real_settings: Callable[[], dict[str, str]]
) -> None:
    later = ("hotels", "inventory", "bookings", "payments", "analytics", "reviews", "notifications")
    platform = RunningPlatform(tmp_path / "data", new_real_settings(), (("gateway", "users"), later))
    platform.arguments = ("--demo",)

    async def waits() -> bool:
        return "the demo waits" in platform.log.read_text()

    try:
        platform.start_process("gateway")
        await until(waits, seconds=60)
        platform.start_process("hotels")
        platform.wait_until_ready()
        async with platform.client() as anybody:
            assert len(ok(await anybody.get("/v1/hotels"))["items"]) == 3
    finally:
        platform.stop()
