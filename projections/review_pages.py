"""Reviews as everybody reads them: one document per review.

Shape: ``{review_id, hotel_id, booking_id, account_id, rating, stayed_until, status, remark_id, written_at, reply_id,
replied_at, hiding_id, version}``. ``status`` is ``shown`` or ``hidden``. ``remark_id``, ``reply_id`` and ``hiding_id``
name what was written by the guest, the hotel, and the operator who has hidden it, which stays with the accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from commands.ports import RecordedEvent
from domain.review.events import ReviewHidden, ReviewReplied, ReviewShown, ReviewWritten
from projections.booking_pages import instant
from projections.ports import Document
from projections.projection import DocumentProjection


class ReviewPages(DocumentProjection):
    """Keyed by review_id."""

    name = "review_pages"
    version = 1
    service = "reviews"
    takes = (ReviewWritten, ReviewReplied, ReviewHidden, ReviewShown)

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Every event names its review."""
        event: Any = recorded.event
        return (str(event.review_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See Projection."""
        page = (document or {}) | {"version": recorded.version}
        at, words = instant(recorded.metadata.at), str(recorded.metadata.causation_id)
        match recorded.event:
            case ReviewWritten() as event:
                nothing = dict.fromkeys(("reply_id", "replied_at", "hiding_id"))
                told = {"status": "shown", "remark_id": words, "written_at": at}
                return page | event.model_dump(mode="json") | nothing | told
            case ReviewReplied():
                return page | {"reply_id": words, "replied_at": at}
            case ReviewHidden():
                return page | {"status": "hidden", "hiding_id": words}
            case ReviewShown():
                return page | {"status": "shown", "hiding_id": None}
        return page
