"""What happens to an account. The stream is the account.

No personal data: name, address and telephone number are in tables of the users service, from which they can be deleted.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from domain.shared.messages import Event

ForgettingReason = Literal["own_wish"]


class AccountEvent(Event):
    """Fields that every event of the aggregate has."""

    account_id: UUID


class AccountRegistered(AccountEvent, topic="users.v1.AccountRegistered"):
    """Somebody has made an account. Accounts that the platform makes itself, such as the demo's, have no such event."""

    roles: tuple[str, ...]


class GuestForgotten(AccountEvent, topic="users.v1.GuestForgotten"):
    """Whoever had the account is to be forgotten: from now on nobody may keep, show or use who it was.

    Whatever copies personal data drops it on this event. The bookings of the account stay on record, without a name.
    """

    reason: ForgettingReason


class PersonalDataErased(AccountEvent, topic="users.v1.PersonalDataErased"):
    """Nothing that the platform keeps names the person any more."""
