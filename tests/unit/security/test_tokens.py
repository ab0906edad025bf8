"""Tokens: what they say, for how long, and everything that does not pass for one."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from commands.accounts import Account
from commands.security import TokenPair
from domain.shared.errors import Unauthenticated
from infra.security.tokens import TokenService
from tests.fake_accounts import MemoryAccounts
from tests.fakes import NOW, FakeClock, FakeIds

ISSUER, AUDIENCE = "https://nightledger.example", "nightledger-api"
ANN = Account(
    account_id=UUID(int=1_000),
    email="ann@example.org",
    name="Ann",
    phone=None,
    locale=None,
    roles=frozenset({"guest", "hotelier"}),
    password_hash="...",
    created_at=NOW,
)


class World:
    """A users service on a clock that stands still; Ann is registered."""

    def __init__(self, accounts: MemoryAccounts) -> None:
        self.accounts = accounts
        self.clock = FakeClock()
        self.new_id = FakeIds()
        self.tokens = self.another_process()

    def another_process(self) -> TokenService:
        return TokenService(self.accounts, self.clock, self.new_id, ISSUER, AUDIENCE)

    async def key(self) -> Ed25519PrivateKey:
        (newest, *_) = await self.accounts.signing_keys("access")
        key = jwt.algorithms.OKPAlgorithm().prepare_key(newest.secret)
        assert isinstance(key, Ed25519PrivateKey)
        return key

    async def forged(self, token: str, *, claims: Any = None, header: Any = None, key: Any = None) -> str:
        """The token with other claims or header (None removes one), properly signed with our own key unless told."""
        said = {**jwt.decode(token, options={"verify_signature": False}), **(claims or {})}
        headers = {**jwt.get_unverified_header(token), **(header or {})}
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            key or await self.key(),
            headers.pop("alg"),
            headers={name: value for name, value in headers.items() if value is not None},
        )


@pytest.fixture
async def world() -> World:
    accounts = MemoryAccounts()
    await accounts.register(ANN)
    return World(accounts)


@pytest.fixture
async def pair(world: World) -> TokenPair:
    return await world.tokens.issue(ANN)


def seconds(moment: dt.datetime) -> int:
    return int(moment.timestamp())


async def test_an_access_token_tells_who_asks(world: World, pair: TokenPair) -> None:
    principal = await world.tokens.verify(pair.access_token)
    claims = jwt.decode(pair.access_token, options={"verify_signature": False})
    assert principal.account_id == ANN.account_id
    assert principal.roles == ANN.roles
    assert (str(principal.session_id), principal.token_id) == (claims["sid"], claims["jti"])
    assert (pair.token_type, pair.expires_in) == ("Bearer", 900)
    now = seconds(NOW)
    assert claims == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(ANN.account_id),
        "sid": claims["sid"],
        "jti": claims["jti"],
        "iat": now,
        "nbf": now,
        "exp": now + 900,
        "token_use": "access",
        "roles": ["guest", "hotelier"],
        "auth_time": now,
    }
    assert principal.authenticated_at == NOW


async def test_anybody_can_verify_it_by_the_published_keys(world: World, pair: TokenPair) -> None:
    (published,) = (await world.tokens.jwks())["keys"]
    assert set(published) == {"kty", "crv", "x", "kid", "use", "alg"}  # and no private part
    assert published["kid"] == jwt.get_unverified_header(pair.access_token)["kid"]
    public: Any = OKPAlgorithm.from_jwk(json.dumps(published))
    unbound: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    said = jwt.decode(pair.access_token, public, ["EdDSA"], audience=AUDIENCE, issuer=ISSUER, options=unbound)
    assert said["sub"] == str(ANN.account_id)
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(pair.refresh_token, public, ["EdDSA"], audience=AUDIENCE, issuer=ISSUER, options=unbound)


async def test_it_is_good_for_15_minutes(world: World, pair: TokenPair) -> None:
    world.clock.advance(minutes=14, seconds=59)
    await world.tokens.verify(pair.access_token)
    world.clock.advance(seconds=1)
    with pytest.raises(Unauthenticated, match="expired"):
        await world.tokens.verify(pair.access_token)


async def test_neither_kind_passes_for_the_other(world: World, pair: TokenPair) -> None:
    with pytest.raises(Unauthenticated, match="no access token"):
        await world.tokens.verify(pair.refresh_token)
    with pytest.raises(Unauthenticated, match="no refresh token"):
        await world.tokens.refresh(pair.access_token)


@pytest.mark.parametrize(
    ("claims", "header", "sentence"),
    [
        ({"aud": "another-api"}, {}, "another audience"),
        ({"aud": ISSUER}, {}, "another audience"),
        ({"iss": "https://evil.example"}, {}, "another issuer"),
        ({"token_use": "refresh"}, {}, "no access token"),
        ({"token_use": "admin"}, {}, "no token of ours"),
        ({"sub": "root"}, {}, "no token of ours"),
        ({"roles": ["god"]}, {}, "no token of ours"),
        ({"exp": "tomorrow"}, {}, "no token of ours"),
        ({"nbf": seconds(NOW) + 31}, {}, "not valid yet"),
        ({"exp": seconds(NOW)}, {}, "expired"),
        ({}, {"typ": "JWT"}, "no access token"),
        ({}, {"typ": "rt+jwt"}, "no access token"),
        ({}, {"kid": "unknown"}, "key that is not ours"),
        ({}, {"kid": None}, "key that is not ours"),
    ],
)
async def test_a_token_with_another_claim_is_refused_though_well_signed(
    world: World, pair: TokenPair, claims: Any, header: Any, sentence: str
) -> None:
    with pytest.raises(Unauthenticated, match=sentence):
        await world.tokens.verify(await world.forged(pair.access_token, claims=claims, header=header))


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "exp", "iat", "nbf", "jti", "sid", "token_use"])
async def test_every_claim_is_required(world: World, pair: TokenPair, claim: str) -> None:
    with pytest.raises(Unauthenticated, match=claim):
        await world.tokens.verify(await world.forged(pair.access_token, claims={claim: None}))


async def test_what_our_key_signed_again_unchanged_passes(world: World, pair: TokenPair) -> None:
    # Otherwise the refusals above could have any cause.
    await world.tokens.verify(await world.forged(pair.access_token))


async def test_no_algorithm_but_ours(world: World, pair: TokenPair) -> None:
    public = (await world.tokens.jwks())["keys"][0]["x"]
    unsigned = _with_header(pair.access_token, lambda header: {**header, "alg": "none"}).rpartition(".")[0] + "."
    by_public_key = await world.forged(pair.access_token, header={"alg": "HS256"}, key=public)
    for token in (unsigned, by_public_key, _with_header(pair.access_token, lambda header: {**header, "alg": "HS256"})):
        with pytest.raises(Unauthenticated, match="signed with EdDSA and with nothing else"):
            await world.tokens.verify(token)


async def test_a_foreign_key_or_a_change_is_refused(world: World, pair: TokenPair) -> None:
    foreign = await world.forged(pair.access_token, key=Ed25519PrivateKey.generate())
    admin = _with_claims(pair.access_token, lambda claims: {**claims, "roles": ["admin"]})
    for token in (foreign, admin):
        with pytest.raises(Unauthenticated, match="changed or forged"):
            await world.tokens.verify(token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "....",
        "é.é.é",
        "\ud800.a.b",
        "x" * 5_000,
        "null",
        "bnVsbA.bnVsbA.bnVsbA",
        "W10.W10.W10",
        base64.urlsafe_b64encode(b"[" * 2_900).decode() + ".e30.e30",
        base64.urlsafe_b64encode(b'{"alg":"EdDSA","typ":"at+jwt","kid":' + b"[" * 2_800).decode() + ".e30.e30",
        base64.urlsafe_b64encode(b'{"alg":["EdDSA"],"typ":{},"kid":7}').decode() + ".e30.e30",
        base64.urlsafe_b64encode(b'{"alg":"EdDSA","typ":"at+jwt","kid":["a"]}').decode() + ".e30.e30",
        base64.urlsafe_b64encode(b'{"alg":"EdDSA","typ":"at+jwt","crit":["b64"],"b64":false}').decode() + ".e30.e30",
        base64.urlsafe_b64encode(b"\xff\xfe{}").decode() + ".e30.e30",
    ],
)
async def test_no_rubbish_does_anything_but_be_refused(world: World, pair: TokenPair, token: str) -> None:
    del pair
    for call in (world.tokens.verify, world.tokens.refresh):
        with pytest.raises(Unauthenticated):
            await call(token)


async def test_refreshing_replaces_both_tokens(world: World, pair: TokenPair) -> None:
    world.clock.advance(minutes=20)
    renewed = await world.tokens.refresh(pair.refresh_token)
    principal = await world.tokens.verify(renewed.access_token)
    assert principal.account_id == ANN.account_id
    assert len({pair.access_token, pair.refresh_token, renewed.access_token, renewed.refresh_token}) == 4
    await world.tokens.refresh(renewed.refresh_token)


async def test_a_refresh_token_used_twice_ends_the_session_for_thief_and_owner(world: World, pair: TokenPair) -> None:
    of_thief = await world.tokens.refresh(pair.refresh_token)
    await world.tokens.verify(of_thief.access_token)
    with pytest.raises(Unauthenticated, match="used before"):
        await world.tokens.refresh(pair.refresh_token)
    with pytest.raises(Unauthenticated, match="ended"):
        await world.tokens.refresh(of_thief.refresh_token)
    with pytest.raises(Unauthenticated, match="session has ended"):
        await world.tokens.verify(of_thief.access_token)


async def test_a_session_ends_after_30_days_however_often_renewed(world: World, pair: TokenPair) -> None:
    ends = NOW + dt.timedelta(days=30)
    for _ in range(29):
        world.clock.advance(days=1)
        pair = await world.tokens.refresh(pair.refresh_token)
        assert jwt.decode(pair.refresh_token, options={"verify_signature": False})["exp"] == seconds(ends)
    world.clock.advance(hours=23, minutes=55)
    last = await world.tokens.refresh(pair.refresh_token)
    assert last.expires_in == 300
    world.clock.advance(minutes=5)
    for call, token in ((world.tokens.refresh, last.refresh_token), (world.tokens.verify, last.access_token)):
        with pytest.raises(Unauthenticated, match="expired"):
            await call(token)


async def test_refreshing_takes_the_roles_of_now_and_refuses_the_disabled(world: World, pair: TokenPair) -> None:
    await world.accounts.update(replace(ANN, roles=frozenset({"operator"})))
    renewed = await world.tokens.refresh(pair.refresh_token)
    assert (await world.tokens.verify(renewed.access_token)).roles == {"operator"}
    disabled = replace(ANN, disabled=True)
    await world.accounts.update(disabled)
    with pytest.raises(Unauthenticated, match="disabled"):
        await world.tokens.refresh(renewed.refresh_token)
    with pytest.raises(Unauthenticated, match="disabled"):
        await world.tokens.issue(disabled)


async def test_a_token_of_an_account_that_is_gone_is_not_renewed(world: World) -> None:
    pair = await world.tokens.issue(ANN)
    await world.accounts.forget(ANN.account_id)
    with pytest.raises(Unauthenticated, match="does not exist"):
        await world.tokens.refresh(pair.refresh_token)
    with pytest.raises(Unauthenticated, match="does not exist"):
        await world.tokens.issue(ANN)


async def test_the_password_is_as_old_as_the_session_however_often_that_is_renewed(
    world: World, pair: TokenPair
) -> None:
    world.clock.advance(minutes=40)
    renewed = await world.tokens.refresh(pair.refresh_token)
    assert (await world.tokens.verify(renewed.access_token)).authenticated_at == NOW


async def test_logging_out_ends_this_session_at_once_and_no_other(world: World, pair: TokenPair) -> None:
    other = await world.tokens.issue(ANN)
    await world.tokens.logout(await world.tokens.verify(pair.access_token))
    for call, token in ((world.tokens.verify, pair.access_token), (world.tokens.refresh, pair.refresh_token)):
        with pytest.raises(Unauthenticated, match="ended"):
            await call(token)
    await world.tokens.verify(other.access_token)
    await world.tokens.revoke(ANN.account_id)
    with pytest.raises(Unauthenticated, match="ended"):
        await world.tokens.verify(other.access_token)


async def test_another_process_sees_a_logout_within_seconds(world: World, pair: TokenPair) -> None:
    elsewhere = world.another_process()
    principal = await elsewhere.verify(pair.access_token)
    await world.tokens.logout(principal)
    world.clock.advance(seconds=5)
    with pytest.raises(Unauthenticated, match="ended"):
        await elsewhere.verify(pair.access_token)


async def test_a_new_key_signs_and_the_old_one_verifies_until_its_last_session_ends(
    world: World, pair: TokenPair
) -> None:
    old_kid = jwt.get_unverified_header(pair.refresh_token)["kid"]
    world.clock.advance(days=1)
    late = await world.tokens.issue(ANN)
    new_kid = await world.tokens.rotate_keys()
    assert [key["kid"] for key in (await world.tokens.jwks())["keys"]] == [new_kid, old_kid]
    renewed = await world.tokens.refresh(pair.refresh_token)
    assert jwt.get_unverified_header(renewed.access_token)["kid"] == new_kid
    world.clock.advance(days=29, hours=23)
    await world.tokens.refresh(late.refresh_token)
    world.clock.advance(hours=2)
    assert [key["kid"] for key in (await world.tokens.jwks())["keys"]] == [new_kid]


async def test_other_processes_verify_what_a_new_key_signed_at_once_and_sign_with_it_soon(world: World) -> None:
    elsewhere = world.another_process()
    await elsewhere.issue(ANN)
    world.clock.advance(seconds=2)
    kid = await world.tokens.rotate_keys()
    signed = await world.tokens.issue(ANN)
    await elsewhere.verify(signed.access_token)
    world.clock.advance(seconds=60)
    assert jwt.get_unverified_header((await elsewhere.issue(ANN)).access_token)["kid"] == kid


async def test_tokens_with_made_up_keys_cost_no_query_each(world: World, pair: TokenPair) -> None:
    await world.tokens.verify(pair.access_token)
    before = world.accounts.reads_of_keys
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await world.tokens.verify(await _unknown_kid(pair.access_token, number))
    assert world.accounts.reads_of_keys - before <= 1


async def test_processes_that_start_at_once_verify_each_others_tokens(world: World) -> None:
    processes = [world.another_process() for _ in range(4)]
    pairs = await asyncio.gather(*(process.issue(ANN) for process in processes))
    world.clock.advance(seconds=1)
    for process in processes:
        for pair in pairs:
            await process.verify(pair.access_token)


async def _unknown_kid(token: str, number: int) -> str:
    return _with_header(token, lambda header: {**header, "kid": f"made-up-{number}"})


def _with_header(token: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
    header, claims, signature = token.split(".")
    return f"{_encoded(change(_decoded(header)))}.{claims}.{signature}"


def _with_claims(token: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
    header, claims, signature = token.split(".")
    return f"{header}.{_encoded(change(_decoded(claims)))}.{signature}"


def _decoded(part: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return said


def _encoded(said: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
