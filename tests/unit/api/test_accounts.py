"""Accounts over HTTP: who comes in, and who does not."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from api.http.settings import HttpSettings, Limits
from tests.unit.api.conftest import World, ok, refused, world_of
from tests.unit.api.fakes import Memory

EVE: dict[str, Any] = {"email": "eve@example.com", "password": "correct horse battery", "name": "Eve"}
LOGIN = {"email": EVE["email"], "password": EVE["password"]}


async def test_register_log_in_refresh_log_out(world: World) -> None:
    client = world.anonymous
    user_id = ok(await client.post("/v1/auth/register", json=EVE | {"locale": "de-AT"}), 201)["user_id"]
    tokens = ok(await client.post("/v1/auth/login", json=LOGIN))
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] > 0
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    fresh = ok(await client.post("/v1/auth/token", data=form))
    client.headers["Authorization"] = f"Bearer {fresh['access_token']}"
    me = ok(await client.get("/v1/me"))
    assert (me["user_id"], me["roles"], me["locale"]) == (user_id, ["guest"], "de-AT")
    assert (await client.post("/v1/auth/logout")).status_code == 204
    refused(await client.get("/v1/me"), 401, "unauthenticated")


async def test_a_refresh_token_is_good_for_one_use(world: World) -> None:
    client = world.anonymous
    ok(await client.post("/v1/auth/register", json=EVE), 201)
    tokens = ok(await client.post("/v1/auth/login", json=LOGIN))
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    ok(await client.post("/v1/auth/token", data=form))
    assert ok(await client.post("/v1/auth/token", data=form), 400)["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": ["refresh_token", "refresh_token"], "refresh_token": "x"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "\0\u20ac" * 100}, "invalid_grant"),
    ],
)
async def test_wrong_grants(world: World, form: dict[str, Any], error: str) -> None:
    answer = await world.anonymous.post(
        "/v1/auth/token", data=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert ok(answer, 400)["error"] == error


async def test_failures_to_log_in_look_the_same(world: World) -> None:
    client = world.anonymous
    ok(await client.post("/v1/auth/register", json=EVE), 201)
    wrong = await client.post("/v1/auth/login", json=LOGIN | {"password": "wrong"})
    unknown = await client.post("/v1/auth/login", json=LOGIN | {"email": "nobody@example.com"})
    odd = await client.post("/v1/auth/login", json=LOGIN | {"email": "not an address"})
    problems = [refused(answer, 401, "unauthenticated") for answer in (wrong, unknown, odd)]
    assert len({json.dumps(problem | {"instance": ""}) for problem in problems}) == 1
    assert world.memory.passwords.verified == ["plain:correct horse battery", None, None]


async def test_an_address_is_taken_once(world: World) -> None:
    ok(await world.anonymous.post("/v1/auth/register", json=EVE), 201)
    again = await world.anonymous.post("/v1/auth/register", json=EVE | {"email": "EVE@example.com"})
    refused(again, 409, "email-taken")


@pytest.mark.parametrize("email", ["ada@xn--mnchen-3ya.de", "Ada@M\u00dcNCHEN.de", "a\u0308da@example.com"])
async def test_who_registers_with_an_address_logs_in_with_it(world: World, email: str) -> None:
    ok(await world.anonymous.post("/v1/auth/register", json=EVE | {"email": email}), 201)
    ok(await world.anonymous.post("/v1/auth/login", json=LOGIN | {"email": email}))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b"}, "email"),
        ({"email": f"{'a' * 300}@example.com"}, "email"),
        ({"password": "short"}, "password"),
        ({"name": " "}, "name"),
        ({"name": "a" * 201}, "name"),
        ({"name": None}, "name"),
        ({"phone": "12"}, "phone"),
        ({"locale": "../etc"}, "locale"),
        ({"roles": ["admin"]}, "roles"),
        ({"account_id": "1"}, "account_id"),
    ],
)
async def test_what_is_wrong_with_a_registration_is_named(world: World, changes: dict[str, Any], field: str) -> None:
    refused(await world.anonymous.post("/v1/auth/register", json=EVE | changes), 400, "invalid-request", field)


async def test_details_are_changed(world: World) -> None:
    client = await world.as_("guest")
    assert ok(await client.patch("/v1/me", json={"name": "Eva", "phone": "+351 21 000"}))["name"] == "Eva"
    assert ok(await client.patch("/v1/me", json={"phone": None}))["phone"] is None
    assert ok(await client.get("/v1/me"))["name"] == "Eva"
    for changes in ({"roles": ["admin"]}, {"email": "x@example.com"}, {"name": ""}, {"name": None}):
        refused(await client.patch("/v1/me", json=changes), 400, "invalid-request")


async def test_tokens_that_are_none(world: World) -> None:
    client = await world.as_("operator")
    good = client.headers["Authorization"].removeprefix("Bearer ")
    header, payload, signature = good.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    ok(await world.anonymous.post("/v1/auth/register", json=EVE), 201)
    refresh = ok(await world.anonymous.post("/v1/auth/login", json=LOGIN))["refresh_token"]
    wrong = [
        "",
        "Bearer",
        "Bearer ",
        good,
        f"Basic {good}",
        f"Bearer {unsigned}.{payload}.",
        f"Bearer {unsigned}.{payload}.{signature}",
        f"Bearer {header}.{payload}.{signature[:-4]}AAAA",
        f"Bearer {refresh}",
        f"Bearer {good} {good}",
        "Bearer " + "a" * 9000,
        "Bearer \xff\xfe",
    ]
    for value in wrong:
        answer = await world.anonymous.get("/v1/ops/projections", headers={b"Authorization": value.encode("latin-1")})
        refused(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    twice = [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {good}")]
    refused(await world.anonymous.get("/v1/me", headers=twice), 401, "unauthenticated")
    world.memory.clock.advance(hours=1)
    refused(await client.get("/v1/me"), 401, "unauthenticated")


async def test_nothing_but_the_token_identifies_anybody(world: World) -> None:
    forged = {"X-User-ID": str(uuid4()), "X-Forwarded-User": "admin", "Cookie": "user=admin", "X-Roles": "admin"}
    refused(await world.anonymous.get("/v1/me", headers=forged), 401, "unauthenticated")
    guest = await world.as_("guest")
    refused(await guest.get("/v1/ops/projections", headers=forged), 403, "forbidden")


async def test_keys_and_metadata_are_public(world: World) -> None:
    keys = ok(await world.anonymous.get("/.well-known/jwks.json"))["keys"]
    assert keys
    assert all("d" not in key for key in keys)
    metadata = ok(await world.anonymous.get("/.well-known/oauth-authorization-server"))
    assert metadata["token_endpoint"].endswith("/v1/auth/token")


async def test_attempts_to_log_in_are_limited_by_the_real_address(memory: Memory) -> None:
    settings = HttpSettings(limits=Limits(logins=3, commands=2))
    async with world_of(memory, settings) as world:
        for number in range(3):
            forged = {"X-Forwarded-For": f"10.0.0.{number}"}
            refused(await world.anonymous.post("/v1/auth/login", json=LOGIN, headers=forged), 401, "unauthenticated")
        answer = await world.anonymous.post("/v1/auth/login", json=LOGIN, headers={"X-Forwarded-For": "10.0.0.9"})
        refused(answer, 429, "too-many-requests")
        assert int(answer.headers["retry-after"]) >= 1
        guest = await world.as_("guest")
        for _ in range(2):
            ok(await guest.patch("/v1/me", json={"name": "Eva"}))
        refused(await guest.patch("/v1/me", json={"name": "Eva"}), 429, "too-many-requests")
        ok(await guest.get("/v1/me"))
        ok(await (await world.as_("guest")).patch("/v1/me", json={"name": "Eva"}))
