"""The keys of one purpose: the newest is used, older ones are good for as long as what they made may live."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Literal

from commands.accounts import Accounts, SigningKey
from commands.ports import Clock, NewId

FRESH_FOR = dt.timedelta(seconds=60)
"""A key that another process has made is used here after this long at the latest."""
_RELOADS_APART = dt.timedelta(seconds=1)
"""Tokens with unknown keys are anybody's to send: they may not cost a query each."""


class KeyRing:
    """Keys kept by ``accounts``. ``generate`` makes a new secret; ``keep_for`` is how long a replaced key is good."""

    def __init__(
        self,
        accounts: Accounts,
        purpose: Literal["access", "offer"],
        *,
        generate: Callable[[], str],
        keep_for: dt.timedelta,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._accounts = accounts
        self._purpose: Literal["access", "offer"] = purpose
        self._generate = generate
        self._keep_for = keep_for
        self._clock = clock
        self._new_id = new_id
        self._keys: Sequence[SigningKey] = ()
        self._loaded_at: dt.datetime | None = None
        self._loading = asyncio.Lock()

    async def usable(self) -> Sequence[SigningKey]:
        """Newest first, never empty: the first call ever makes the first key."""
        await self._load(FRESH_FOR)
        return self._keys

    async def reload(self) -> Sequence[SigningKey]:
        """Like ``usable``, after a look whether another process has made a key."""
        await self._load(_RELOADS_APART)
        return self._keys

    async def rotate(self) -> SigningKey:
        """Make a new key, which is used from now on."""
        key = SigningKey(self._new_id().hex, self._purpose, self._generate(), self._clock.now())
        await self._accounts.add_signing_key(key)
        self._loaded_at = None
        return key

    async def _load(self, max_age: dt.timedelta) -> None:
        async with self._loading:
            now = self._clock.now()
            if self._loaded_at is not None and now - self._loaded_at < max_age:
                return
            keys = await self._accounts.signing_keys(self._purpose)
            if not keys:
                await self.rotate()
                keys = await self._accounts.signing_keys(self._purpose)
            replaced = [newer.created_at for newer in keys[:-1]]
            kept = [key for key, at in zip(keys[1:], replaced, strict=True) if now < at + self._keep_for]
            self._keys = (keys[0], *kept)
            self._loaded_at = now
