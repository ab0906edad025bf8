"""An account as its decisions need it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from domain.account.events import AccountRegistered, GuestForgotten, PersonalDataErased
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Event

AccountStatus = Literal["unheard_of", "registered", "forgotten", "erased"]


class AccountState(BaseModel):
    """``version`` counts the stream's events. ``forgotten`` becomes ``erased`` once nothing names the person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 0
    status: AccountStatus = "unheard_of"

    @property
    def is_forgotten(self) -> bool:
        """Whether nobody may show any more who it was."""
        return self.status in {"forgotten", "erased"}


_STATUS: dict[type[Event], AccountStatus] = {
    AccountRegistered: "registered",
    GuestForgotten: "forgotten",
    PersonalDataErased: "erased",
}


def evolve(state: AccountState, event: Event) -> AccountState:
    """The state after ``event``."""
    return AccountState(version=state.version + 1, status=_STATUS.get(type(event), state.status))


ACCOUNT = Aggregate(name="account", context="users", initial=AccountState(), evolve=evolve)
