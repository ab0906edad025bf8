"""What happens to a review. The stream is the review; a booking has at most one.

What people write is personal and not in the events: it is kept beside the accounts (``commands.accounts.Remark``), by
the id of the command that an event names as its cause, and goes when its author wants to be forgotten.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from domain.shared.messages import Event


class ReviewEvent(Event):
    """Fields that every event of the aggregate has."""

    review_id: UUID
    hotel_id: UUID


class ReviewWritten(ReviewEvent, topic="reviews.v1.ReviewWritten"):
    """A guest who has stayed until ``stayed_until`` rates the hotel, from 1 to 10 (best), and says why."""

    booking_id: UUID
    account_id: UUID
    rating: int
    stayed_until: dt.date


class ReviewReplied(ReviewEvent, topic="reviews.v1.ReviewReplied"):
    """The hotel answers in public."""


class ReviewHidden(ReviewEvent, topic="reviews.v1.ReviewHidden"):
    """Nobody sees it any more, and ``rating`` no longer counts."""

    rating: int


class ReviewShown(ReviewEvent, topic="reviews.v1.ReviewShown"):
    """What was hidden is seen again, and ``rating`` counts again."""

    rating: int
