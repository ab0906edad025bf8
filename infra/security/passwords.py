"""Password hashes: argon2id with the parameters that OWASP recommends, computed in threads beside the event loop."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from commands.security import PasswordRefused
from infra.security.common_passwords import COMMON_PASSWORDS

SHORTEST = 8
LONGEST = 128
_MEMORY_KIB = 19_456
_PASSES = 2
_LANES = 1


class Argon2Passwords:
    """Passwords. At most one hash per processor is computed at a time; the others wait."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="passwords")
        self._nobodys = self._hasher.hash(os.urandom(16))

    async def hash(self, password: str) -> str:
        """See Passwords."""
        _check(password)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, _bytes(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """See Passwords."""
        checked = password_hash or self._nobodys
        matches = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._matches, checked, _bytes(password[: LONGEST + 1])
        )
        return matches and password_hash is not None and len(password) <= LONGEST

    def needs_rehash(self, password_hash: str) -> bool:
        """See Passwords."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, password_hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def _check(password: str) -> None:
    if not SHORTEST <= len(password) <= LONGEST:
        raise _refused(f"must have {SHORTEST} to {LONGEST} characters")
    if password.lower() in COMMON_PASSWORDS:
        raise _refused("is one of the most common passwords; choose another")


def _refused(rule: str) -> PasswordRefused:
    return PasswordRefused(f"the password {rule}", errors=(("password", rule),))


def _bytes(password: str) -> bytes:
    """The same bytes for the same characters, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
