"""An in-memory stand-in for Accounts; the contract suite holds it to what the tables promise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal
from uuid import UUID

from commands.accounts import (
    PLATFORMS_OWN,
    Account,
    AccountGone,
    EmailTaken,
    Person,
    Remark,
    Role,
    SigningKey,
    is_client,
)
from commands.forgetting import Forgotten


class MemoryAccounts:
    """Accounts and PersonalTables, in memory. ``reads_of_keys`` counts how often the signing keys were asked for."""

    def __init__(self) -> None:
        self._accounts: dict[UUID, Account] = {}
        self._people: dict[UUID, Person] = {}
        self.kept_remarks: dict[UUID, Remark] = {}
        self.erasures: dict[UUID, frozenset[str]] = {}
        self.sessions: dict[UUID, tuple[UUID, str, dt.datetime]] = {}
        self._keys: dict[str, SigningKey] = {}
        self.reads_of_keys = 0

    async def register(self, account: Account) -> None:
        """See Accounts."""
        self._refuse_taken(account)
        self._accounts[account.account_id] = account

    async def by_email(self, email: str) -> Account | None:
        """See Accounts."""
        return next((one for one in self._accounts.values() if one.email.lower() == email.lower()), None)

    async def by_id(self, account_id: UUID) -> Account | None:
        """See Accounts."""
        return self._accounts.get(account_id)

    async def update(self, account: Account) -> None:
        """See Accounts."""
        known = self._accounts.get(account.account_id)
        if known is not None:
            self._refuse_taken(account)
            self._accounts[account.account_id] = replace(account, created_at=known.created_at)

    def _refuse_taken(self, account: Account) -> None:
        if any(
            one.email.lower() == account.email.lower() and one.account_id != account.account_id
            for one in self._accounts.values()
        ):
            raise EmailTaken("an account with this address exists")

    async def remember_person(self, person: Person) -> None:
        """See Accounts."""
        if person.account_id is not None:
            self._require(person.account_id)
        self._people.setdefault(person.guest_id, person)

    async def person(self, guest_id: UUID) -> Person | None:
        """See Accounts."""
        return self._people.get(guest_id)

    async def keep_remark(self, remark: Remark) -> bool:
        """See Accounts."""
        if remark.account_id not in self._accounts:
            return False
        self.kept_remarks.setdefault(remark.remark_id, remark)
        return True

    async def remarks(self, remark_ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """See Accounts."""
        return {each: self.kept_remarks[each].words for each in remark_ids if each in self.kept_remarks}

    async def clients(self) -> Sequence[Account]:
        """See Accounts."""
        found = [each for each in self._accounts.values() if is_client(each)]
        return sorted(found, key=lambda each: each.created_at, reverse=True)

    async def colleagues(self, account_id: UUID, roles: frozenset[Role]) -> int:
        """See Accounts."""
        others = (one for one in self._accounts.values() if one.account_id != account_id and one.roles & roles)
        return sum(not one.disabled and not one.email.lower().endswith(PLATFORMS_OWN) for one in others)

    async def forget(self, account_id: UUID, guest_ids: Sequence[UUID] = ()) -> Forgotten:
        """See PersonalTables."""
        account = self._accounts.pop(account_id, None)
        people = [one for one in self._people.values() if one.account_id == account_id or one.guest_id in guest_ids]
        words = {word for one in (account, *people) if one for word in (one.name, one.email, one.phone) if word}
        self.erasures[account_id] = self.erasures.get(account_id, frozenset()) | words
        self._people = {key: one for key, one in self._people.items() if one not in people}
        self.kept_remarks = {
            key: one for key, one in self.kept_remarks.items() if account_id not in {one.account_id, one.written_by}
        }
        await self.end_sessions(account_id)
        return Forgotten(account_id, self.erasures[account_id])

    async def conclude(self, account_id: UUID) -> None:
        """See PersonalTables."""
        self.erasures.pop(account_id, None)

    def _require(self, account_id: UUID) -> None:
        if account_id not in self._accounts:
            raise AccountGone("the account does not exist any more")

    async def open_session(self, session_id: UUID, account_id: UUID, token_id: str, expires_at: dt.datetime) -> None:
        """See Accounts."""
        self._require(account_id)
        self.sessions[session_id] = (account_id, token_id, expires_at)

    async def rotate_session(self, session_id: UUID, used: str, new: str, now: dt.datetime) -> bool:
        """See Accounts."""
        if not await self.session_open(session_id, now):
            return False
        account_id, current, expires_at = self.sessions[session_id]
        if current != used:
            del self.sessions[session_id]
            return False
        self.sessions[session_id] = (account_id, new, expires_at)
        return True

    async def session_open(self, session_id: UUID, now: dt.datetime) -> bool:
        """See Accounts."""
        session = self.sessions.get(session_id)
        return session is not None and now < session[2]

    async def end_session(self, session_id: UUID) -> None:
        """See Accounts."""
        self.sessions.pop(session_id, None)

    async def end_sessions(self, account_id: UUID) -> None:
        """See Accounts."""
        self.sessions = {key: session for key, session in self.sessions.items() if session[0] != account_id}

    async def signing_keys(self, purpose: Literal["access", "offer"]) -> Sequence[SigningKey]:
        """See Accounts."""
        self.reads_of_keys += 1
        found = [key for key in self._keys.values() if key.purpose == purpose]
        return sorted(found, key=lambda key: (key.created_at, key.key_id), reverse=True)

    async def add_signing_key(self, key: SigningKey) -> None:
        """See Accounts."""
        self._keys.setdefault(key.key_id, key)
