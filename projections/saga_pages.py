"""Saga pages: where each saga stands, for operators.

Shape: ``{saga_id, saga, subject_id, step, status, deadline, started_at, updated_at, attempts, note, version}``; times
are real ones. ``note`` of a quarantined saga is what it failed on; ``attempts`` counts the commands of its step.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Literal

from commands.ports import RecordedEvent
from domain.saga.events import SagaReacted
from projections.ports import Document, DocumentStore, Page, Where
from projections.projection import DocumentProjection

STUCK_AFTER = dt.timedelta(seconds=60)
"""A running saga whose deadline has been over for that long is stuck: its timer should have woken it."""

SagaListing = Literal["running", "stuck", "quarantined", "finished"]


class SagaPages(DocumentProjection):
    """Keyed by saga_id."""

    name = "saga_pages"
    version = 1
    service = "bookings"
    takes = (SagaReacted,)

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Every reaction names its saga."""
        event: Any = recorded.event
        return (str(event.saga_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See Projection."""
        event: Any = recorded.event
        at = recorded.recorded_at.astimezone(dt.UTC).isoformat()
        return {
            "saga_id": str(event.saga_id),
            "saga": event.saga,
            "subject_id": str(event.subject_id),
            "step": event.step,
            "status": event.status,
            "deadline": None if event.deadline is None else event.deadline.astimezone(dt.UTC).isoformat(),
            "started_at": document["started_at"] if document else at,
            "updated_at": at,
            "attempts": event.state.get("attempts", 1),
            "note": event.note,
            "version": recorded.version,
        }


async def list_sagas(
    store: DocumentStore, listing: SagaListing | None, *, now: dt.datetime, limit: int = 50, cursor: str | None = None
) -> Page:
    """Sagas, those first that have been waiting longest: each page with ``age_seconds`` since it began.

    Raises InvalidCommand for a cursor that the store did not make.
    """
    where = [] if listing is None else [Where("status", "eq", "running" if listing == "stuck" else listing)]
    if listing == "stuck":
        where.append(Where("deadline", "lt", (now - STUCK_AFTER).astimezone(dt.UTC).isoformat()))
    page = await store.find(SagaPages.name, where, order_by="updated_at", descending=False, limit=limit, cursor=cursor)
    return Page([_aged(item, now) for item in page.items], page.next_cursor)


def _aged(item: Document, now: dt.datetime) -> Document:
    return item | {"age_seconds": round((now - dt.datetime.fromisoformat(item["started_at"])).total_seconds(), 3)}
