"""What may be done with a review. Pure: the state and a command in, events out; a refusal is raised."""

from __future__ import annotations

from uuid import UUID, uuid5

from domain.review.commands import ModerateReview, ReplyToReview, ReviewCommand, WriteReview
from domain.review.events import ReviewHidden, ReviewReplied, ReviewShown, ReviewWritten
from domain.review.state import ReviewState
from domain.shared.errors import AlreadyExists, IllegalTransition, NotFound
from domain.shared.messages import Event
from domain.shared.validation import Problems

RATINGS = range(1, 11)
"""The last is the best."""


def review_id_of(booking_id: UUID) -> UUID:
    """The id of a booking's review: there is one at most."""
    return uuid5(booking_id, "review")


def decide_write(state: ReviewState, command: WriteReview) -> list[Event]:
    """Rate a finished stay, once. Raises AlreadyExists, IllegalTransition, InvalidCommand."""
    if state.written is not None:
        raise AlreadyExists(f"booking {command.booking_id} was reviewed before")
    if command.booking_status != "checked_out":
        raise IllegalTransition(
            f"a stay is reviewed after check-out; booking {command.booking_id} is {command.booking_status}"
        )
    problems = Problems()
    problems.between("rating", command.rating, RATINGS[0], RATINGS[-1])
    problems.refuse()
    return [
        ReviewWritten(
            review_id=command.review_id,
            hotel_id=command.hotel_id,
            booking_id=command.booking_id,
            account_id=command.account_id,
            rating=command.rating,
            stayed_until=command.stayed_until,
        )
    ]


def decide_reply(state: ReviewState, command: ReplyToReview) -> list[Event]:
    """Answer a review that is seen, once. Raises NotFound; IllegalTransition if it has a reply."""
    written = _written(state, command)
    if state.is_hidden:
        raise _unknown(command)
    if state.is_replied:
        raise IllegalTransition(f"review {command.review_id} has a reply")
    return [ReviewReplied(review_id=command.review_id, hotel_id=written.hotel_id)]


def decide_moderate(state: ReviewState, command: ModerateReview) -> list[Event]:
    """Hide or show; what is already so changes nothing. Raises NotFound."""
    written = _written(state, command)
    is_visible = not state.is_hidden
    if command.visible == is_visible:
        return []
    kind = ReviewShown if command.visible else ReviewHidden
    return [kind(review_id=command.review_id, hotel_id=written.hotel_id, rating=written.rating)]


def _written(state: ReviewState, command: ReviewCommand) -> ReviewWritten:
    if state.written is None:
        raise _unknown(command)
    return state.written


def _unknown(command: ReviewCommand) -> NotFound:
    return NotFound(f"there is no review {command.review_id}")
