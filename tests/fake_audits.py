"""Audits in memory, whose findings a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from commands.ports import Metadata
from projections.audit.auditor import Progress
from projections.audit.records import Audit, AuditRequest, AuditRunning, Check


class MemoryAuditRecords:
    """Records of audits."""

    def __init__(self) -> None:
        self.kept: dict[UUID, Audit] = {}
        self.elsewhere = False
        """Whether another process audits."""
        self._held = False

    @asynccontextmanager
    async def only_one(self) -> AsyncIterator[None]:
        """See AuditRecords."""
        if self._held or self.elsewhere:
            raise AuditRunning("an audit is under way")
        self._held = True
        try:
            yield
        finally:
            self._held = False

    async def save(self, audit: Audit) -> None:
        """See AuditRecords."""
        self.kept[audit.audit_id] = audit

    async def get(self, audit_id: UUID) -> Audit | None:
        """See AuditRecords."""
        return self.kept.get(audit_id)

    async def recent(self, limit: int) -> list[Audit]:
        """See AuditRecords."""
        return sorted(self.kept.values(), key=lambda audit: audit.asked_at, reverse=True)[:limit]


class PreparedAuditor:
    """Finds ``checks``, or fails with ``error``, as soon as ``released`` is set. ``asked`` is what it was asked for."""

    def __init__(self) -> None:
        self.checks: Sequence[Check] = (Check(name="streams", about="Every stream is gapless.", checked=3),)
        self.error: Exception | None = None
        self.released = asyncio.Event()
        self.released.set()
        self.asked: list[AuditRequest] = []

    async def run(self, request: AuditRequest, metadata: Metadata, progress: Progress) -> Sequence[Check]:
        """See Auditor."""
        del metadata
        self.asked.append(request)
        progress(3, 3)
        await self.released.wait()
        if self.error is not None:
            raise self.error
        return self.checks
