"""Audits as operators ask for them: one at a time, on record from the first moment, repaired if that was asked for."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from time import monotonic
from typing import Protocol
from uuid import UUID

import structlog

from commands.ports import Clock, Metadata, NewId
from projections.audit.auditor import Progress
from projections.audit.records import Audit, AuditRecords, AuditRequest, Check
from projections.builds import Build, ReplayRunning
from projections.projection import Projection
from projections.replay_orders import ReplayOrders

SIGN_OF_LIFE_SECONDS = 2.0
LOST_AFTER = dt.timedelta(seconds=30)
"""A running audit that has not told its progress for so long has ended with its process."""
READ_MODEL = "read_model:"
"""Begins the names of the checks of read models."""

log = structlog.get_logger(__name__)


class Runs(Protocol):
    """The part of an Auditor that is needed here."""

    async def run(self, request: AuditRequest, metadata: Metadata, progress: Progress) -> Sequence[Check]:
        """See Auditor."""
        ...


class Audits:
    """Starts audits in this process and knows those of all processes."""

    def __init__(
        self,
        auditor: Runs,
        records: AuditRecords,
        projections: Sequence[Projection],
        replays: ReplayOrders,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._auditor = auditor
        self._records = records
        self._projections = {projection.name: projection for projection in projections}
        self._replays = replays
        self._clock = clock
        self._new_id = new_id
        self._running: asyncio.Task[None] | None = None
        self._audit: Audit | None = None
        """The audit that runs here or ran here last, as it was last told."""

    async def ask(self, request: AuditRequest, metadata: Metadata) -> Audit:
        """Begin an audit and return at once. Raises AuditRunning if one is under way, in whichever process."""
        now = self._clock.now()
        audit = Audit(audit_id=self._new_id(), request=request, asked_by=metadata.actor, asked_at=now, updated_at=now)
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._only(audit, metadata, begun), name=f"audit {audit.audit_id}")
        await asyncio.shield(begun)
        self._running = task
        return audit

    async def get(self, audit_id: UUID) -> Audit | None:
        """One audit; None if there was none."""
        audit = await self._records.get(audit_id)
        return None if audit is None else self._alive(audit)

    async def recent(self, limit: int) -> Sequence[Audit]:
        """The last audits, newest first."""
        return [self._alive(audit) for audit in await self._records.recent(limit)]

    async def close(self) -> None:
        """End the audit that runs here, if there is one; that it was cut off is on record."""
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        if self._audit is not None and self._audit.state == "running":
            stopped = {"state": "failed", "error": "it was stopped", "finished_at": self._clock.now()}
            await self._keep(self._audit.model_copy(update=stopped))

    async def _keep(self, audit: Audit) -> None:
        self._audit = audit
        await self._records.save(audit)

    def _alive(self, audit: Audit) -> Audit:
        if audit.state == "running" and audit.updated_at + LOST_AFTER < self._clock.now():
            return audit.model_copy(update={"state": "failed", "error": "its process has ended; ask for another audit"})
        return audit

    async def _only(self, audit: Audit, metadata: Metadata, begun: asyncio.Future[None]) -> None:
        """Carry out ``audit`` if no other is under way; ``begun`` is told whether it is."""
        try:
            async with self._records.only_one():
                await self._keep(audit)
                begun.set_result(None)
                await self._run(audit, metadata)
        except Exception as error:
            if not begun.done():
                begun.set_exception(error)
                return
            log.exception("audit failed", audit_id=str(audit.audit_id))
            now = self._clock.now()
            failed = {"state": "failed", "error": f"{type(error).__name__}: {error}", "finished_at": now}
            await self._keep((self._audit or audit).model_copy(update=failed | {"updated_at": now}))
        finally:
            begun.cancel()

    async def _run(self, audit: Audit, metadata: Metadata) -> None:
        """Audit, telling how far it is now and then. Raises what the auditor raises."""
        begun, read = monotonic(), [0.0, 0, 0]

        def progress(done: int, total: int) -> None:
            read[:] = monotonic() - begun, done, total

        def so_far(**more: object) -> Audit:
            seconds, done, total = read
            known = {"reading_seconds": seconds, "events_done": done, "events_total": total}
            return audit.model_copy(update={**known, "updated_at": self._clock.now(), **more})

        work = asyncio.create_task(self._auditor.run(audit.request, metadata, progress))
        try:
            while not (await asyncio.wait({work}, timeout=SIGN_OF_LIFE_SECONDS))[0]:
                await self._keep(so_far())
            audit = so_far(checks=tuple(work.result()))
            replays = await self._repair(audit.checks) if audit.request.fix else {}
        except BaseException:
            self._audit = so_far()  # what was found is on record even if it cannot be repaired
            raise
        finally:
            work.cancel()
        ended = so_far(state="finished", replays=replays, finished_at=self._clock.now())
        await self._keep(ended)
        log.info("audit ended", audit_id=str(ended.audit_id), violations=ended.violations)

    async def _repair(self, checks: Sequence[Check]) -> dict[str, UUID]:
        """Have the read models rebuilt that differ from the log; the log itself is never touched."""
        replays: dict[str, UUID] = {}
        for check in checks:
            projection = self._projections.get(check.name.removeprefix(READ_MODEL))
            if projection is None or not check.violations:
                continue
            replays[projection.name] = (await self._rebuilt(projection.name)).replay_id
        return replays

    async def _rebuilt(self, name: str) -> Build:
        """The replay of ``name`` that is under way, or one that begins."""
        while True:
            try:
                (build,) = await self._replays.replay([name])
            except ReplayRunning:
                running = [each for each in await self._replays.under_way() if each.projection == name]
                if running:  # else it has just ended
                    return running[0]
            else:
                return build
