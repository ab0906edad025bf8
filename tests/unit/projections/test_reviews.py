"""Reviews as they are read, and what they come to for a hotel."""

from __future__ import annotations

import datetime as dt
from itertools import permutations
from uuid import UUID

import pytest

from domain.review.events import ReviewEvent, ReviewHidden, ReviewReplied, ReviewShown, ReviewWritten
from projections.hotel_pages import HotelPages
from projections.hotel_search import HotelSearch
from projections.projection import DocumentProjection
from projections.review_pages import ReviewPages
from tests.unit.projections.recording import NOON, folded

REVIEW, HOTEL = UUID(int=1), UUID(int=2)
REPLIED = ReviewReplied(review_id=REVIEW, hotel_id=HOTEL)


def written(rating: int) -> ReviewWritten:
    return ReviewWritten(
        review_id=REVIEW,
        hotel_id=HOTEL,
        booking_id=UUID(int=3),
        account_id=UUID(int=4),
        rating=rating,
        stayed_until=dt.date(2026, 7, 3),
    )


def hidden(rating: int) -> ReviewHidden:
    return ReviewHidden(review_id=REVIEW, hotel_id=HOTEL, rating=rating)


def shown(rating: int) -> ReviewShown:
    return ReviewShown(review_id=REVIEW, hotel_id=HOTEL, rating=rating)


def test_a_review_is_shown_until_it_is_hidden() -> None:
    later = NOON + dt.timedelta(hours=1)
    page = folded(ReviewPages(), written(8), REPLIED, at=(NOON, later))
    assert (page["rating"], page["status"], page["version"]) == (8, "shown", 2)
    assert (page["written_at"], page["replied_at"]) == ("2026-06-01T12:00:00.000000Z", "2026-06-01T13:00:00.000000Z")
    assert folded(ReviewPages(), written(8), hidden(8))["status"] == "hidden"
    assert folded(ReviewPages(), written(8), hidden(8), shown(8))["status"] == "shown"


@pytest.mark.parametrize("projection", [HotelPages(), HotelSearch()])
def test_a_rating_is_the_average_of_what_is_shown_in_whatever_order_it_is_heard(projection: DocumentProjection) -> None:
    events: list[ReviewEvent] = [written(10), written(7), written(3), hidden(3)]
    for order in permutations(events):
        assert folded(projection, *order)["rating"] == 8.5
    assert folded(projection, *events, shown(3))["rating"] == 6.7
    assert folded(projection, written(3), hidden(3))["rating"] is None
    assert "version" not in folded(projection, *events), "the version is that of the hotel's own stream"
