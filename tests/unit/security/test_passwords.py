"""Passwords: rules, hashes, and that an unknown account cannot be told by the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher, extract_parameters

from commands.security import PasswordRefused
from infra.security.common_passwords import COMMON_PASSWORDS
from infra.security.passwords import SHORTEST, Argon2Passwords


@pytest.fixture
def passwords() -> Iterator[Argon2Passwords]:
    passwords = Argon2Passwords()
    yield passwords
    passwords.close()


async def test_a_password_is_known_by_its_hash_and_another_is_not(passwords: Argon2Passwords) -> None:
    kept = await passwords.hash("correct horse")
    assert "correct" not in kept
    assert await passwords.verify(kept, "correct horse")
    assert not await passwords.verify(kept, "correct horsf")
    assert not await passwords.verify(kept, "")
    assert await passwords.hash("correct horse") != kept


async def test_hashes_are_argon2id_with_the_recommended_parameters(passwords: Argon2Passwords) -> None:
    kept = await passwords.hash("correct horse")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not passwords.needs_rehash(kept)
    weaker = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(b"correct horse")
    assert passwords.needs_rehash(weaker)
    assert await passwords.verify(weaker, "correct horse")
    assert extract_parameters(kept).hash_len >= 32


@pytest.mark.parametrize("password", ["", "1234567", "x" * 129, "password", "PASSWORD", "12345678", "Qwerty123"])
async def test_a_password_that_breaks_a_rule_is_refused_by_name(passwords: Argon2Passwords, password: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        await passwords.hash(password)
    assert refused.value.status == 400
    assert [field for field, _ in refused.value.errors] == ["password"]


@pytest.mark.parametrize("password", ["12ab34c!", "x" * 128, "pässwörter", "a\0bcdefgh", "a\ud800bcdefg", "🔑" * 8])
async def test_any_other_password_of_8_to_128_characters_will_do(passwords: Argon2Passwords, password: str) -> None:
    assert await passwords.verify(await passwords.hash(password), password)


async def test_characters_count_not_how_a_keyboard_composes_them(passwords: Argon2Passwords) -> None:
    kept = await passwords.hash("caf\u00e9 caf\u00e9")
    assert await passwords.verify(kept, "cafe\u0301 cafe\u0301")


async def test_text_after_the_limit_is_not_cut_off(passwords: Argon2Passwords) -> None:
    kept = await passwords.hash("x" * 128)
    assert not await passwords.verify(kept, "x" * 129)
    assert not await passwords.verify(kept, "x" * 1_000_000)


@pytest.mark.parametrize("kept", ["", "no hash", "$argon2id$v=19$m=19456,t=2,p=1$broken", "$2b$12$" + "a" * 53])
async def test_what_is_no_hash_matches_nothing(passwords: Argon2Passwords, kept: str) -> None:
    assert not await passwords.verify(kept, "correct horse")


async def test_an_unknown_account_takes_the_same_work(passwords: Argon2Passwords) -> None:
    kept = await passwords.hash("correct horse")
    known, unknown = [], []
    for _ in range(9):
        known.append(await _seconds(passwords, kept))
        unknown.append(await _seconds(passwords, None))
    # The fastest of several, because other processes may only ever slow one down.
    assert 0.5 < min(unknown) / min(known) < 2
    assert not await passwords.verify(None, "correct horse")


async def _seconds(passwords: Argon2Passwords, kept: str | None) -> float:
    began = time.perf_counter()
    await passwords.verify(kept, "wrong horse")
    return time.perf_counter() - began


async def test_the_event_loop_runs_on_meanwhile(passwords: Argon2Passwords) -> None:
    working = asyncio.gather(*(passwords.hash(f"correct horse {number}") for number in range(4)))
    turns = 0
    while not working.done():
        await asyncio.sleep(0)
        turns += 1
    await working
    assert turns > 100


def test_the_list_of_common_passwords_has_no_entry_that_the_length_refuses_already() -> None:
    assert {one for one in COMMON_PASSWORDS if len(one) < SHORTEST or one != one.lower()} == set()
