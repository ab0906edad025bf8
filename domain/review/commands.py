"""What can be asked of a review. Who may ask is for the API to say, which knows the hotel and its owner."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from domain.booking.state import BookingStatus
from domain.shared.messages import Command


class ReviewCommand(Command):
    """Fields that every command of the aggregate has; the stream is ``review_id``."""

    review_id: UUID


class WriteReview(ReviewCommand, name="reviews.WriteReview"):
    """Rate a hotel after a stay there. ``booking_status`` is that of the booking now. Answers {review_id, version}."""

    booking_id: UUID
    booking_status: BookingStatus
    hotel_id: UUID
    account_id: UUID
    rating: int
    stayed_until: dt.date


class ReplyToReview(ReviewCommand, name="reviews.ReplyToReview"):
    """Answer as the hotel. Answers {review_id, version}."""


class ModerateReview(ReviewCommand, name="reviews.ModerateReview"):
    """Hide a review from everybody, or show it again. Answers {review_id, version}."""

    visible: bool
