"""Offer tokens: they carry an offer to the client and back, unread and unchanged, for a quarter of an hour."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.fernet import Fernet

from commands.security import OfferExpired, OfferInvalid
from infra.security.offers import FernetOffers
from tests.fake_accounts import MemoryAccounts
from tests.fakes import FakeClock, FakeIds

OFFER: dict[str, Any] = {
    "hotel_id": "6f9e…",
    "nightly": [{"date": "2026-07-01", "amount_minor": 12_345}] * 90,
    "rooms": 1,
    "note": None,
}


class World:
    def __init__(self) -> None:
        self.accounts = MemoryAccounts()
        self.clock = FakeClock()
        self.ids = FakeIds()
        self.offers = self.another_process()

    def another_process(self) -> FernetOffers:
        return FernetOffers(self.accounts, self.clock, self.ids)


@pytest.fixture
def world() -> World:
    return World()


async def test_an_offer_comes_back_as_it_was(world: World) -> None:
    token = await world.offers.seal(OFFER)
    assert await world.offers.open(token) == OFFER
    assert await world.another_process().open(token) == OFFER


async def test_a_token_is_short_and_tells_nothing(world: World) -> None:
    token = await world.offers.seal(OFFER)
    assert len(token) < 1_000
    assert token.isascii()
    assert b"hotel_id" not in base64.urlsafe_b64decode(token)
    assert await world.offers.seal(OFFER) != token


async def test_it_is_good_for_15_minutes(world: World) -> None:
    token = await world.offers.seal(OFFER)
    world.clock.advance(minutes=14, seconds=59)
    assert await world.offers.open(token) == OFFER
    world.clock.advance(seconds=1)
    with pytest.raises(OfferExpired, match="15 minutes") as expired:
        await world.offers.open(token)
    assert (expired.value.problem, expired.value.status) == ("offer-expired", 422)


async def test_any_changed_character_is_noticed(world: World) -> None:
    token = await world.offers.seal({"amount_minor": 100})
    # The last characters of base64 may carry bits that mean nothing.
    for place in range(len(token) - 4):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(OfferInvalid) as invalid:
            await world.offers.open(changed)
        assert (invalid.value.problem, invalid.value.status) == ("offer-invalid", 422)


@pytest.mark.parametrize("token", ["", "x", "é", "\ud800", "a.b.c", "A" * 20_000, "gAAAAA==", " ", "\0"])
async def test_rubbish_is_refused(world: World, token: str) -> None:
    with pytest.raises(OfferInvalid):
        await world.offers.open(token)


async def test_nobody_elses_key_makes_an_offer(world: World) -> None:
    await world.offers.seal(OFFER)
    forged = Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
    with pytest.raises(OfferInvalid):
        await world.offers.open(forged)


async def test_a_new_key_seals_and_old_offers_keep_their_time(world: World) -> None:
    elsewhere = world.another_process()
    old = await elsewhere.seal(OFFER)
    world.clock.advance(minutes=5)
    await world.offers.rotate_keys()
    new = await world.offers.seal({"new": True})
    assert await world.offers.open(old) == OFFER
    assert await elsewhere.open(new) == {"new": True}
    world.clock.advance(minutes=10)
    with pytest.raises(OfferExpired):
        await world.offers.open(old)


async def test_a_key_that_was_replaced_yesterday_is_used_no_more(world: World) -> None:
    old = await world.offers.seal(OFFER)
    await world.offers.rotate_keys()
    world.clock.advance(days=1)
    with pytest.raises(OfferInvalid):
        await world.offers.open(old)


async def test_an_offer_that_is_no_json_is_refused_when_it_is_made(world: World) -> None:
    with pytest.raises(TypeError):
        await world.offers.seal({"what": object()})
