"""How people say when: a day, a time, or how long ago."""

from __future__ import annotations

import datetime as dt
import re

import typer

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
METAVAR = "TIME"
FORMS = "A day or time (UTC unless it says otherwise), or how long ago: 2026-03-01, 2026-03-01T12:30Z, 90m, 7d."


def moment(text: str) -> dt.datetime:
    """The moment that ``text`` means. Raises BadParameter."""
    ago = _AGO.fullmatch(text.strip())
    if ago:
        try:
            return dt.datetime.now(dt.UTC) - dt.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError as error:
            raise typer.BadParameter(f"{text!r} is before any calendar. {FORMS}") from error
    try:
        said = dt.datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time. {FORMS}") from error
    return said if said.tzinfo else said.replace(tzinfo=dt.UTC)
