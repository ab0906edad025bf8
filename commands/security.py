"""The ports to what proves who asks (tokens), who may come in (passwords) and which price was offered (offers)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from commands.accounts import Account, Role
from domain.shared.errors import DomainError, InvalidCommand, Unauthenticated


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as an access token tells: the account, its roles when the token was issued, and the session.

    ``authenticated_at`` is when they last gave their password: when the session began, however often it was renewed.
    """

    account_id: UUID
    roles: frozenset[Role]
    session_id: UUID
    token_id: str
    authenticated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets for its credentials; ``expires_in`` is the life of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - the name of the scheme, no secret


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a machine client gets for its secret: it asks again when ``expires_in`` seconds are over."""

    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - the name of the scheme, no secret


class Tokens(Protocol):
    """Access tokens (15 minutes) and refresh tokens (for 30 days, each good for one use) of sessions."""

    async def issue(self, account: Account) -> TokenPair:
        """Begin a session. Raises Unauthenticated for a disabled account."""
        ...

    async def issue_access(self, account: Account) -> AccessToken:
        """Begin a session that lasts as long as this one token. Raises Unauthenticated for a disabled account."""
        ...

    async def verify(self, access_token: str) -> Principal:
        """Who holds this token. Raises Unauthenticated for whatever is not a valid access token of an open session."""
        ...

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Exchange a refresh token for a new pair, with the roles that the account has now.

        Raises Unauthenticated; a token that was used before ends its session, because somebody has a copy.
        """
        ...

    async def logout(self, principal: Principal) -> None:
        """End the principal's session, its access tokens included (in other processes within seconds)."""
        ...

    async def revoke(self, account_id: UUID) -> None:
        """End all sessions of an account, likewise."""
        ...

    async def jwks(self) -> dict[str, Any]:
        """The public keys by which others can verify tokens (RFC 7517)."""
        ...

    async def rotate_keys(self) -> str:
        """Sign with a new key from now on; what older keys signed is good until it expires. Returns the key's id."""
        ...


class ReauthenticationRequired(Unauthenticated):
    """What is asked for cannot be undone: only somebody who has just given the password may ask (RFC 9470).

    ``max_age`` is how old that may be, in seconds.
    """

    problem = "reauthentication-required"

    def __init__(self, detail: str, *, max_age: int) -> None:
        super().__init__(detail)
        self.max_age = max_age


class PasswordWrong(DomainError):
    """The password that confirms a request is not the account's."""

    problem = "password-wrong"
    status = 403


class PasswordRefused(InvalidCommand):
    """The password does not keep the rules; the text says which."""

    problem = "password-refused"


class Passwords(Protocol):
    """Password hashes. None of these blocks the event loop."""

    async def hash(self, password: str) -> str:
        """A new hash in PHC form. Raises PasswordRefused unless it has 8 to 128 characters and is not a common one."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the one that was hashed.

        None (there is no such account) takes as long as any other and is False.
        """
        ...

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than new ones are."""
        ...


class OfferInvalid(DomainError):
    """The offer token is not one of ours, or was changed; ask for offers again."""

    problem = "offer-invalid"
    status = 422


class OfferExpired(DomainError):
    """The offer was ours and its time is over; ask for offers again."""

    problem = "offer-expired"
    status = 422


class Offers(Protocol):
    """Offers that clients carry back to us unchanged: opaque tokens that nobody else can read or make."""

    async def seal(self, offer: Mapping[str, Any]) -> str:
        """A token that says ``offer`` (a JSON object) for the next 15 minutes."""
        ...

    async def open(self, token: str) -> dict[str, Any]:
        """What was sealed. Raises OfferInvalid, or OfferExpired."""
        ...

    async def rotate_keys(self) -> str:
        """Seal with a new key from now on; what older keys sealed is good until it expires. Returns the key's id."""
        ...
