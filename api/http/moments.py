"""Questions about the past: ``?as_of=`` and how it is read."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated
from uuid import UUID

from litestar.params import QueryParameter

from domain.shared.errors import InvalidCommand, NotFound

AsOf = Annotated[
    str | None,
    QueryParameter(
        name="as_of",
        max_length=40,
        description="As it was then: an ISO 8601 time with its zone, or a date, which stands for its end in UTC. "
        "What is to come is not known: a time in the future is now.",
    ),
]
_LOST_PLUS = re.compile(r" (?=\d\d:?\d\d$)")
"""A plus that was not percent-encoded arrives as a blank."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_END_OF_DAY = dt.time(23, 59, 59, 999_999, dt.UTC)


def moment_of(text: str | None) -> dt.datetime | None:
    """The moment that ``as_of`` means; None if it was not given. Raises InvalidCommand."""
    if text is None:
        return None
    try:
        if _DATE.fullmatch(text):
            return dt.datetime.combine(dt.date.fromisoformat(text), _END_OF_DAY)
        moment = dt.datetime.fromisoformat(_LOST_PLUS.sub("+", text))
    except ValueError as error:
        raise _wrong("must be an ISO 8601 time such as 2026-03-01T12:00:00Z, or a date") from error
    if moment.tzinfo is None:
        raise _wrong("must have a time zone, such as Z")
    return moment


def in_utc(moment: dt.datetime | None) -> dt.datetime | None:
    """The same in UTC, which one without a time zone means. Raises InvalidCommand for what no calendar has in UTC."""
    if moment is None or moment.tzinfo is None:
        return None if moment is None else moment.replace(tzinfo=dt.UTC)
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError as error:
        raise InvalidCommand(f"{moment.isoformat()} is beyond the years 1 to 9999 in UTC") from error


def not_yet(booking_id: UUID, moment: dt.datetime | None) -> NotFound:
    """The booking was made after ``moment``."""
    when = "" if moment is None else f" at {moment.isoformat()}"
    return NotFound(f"there was no booking {booking_id} yet{when}")


def _wrong(message: str) -> InvalidCommand:
    return InvalidCommand(f"as_of {message}", errors=(("as_of", message),))
