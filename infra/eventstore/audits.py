"""The record of audits: implements ``projections.audit.records.AuditRecords``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from infra.eventstore.leadership import try_lock
from infra.eventstore.sql import in_schema
from projections.audit.records import Audit, AuditRunning

_SAVE = """
INSERT INTO @audits AS a (audit_id, asked_at, record) VALUES ($1, $2, $3)
ON CONFLICT (audit_id) DO UPDATE SET record = excluded.record"""
_GET = "SELECT record FROM @audits WHERE audit_id = $1"
_RECENT = "SELECT record FROM @audits ORDER BY asked_at DESC, audit_id DESC LIMIT $1"


class PostgresAudits:
    """The table ``audits`` of one context."""

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self._pool = pool
        self._context = context

    @asynccontextmanager
    async def only_one(self) -> AsyncIterator[None]:
        """Hold the right to audit; see the port. Raises AuditRunning, or LeadershipLost if its session breaks."""
        async with try_lock(self._pool, f"{self._context}: audit") as held:
            if not held:
                raise AuditRunning("an audit is under way; wait until it has ended")
            yield

    async def save(self, audit: Audit) -> None:
        """Keep ``audit`` in place of what was kept of it before."""
        await self._pool.execute(
            in_schema(_SAVE, self._context), audit.audit_id, audit.asked_at, audit.model_dump_json()
        )

    async def get(self, audit_id: UUID) -> Audit | None:
        """One audit."""
        record = await self._pool.fetchval(in_schema(_GET, self._context), audit_id)
        return None if record is None else Audit.model_validate_json(record)

    async def recent(self, limit: int) -> list[Audit]:
        """The last audits, newest first."""
        rows = await self._pool.fetch(in_schema(_RECENT, self._context), limit)
        return [Audit.model_validate_json(row["record"]) for row in rows]
