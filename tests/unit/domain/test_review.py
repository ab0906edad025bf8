"""What may be done with a review."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest

from domain.review.commands import ModerateReview, ReplyToReview, WriteReview
from domain.review.decide import decide_moderate, decide_reply, decide_write
from domain.review.events import ReviewHidden, ReviewReplied, ReviewShown, ReviewWritten
from domain.review.state import REVIEW, ReviewState
from domain.shared.errors import AlreadyExists, IllegalTransition, InvalidCommand, NotFound
from domain.shared.messages import Event
from tests.unit.spec import Outcome, given

REVIEW_ID, HOTEL = UUID(int=1), UUID(int=2)
SUBJECT: dict[str, Any] = {
    "review_id": REVIEW_ID,
    "hotel_id": HOTEL,
    "booking_id": UUID(int=3),
    "account_id": UUID(int=4),
    "rating": 8,
    "stayed_until": dt.date(2026, 7, 3),
}
WRITTEN = ReviewWritten(**SUBJECT)
REPLIED = ReviewReplied(review_id=REVIEW_ID, hotel_id=HOTEL)
HIDDEN = ReviewHidden(review_id=REVIEW_ID, hotel_id=HOTEL, rating=8)
SHOWN = ReviewShown(review_id=REVIEW_ID, hotel_id=HOTEL, rating=8)


def writing(*history: Event, **changes: Any) -> Outcome[ReviewState]:
    command = WriteReview(**SUBJECT | {"booking_status": "checked_out"} | changes)
    return given(REVIEW, *history).when(lambda state: decide_write(state, command))


def replying(*history: Event) -> Outcome[ReviewState]:
    return given(REVIEW, *history).when(lambda state: decide_reply(state, ReplyToReview(review_id=REVIEW_ID)))


def moderating(*history: Event, visible: bool) -> Outcome[ReviewState]:
    command = ModerateReview(review_id=REVIEW_ID, visible=visible)
    return given(REVIEW, *history).when(lambda state: decide_moderate(state, command))


@pytest.mark.parametrize("rating", [1, 8, 10])
def test_a_finished_stay_is_rated(rating: int) -> None:
    writing(rating=rating).then(WRITTEN.model_copy(update={"rating": rating}))


@pytest.mark.parametrize("rating", [-1, 0, 11])
def test_ratings_are_from_one_to_ten(rating: int) -> None:
    writing(rating=rating).then_refused(InvalidCommand, "rating")


@pytest.mark.parametrize(
    "status", ["pending", "awaiting_payment", "confirmed", "rejected", "cancelled", "checked_in", "no_show"]
)
def test_only_who_has_stayed_rates(status: str) -> None:
    caught = writing(booking_status=status).then_refused(IllegalTransition)
    assert status in caught.detail


def test_a_stay_is_rated_once() -> None:
    writing(WRITTEN).then_refused(AlreadyExists)
    writing(WRITTEN, HIDDEN).then_refused(AlreadyExists)


def test_the_hotel_replies_once() -> None:
    replying(WRITTEN).then(REPLIED)
    replying(WRITTEN, HIDDEN, SHOWN).then(REPLIED)
    replying(WRITTEN, REPLIED).then_refused(IllegalTransition)


def test_what_nobody_sees_has_no_reply() -> None:
    replying().then_refused(NotFound)
    replying(WRITTEN, HIDDEN).then_refused(NotFound)


def test_a_review_is_hidden_and_shown_again() -> None:
    moderating(WRITTEN, visible=False).then(HIDDEN)
    moderating(WRITTEN, HIDDEN, visible=True).then(SHOWN)
    moderating(visible=False).then_refused(NotFound)


def test_what_is_already_so_changes_nothing() -> None:
    moderating(WRITTEN, visible=True).then_nothing()
    moderating(WRITTEN, HIDDEN, visible=False).then_nothing()
