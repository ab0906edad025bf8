"""Ranges of nights that one command may speak of."""

from __future__ import annotations

import datetime as dt

from domain.shared.errors import InvalidCommand

MAX_NIGHTS_PER_COMMAND = 750
EARLIEST = dt.date(2000, 1, 1)
LATEST = dt.date(2099, 12, 31)


def nights_between(first: dt.date, last: dt.date) -> tuple[dt.date, ...]:
    """Each night from ``first`` to ``last``, both included.

    Raises InvalidCommand if the range is empty, longer than 750 nights, or leaves the years 2000 to 2099. The fields
    are named ``from`` and ``to``, as clients know them.
    """
    if last < first:
        raise InvalidCommand(f"{first} to {last} is no range of nights", errors=(("to", "must not be before from"),))
    if first < EARLIEST or last > LATEST:
        field = "from" if first < EARLIEST else "to"
        raise InvalidCommand(
            f"nights are between {EARLIEST} and {LATEST}; {first} to {last} are not",
            errors=((field, f"must be between {EARLIEST} and {LATEST}"),),
        )
    count = (last - first).days + 1
    if count > MAX_NIGHTS_PER_COMMAND:
        raise InvalidCommand(
            f"{first} to {last} are {count} nights; change at most {MAX_NIGHTS_PER_COMMAND} at once",
            errors=(("to", f"must be less than {MAX_NIGHTS_PER_COMMAND} days after from"),),
        )
    return tuple(first + dt.timedelta(days=day) for day in range(count))
