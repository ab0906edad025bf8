"""The port to what the users service keeps: accounts, sessions, keys, and the people who stay. Never in events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from commands.ports import Temporary
from domain.shared.errors import DomainError, Unauthenticated

Role = Literal["guest", "hotelier", "operator", "analyst", "admin"]
ROLES: tuple[Role, ...] = ("guest", "hotelier", "operator", "analyst", "admin")
CLIENTS = "client-"
"""How the addresses of accounts begin that are those of machine clients; they end in PLATFORMS_OWN."""
PLATFORMS_OWN = "@localhost"
"""How the addresses of accounts end that the platform has made for itself: nobody can register such a one."""


class EmailTaken(DomainError):
    """An account with this e-mail address exists. The text does not say which: it may go on record."""

    problem = "email-taken"


class AccountGone(Unauthenticated):
    """The account does not exist any more: nothing can be kept for it."""


class AccountsUnavailable(Temporary):
    """The database of accounts did not answer; the same call may succeed later."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who may come in. ``email`` is unique without regard to case; ``password_hash`` is argon2id in PHC form."""

    account_id: UUID
    email: str
    name: str
    phone: str | None
    locale: str | None
    roles: frozenset[Role]
    password_hash: str
    created_at: dt.datetime
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """Who stays: the details behind a ``guest_id``. They are forgotten together with the account that gave them.

    ``account_id`` None: they were kept before that was noted; the account is that of the booking.
    """

    guest_id: UUID
    name: str
    email: str
    phone: str | None = None
    account_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """What somebody wrote in their own words: personal data, so it is kept here and not in an event.

    ``remark_id`` is the id of the command that it came with, which its events name as their cause. It is forgotten
    together with the account of the booking, or of the author of the review, that it is about, and together with that
    of whoever wrote it.
    """

    remark_id: UUID
    account_id: UUID
    words: str
    written_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of the platform.

    ``access`` keys are Ed25519 private keys (PEM; their public halves are published), ``offer`` keys are Fernet keys.
    """

    key_id: str
    purpose: Literal["access", "offer"]
    secret: str
    created_at: dt.datetime


def client_address(client_id: UUID) -> str:
    """What stands in place of an e-mail address with the account of a machine client."""
    return f"{CLIENTS}{client_id}{PLATFORMS_OWN}"


def is_client(account: Account) -> bool:
    """Whether it is the account of a machine: its id is the client's id, its password the client's secret."""
    return account.email == client_address(account.account_id)


class Accounts(Protocol):
    """PostgreSQL tables of the users service. Every method raises AccountsUnavailable when they cannot be reached."""

    async def register(self, account: Account) -> None:
        """Add an account. Raises EmailTaken."""
        ...

    async def by_email(self, email: str) -> Account | None:
        """The account with this address, without regard to case."""
        ...

    async def by_id(self, account_id: UUID) -> Account | None:
        """The account."""
        ...

    async def update(self, account: Account) -> None:
        """Replace the account's details. Raises EmailTaken."""
        ...

    async def remember_person(self, person: Person) -> None:
        """Keep a person's details; those already kept under the id stay as they are. Raises AccountGone."""
        ...

    async def person(self, guest_id: UUID) -> Person | None:
        """The details; None if unknown or forgotten."""
        ...

    async def keep_remark(self, remark: Remark) -> bool:
        """Keep a remark; one that is kept under the id stays. False: the account is gone, and nothing is kept."""
        ...

    async def remarks(self, remark_ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """The words of those of these remarks that are kept."""
        ...

    async def clients(self) -> Sequence[Account]:
        """The accounts of machines, also of those that are let in no more; newest first."""
        ...

    async def colleagues(self, account_id: UUID, roles: frozenset[Role]) -> int:
        """How many other people can log in with one of ``roles``; the platform's own accounts do not count."""
        ...

    async def open_session(self, session_id: UUID, account_id: UUID, token_id: str, expires_at: dt.datetime) -> None:
        """Begin a session whose refresh token is ``token_id``; it ends at ``expires_at`` however often renewed.

        Raises AccountGone.
        """
        ...

    async def rotate_session(self, session_id: UUID, used: str, new: str, now: dt.datetime) -> bool:
        """Replace refresh token ``used`` by ``new``.

        False if the session has ended, or if ``used`` was used before: then somebody has a copy, and the session ends.
        """
        ...

    async def session_open(self, session_id: UUID, now: dt.datetime) -> bool:
        """Whether the session still runs."""
        ...

    async def end_session(self, session_id: UUID) -> None:
        """End one session; no error if it has ended or never was."""
        ...

    async def end_sessions(self, account_id: UUID) -> None:
        """End all sessions of an account."""
        ...

    async def signing_keys(self, purpose: Literal["access", "offer"]) -> Sequence[SigningKey]:
        """Newest first."""
        ...

    async def add_signing_key(self, key: SigningKey) -> None:
        """Keep a new key; one with the same id stays as it is (two processes may start at once)."""
        ...
