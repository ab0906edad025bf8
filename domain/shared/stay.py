"""A stay: nights from check-in (inclusive) to check-out (exclusive), in the hotel's own calendar."""

from __future__ import annotations

import datetime as dt
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from domain.shared.errors import InvalidCommand

MAX_NIGHTS = 90


class Stay(BaseModel):
    """Between 1 and 90 nights; raises InvalidCommand otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    check_in: dt.date
    check_out: dt.date

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not 1 <= (self.check_out - self.check_in).days <= MAX_NIGHTS:
            raise InvalidCommand(
                f"a stay has 1 to {MAX_NIGHTS} nights; {self.check_in} to {self.check_out} has not",
                errors=(("check_out", f"must be 1 to {MAX_NIGHTS} days after check_in"),),
            )
        return self

    @property
    def nights(self) -> tuple[dt.date, ...]:
        """Each night by the date on which it begins."""
        return tuple(self.check_in + dt.timedelta(days=day) for day in range((self.check_out - self.check_in).days))
