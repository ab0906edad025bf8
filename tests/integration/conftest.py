"""A platform in this process, with bookings, and everything that a forger needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import pytest

from api.http.app import create_app
from api.http.settings import HttpSettings, Limits
from api.platform import Platform
from commands.ports import Commit, Metadata, StreamAppend
from domain.shared.messages import Event
from infra.bootstrap.local import local_operator
from infra.bootstrap.platform import started
from infra.eventstore.pool import create_pool
from infra.settings import SERVICES, Settings
from infra.stores.facts import ClickHouseFacts
from projections.audit.records import Audit, AuditRequest, Check
from tests.e2e.stories import until

NO_LIMITS = HttpSettings(limits=Limits(logins=1_000_000, commands=1_000_000))


@dataclass
class World:
    """``client`` is an operator's; ``pool`` and ``facts`` go behind the platform's back."""

    platform: Platform
    client: httpx.AsyncClient
    pool: asyncpg.Pool[Any]
    facts: ClickHouseFacts

    async def audited(self, **request: Any) -> Audit:
        """A finished audit."""
        metadata = Metadata(correlation_id=self.platform.new_id(), at=self.platform.clock.now())
        audit = await self.platform.audits.ask(AuditRequest(**request), metadata)

        async def ended() -> bool:
            found = await self.platform.audits.get(audit.audit_id)
            return found is not None and found.state != "running"

        await until(ended, seconds=120)
        found = await self.platform.audits.get(audit.audit_id)
        assert found is not None
        assert found.state == "finished", found.error
        return found

    async def forge(self, context: str, stream_id: UUID, *events: Event) -> None:
        """Append events that nothing has decided."""
        log = self.platform.logs[context]
        version = len(await log.read_stream(stream_id))
        metadata = Metadata(correlation_id=self.platform.new_id(), actor="forger", at=self.platform.clock.now())
        await log.commit(Commit(metadata, (StreamAppend(stream_id, version, events),)))

    async def live(self, projection: str) -> str:
        """The build that readers see."""
        registries = {each.name: self.platform.builds[each.service] for each in self.platform.projections}
        builds = await registries[projection].builds(projection)
        return next(build.name for build in builds if build.state == "live")


def wrong(audit: Audit) -> dict[str, Check]:
    """The checks that found something."""
    skipped = [check for check in audit.checks if check.skipped is not None]
    assert not skipped
    return {check.name: check for check in audit.checks if check.violations}


@pytest.fixture
async def world(
    tmp_path: Path,
    postgres_url: str,
    redis_url: str,
    fresh_name: Callable[..., str],
    create_database: Callable[[str, str], str],
) -> AsyncIterator[World]:
    name = fresh_name("audit")
    url = create_database(postgres_url, name)
    settings = Settings(data_dir=tmp_path / "data", postgres_url=url, redis_url=redis_url, namespace=name)
    failures: list[str] = []
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(started(settings, SERVICES, failures.append))
        app = create_app(running.platform, NO_LIMITS)
        tokens = await local_operator(running.platform)
        transport = httpx.ASGITransport(cast("Any", app))
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        client = httpx.AsyncClient(base_url="http://nightledger", headers=headers, timeout=60, transport=transport)
        await stack.enter_async_context(client)
        pool = await stack.enter_async_context(await create_pool(url, max_size=4))
        yield World(
            running.platform,
            client,
            pool,
            ClickHouseFacts.embedded(settings.data_dir / "analytics", settings.namespace),
        )
    assert not failures
