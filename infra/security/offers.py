"""Offer tokens: Fernet (AES-128-CBC and HMAC-SHA256) over compressed JSON, so nobody else can read or make one."""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from commands.accounts import Accounts, SigningKey
from commands.ports import Clock, NewId
from commands.security import OfferExpired, OfferInvalid
from infra.security.keys import KeyRing

OFFER_LIFETIME = dt.timedelta(minutes=15)
_KEYS_KEPT_FOR = dt.timedelta(days=1)
"""Longer than an offer lives, so that one which is too old is called expired and not forged."""
_LONGEST_TOKEN = 16_384


class FernetOffers:
    """Offers that are good for ``lifetime``."""

    def __init__(
        self, accounts: Accounts, clock: Clock, new_id: NewId, lifetime: dt.timedelta = OFFER_LIFETIME
    ) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._keys = KeyRing(
            accounts,
            "offer",
            generate=lambda: Fernet.generate_key().decode(),
            keep_for=_KEYS_KEPT_FOR,
            clock=clock,
            new_id=new_id,
        )

    async def seal(self, offer: Mapping[str, Any]) -> str:
        """See Offers. Raises TypeError for what is not JSON."""
        newest, *_ = await self._keys.usable()
        packed = zlib.compress(orjson.dumps(dict(offer)))
        return Fernet(newest.secret).encrypt_at_time(packed, int(self._clock.now().timestamp())).decode()

    async def open(self, token: str) -> dict[str, Any]:
        """See Offers."""
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            raise _invalid()
        try:
            packed, made_at = _open(await self._keys.usable(), token)
        except InvalidToken:
            try:
                packed, made_at = _open(await self._keys.reload(), token)
            except InvalidToken as error:
                raise _invalid() from error
        if self._clock.now().timestamp() >= made_at + self._lifetime.total_seconds():
            minutes = int(self._lifetime.total_seconds() // 60)
            raise OfferExpired(f"the offer is older than {minutes} minutes; ask for offers again")
        offer: dict[str, Any] = orjson.loads(zlib.decompress(packed))
        return offer

    async def rotate_keys(self) -> str:
        """Seal with a new key from now on; offers that were made keep their time. Returns the key's id."""
        return (await self._keys.rotate()).key_id


def _open(keys: Sequence[SigningKey], token: str) -> tuple[bytes, int]:
    fernet = MultiFernet([Fernet(key.secret) for key in keys])
    return fernet.decrypt(token.encode()), fernet.extract_timestamp(token.encode())


def _invalid() -> OfferInvalid:
    return OfferInvalid("the offer token is not one of ours, or was changed; ask for offers again")
