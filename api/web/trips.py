"""When and with whom somebody travels, as pages hand it on to the next. The API says whether it makes sense."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

_DATES = ("check_in", "check_out")
_PARTY = {"adults": "2", "children": "0", "rooms": "1"}
_LONGEST = 20


@dataclass(frozen=True, slots=True)
class Trip:
    """Texts as the visitor gave them; dates may be missing."""

    check_in: str
    check_out: str
    adults: str
    children: str
    rooms: str

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Trip:
        """From query parameters; the party has the API's own defaults."""
        dates = {name: query.get(name, "")[:_LONGEST] for name in _DATES}
        party = {name: query.get(name, "")[:_LONGEST] or usual for name, usual in _PARTY.items()}
        return cls(**dates, **party)

    @property
    def dated(self) -> bool:
        """Whether both dates are given."""
        return bool(self.check_in and self.check_out)

    @property
    def readable(self) -> bool:
        """Whether both dates are dates, so that they can be shown in words."""
        return _is_date(self.check_in) and _is_date(self.check_out)

    @property
    def nights(self) -> int:
        """How many nights there are between two readable dates."""
        return (dt.date.fromisoformat(self.check_out) - dt.date.fromisoformat(self.check_in)).days

    @property
    def parameters(self) -> dict[str, str]:
        """As query parameters: those that are given."""
        named = {name: getattr(self, name) for name in (*_DATES, *_PARTY)}
        return {name: value for name, value in named.items() if value}

    def link(self, path: str, **more: str) -> str:
        """``path`` with this trip in its query."""
        return f"{path}?{urlencode({**more, **self.parameters})}"


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True
