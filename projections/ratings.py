"""What guests' reviews come to for a hotel: part of the documents that show a hotel, or find it.

``_ratings`` is ``{count, sum}`` of the reviews that are seen; sums do not depend on the order in which events arrive.
"""

from __future__ import annotations

from domain.review.events import ReviewHidden, ReviewShown, ReviewWritten
from projections.ports import Document

Rated = ReviewWritten | ReviewHidden | ReviewShown
RATED = (ReviewWritten, ReviewHidden, ReviewShown)


def rated(hotel: Document, event: Rated) -> Document:
    """The fields that change: ``rating`` is the average of 1 to 10 to one place, None without reviews."""
    sign = -1 if isinstance(event, ReviewHidden) else 1
    known, sum_known = ratings_of(hotel) or (0, 0)
    count, total = known + sign, sum_known + sign * event.rating
    return {"_ratings": {"count": count, "sum": total}, "rating": round(total / count, 1) if count > 0 else None}


def ratings_of(hotel: Document) -> tuple[int, ...]:
    """The count and the sum, which change with the rating; nothing before the first review."""
    ratings = hotel.get("_ratings")
    return (ratings["count"], ratings["sum"]) if ratings else ()
