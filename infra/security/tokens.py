"""Access and refresh tokens: JSON Web Tokens signed with Ed25519, each good for one thing only.

The two kinds differ in header ``typ``, claim ``token_use`` and audience, so that neither passes for the other, here or
at anybody who verifies by our JWKS. A refresh token names its session; the session knows which one may be used next.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import OKPAlgorithm
from pydantic import BaseModel, ConfigDict, ValidationError

from commands.accounts import Account, Accounts, Role, SigningKey
from commands.ports import Clock, NewId
from commands.security import AccessToken, Principal, TokenPair
from domain.shared.errors import Unauthenticated
from infra.security.keys import FRESH_FOR, KeyRing

ACCESS_LIFETIME = dt.timedelta(minutes=15)
SESSION_LIFETIME = dt.timedelta(days=30)
SESSION_CHECKED_FOR = dt.timedelta(seconds=5)
"""How long a session that was seen open counts as open: another process's logout takes effect after this long."""

_ALGORITHM = "EdDSA"
_LONGEST_TOKEN = 4_096
_CLOCK_SKEW = dt.timedelta(seconds=30)
_SESSIONS_REMEMBERED = 10_000

TokenUse = Literal["access", "refresh"]
_TYPES: dict[TokenUse, str] = {"access": "at+jwt", "refresh": "rt+jwt"}
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "nbf", "jti", "sid", "token_use"]


class _Claims(BaseModel):
    """What a token of ours says; times are whole seconds since 1970."""

    model_config = ConfigDict(frozen=True)

    sub: UUID
    sid: UUID
    jti: str
    exp: int
    nbf: int
    token_use: TokenUse
    auth_time: int | None = None
    """None in tokens from before there was this claim."""
    roles: frozenset[Role] = frozenset()


class TokenService:
    """Tokens for ``audience``, issued and verified by ``issuer``."""

    def __init__(
        self,
        accounts: Accounts,
        clock: Clock,
        new_id: NewId,
        issuer: str = "nightledger",
        audience: str = "nightledger-api",
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._new_id = new_id
        self._issuer = issuer
        self._audiences: dict[TokenUse, str] = {"access": audience, "refresh": issuer}
        self._keys = KeyRing(
            accounts,
            "access",
            generate=_new_key,
            keep_for=SESSION_LIFETIME + FRESH_FOR,
            clock=clock,
            new_id=new_id,
        )
        self._seen_open: dict[UUID, dt.datetime] = {}

    async def issue(self, account: Account) -> TokenPair:
        """See Tokens."""
        _refuse_disabled(account)
        session_id, token_id = self._new_id(), self._new_id().hex
        ends_at = self._clock.now() + SESSION_LIFETIME
        await self._accounts.open_session(session_id, account.account_id, token_id, ends_at)
        return await self._pair(account, session_id, token_id, int(ends_at.timestamp()))

    async def issue_access(self, account: Account) -> AccessToken:
        """See Tokens."""
        _refuse_disabled(account)
        session_id, now = self._new_id(), self._clock.now()
        await self._accounts.open_session(session_id, account.account_id, self._new_id().hex, now + ACCESS_LIFETIME)
        claims = {
            "jti": self._new_id().hex,
            "exp": int((now + ACCESS_LIFETIME).timestamp()),
            "roles": sorted(account.roles),
            "auth_time": int(now.timestamp()),
        }
        signed = await self._sign("access", account.account_id, session_id, claims)
        return AccessToken(signed, int(ACCESS_LIFETIME.total_seconds()))

    async def verify(self, access_token: str) -> Principal:
        """See Tokens."""
        claims = await self._claims(access_token, "access")
        if not await self._session_open(claims.sid):
            raise Unauthenticated("this session has ended; log in again")
        # Without the claim the session is taken to be as old as it can be.
        began = claims.auth_time or 0
        return Principal(claims.sub, claims.roles, claims.sid, claims.jti, dt.datetime.fromtimestamp(began, dt.UTC))

    async def refresh(self, refresh_token: str) -> TokenPair:
        """See Tokens."""
        claims = await self._claims(refresh_token, "refresh")
        account = await self._accounts.by_id(claims.sub)
        if account is None:
            raise Unauthenticated("this account does not exist any more")
        _refuse_disabled(account)
        token_id = self._new_id().hex
        if not await self._accounts.rotate_session(claims.sid, claims.jti, token_id, self._clock.now()):
            self._seen_open.pop(claims.sid, None)
            raise Unauthenticated("this session has ended, or the refresh token was used before; log in again")
        return await self._pair(account, claims.sid, token_id, claims.exp)

    async def logout(self, principal: Principal) -> None:
        """See Tokens."""
        await self._accounts.end_session(principal.session_id)
        self._seen_open.pop(principal.session_id, None)

    async def revoke(self, account_id: UUID) -> None:
        """See Tokens."""
        await self._accounts.end_sessions(account_id)
        self._seen_open.clear()

    async def jwks(self) -> dict[str, Any]:
        """See Tokens."""
        return {"keys": [_public_jwk(key) for key in await self._keys.usable()]}

    async def rotate_keys(self) -> str:
        """See Tokens."""
        return (await self._keys.rotate()).key_id

    async def _pair(self, account: Account, session_id: UUID, token_id: str, session_ends: int) -> TokenPair:
        access_ends = min(int((self._clock.now() + ACCESS_LIFETIME).timestamp()), session_ends)
        access = {
            "jti": self._new_id().hex,
            "exp": access_ends,
            "roles": sorted(account.roles),
            "auth_time": session_ends - int(SESSION_LIFETIME.total_seconds()),
        }
        refresh = {"jti": token_id, "exp": session_ends}
        return TokenPair(
            access_token=await self._sign("access", account.account_id, session_id, access),
            refresh_token=await self._sign("refresh", account.account_id, session_id, refresh),
            expires_in=access_ends - int(self._clock.now().timestamp()),
        )

    async def _sign(self, use: TokenUse, account_id: UUID, session_id: UUID, claims: dict[str, Any]) -> str:
        key = (await self._keys.usable())[0]
        now = int(self._clock.now().timestamp())
        payload = {
            "iss": self._issuer,
            "aud": self._audiences[use],
            "sub": str(account_id),
            "sid": str(session_id),
            "iat": now,
            "nbf": now,
            "token_use": use,
            **claims,
        }
        return jwt.encode(payload, _private(key.secret), _ALGORITHM, headers={"kid": key.key_id, "typ": _TYPES[use]})

    async def _claims(self, token: str, use: TokenUse) -> _Claims:
        """What the token says, if it is ours, unchanged, of this kind and of this time. Raises Unauthenticated."""
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            raise Unauthenticated("this is no token of ours")
        try:
            key = await self._key_of(jwt.get_unverified_header(token), use)
            payload = jwt.decode(
                token,
                _private(key.secret).public_key(),
                algorithms=[_ALGORITHM],
                issuer=self._issuer,
                audience=self._audiences[use],
                # Times are compared below, with our own clock.
                options={"require": _REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            claims = _Claims.model_validate(payload)
        except jwt.InvalidSignatureError as error:
            raise Unauthenticated("the token's signature is not ours: it was changed or forged") from error
        except jwt.InvalidAudienceError as error:
            raise Unauthenticated("the token is for another audience") from error
        except jwt.InvalidIssuerError as error:
            raise Unauthenticated("the token is from another issuer") from error
        except jwt.MissingRequiredClaimError as error:
            raise Unauthenticated(f"the token has no claim {error.claim}") from error
        except (jwt.InvalidTokenError, ValidationError) as error:
            raise Unauthenticated("this is no token of ours") from error
        if claims.token_use != use:
            raise _wrong_kind(use)
        self._check_times(claims)
        return claims

    async def _key_of(self, header: dict[str, Any], use: TokenUse) -> SigningKey:
        if header.get("alg") != _ALGORITHM:
            raise Unauthenticated(f"tokens are signed with {_ALGORITHM} and with nothing else")
        if header.get("typ") != _TYPES[use]:
            raise _wrong_kind(use)
        for keys in (self._keys.usable, self._keys.reload):
            for key in await keys():
                if key.key_id == header.get("kid"):
                    return key
        raise Unauthenticated("the token is signed with a key that is not ours, or not in use any more")

    def _check_times(self, claims: _Claims) -> None:
        now = self._clock.now().timestamp()
        if claims.exp <= now:
            raise Unauthenticated("the token has expired; refresh it or log in again")
        if claims.nbf > now + _CLOCK_SKEW.total_seconds():
            raise Unauthenticated("the token is not valid yet")

    async def _session_open(self, session_id: UUID) -> bool:
        now = self._clock.now()
        seen = self._seen_open.get(session_id)
        if seen is not None and now - seen < SESSION_CHECKED_FOR:
            return True
        if not await self._accounts.session_open(session_id, now):
            self._seen_open.pop(session_id, None)
            return False
        if len(self._seen_open) >= _SESSIONS_REMEMBERED:
            self._seen_open.clear()
        self._seen_open[session_id] = now
        return True


def _refuse_disabled(account: Account) -> None:
    if account.disabled:
        raise Unauthenticated("this account is disabled")


def _wrong_kind(use: TokenUse) -> Unauthenticated:
    return Unauthenticated(f"this is no {use} token; send the one that you were given as {use}_token")


def _new_key() -> str:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@lru_cache(maxsize=32)
def _private(pem: str) -> Ed25519PrivateKey:
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"a signing key is {type(key).__name__}, not Ed25519; run `nightledger keys rotate`")
    return key


def _public_jwk(key: SigningKey) -> dict[str, Any]:
    public = OKPAlgorithm.to_jwk(_private(key.secret).public_key(), as_dict=True)
    return {**public, "kid": key.key_id, "use": "sig", "alg": _ALGORITHM}
