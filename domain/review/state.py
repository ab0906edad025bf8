"""A review as its decisions need it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from domain.review.events import ReviewHidden, ReviewReplied, ReviewShown, ReviewWritten
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Event


class ReviewState(BaseModel):
    """``version`` counts the stream's events; ``written`` is None until there is a review."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 0
    written: ReviewWritten | None = None
    is_replied: bool = False
    is_hidden: bool = False


def evolve(state: ReviewState, event: Event) -> ReviewState:
    """The state after ``event``."""
    return state.model_copy(update={"version": state.version + 1, **_changes(event)})


def _changes(event: Event) -> dict[str, Any]:
    match event:
        case ReviewWritten():
            return {"written": event}
        case ReviewReplied():
            return {"is_replied": True}
        case ReviewHidden():
            return {"is_hidden": True}
        case ReviewShown():
            return {"is_hidden": False}
    return {}


REVIEW = Aggregate(name="review", context="reviews", initial=ReviewState(), evolve=evolve)
