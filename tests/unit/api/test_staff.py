"""What operators do about accounts and keys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest

from api.cli.users import RoleName
from commands.accounts import ROLES
from tests.unit.api.conftest import World, offer_token, ok, open_hotel, refused

NEW = {"email": "ottokar@example.com", "name": "Ottokar", "roles": ["hotelier"], "why": "a new hotel"}


@pytest.fixture
async def operator(world: World) -> httpx.AsyncClient:
    return await world.as_("operator")


async def test_an_account_is_made_with_the_roles_and_a_password_that_is_told_once(
    world: World, operator: httpx.AsyncClient
) -> None:
    answer = await operator.post("/v1/ops/users", json=NEW)
    assert answer.headers["Cache-Control"] == "no-store"
    made = ok(answer, 201)
    assert made["roles"] == ["hotelier"]
    login = {"email": NEW["email"], "password": made["password"]}
    tokens = ok(await world.anonymous.post("/v1/auth/login", json=login))
    me = ok(await world.anonymous.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"}))
    assert (me["user_id"], me["name"], me["roles"]) == (made["user_id"], "Ottokar", ["hotelier"])


async def test_a_password_that_is_given_is_taken_and_not_told(world: World, operator: httpx.AsyncClient) -> None:
    password = "correct horse battery staple"
    made = ok(await operator.post("/v1/ops/users", json=NEW | {"password": password}), 201)
    assert made["password"] is None
    ok(await world.anonymous.post("/v1/auth/login", json={"email": NEW["email"], "password": password}))


async def test_what_is_on_record_names_the_account_and_not_the_person(
    world: World, operator: httpx.AsyncClient
) -> None:
    made = ok(await operator.post("/v1/ops/users", json=NEW), 201)
    refused(await operator.post("/v1/ops/users", json=NEW | {"roles": ["analyst", "guest"]}), 409, "email-taken")
    items = ok(await operator.get("/v1/ops/actions"))["items"]
    told = [(each["action"], each["target"], each["why"], each["outcome"]) for each in items]
    assert told[1] == ("users.create", "hotelier", "a new hotel", {"user_id": made["user_id"]})
    assert told[0][:2] == ("users.create", "analyst, guest")
    assert list(told[0][3]) == ["refused"]
    assert "ottokar" not in str(items).lower()
    [registered] = await world.memory.platform.logs["users"].read_stream(UUID(made["user_id"]))
    me = ok(await operator.get("/v1/me"))
    assert registered.metadata.actor == f"user:{me['user_id']}"


@pytest.mark.parametrize(
    "wrong", [{"roles": []}, {"roles": ["king"]}, {"email": "ottokar"}, {"name": ""}, {"password": "short"}]
)
async def test_what_makes_no_account_is_refused(operator: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    refused(await operator.post("/v1/ops/users", json=NEW | wrong), 400, "invalid-request")


@pytest.mark.parametrize("role", ["guest", "hotelier", "analyst"])
async def test_only_operators_make_accounts_and_keys(world: World, role: Any) -> None:
    client = await world.as_(role)
    refused(await client.post("/v1/ops/users", json=NEW), 403, "forbidden")
    refused(await client.post("/v1/ops/keys/rotate"), 403, "forbidden")


def test_the_command_line_knows_every_role() -> None:
    assert tuple(RoleName) == ROLES


async def test_new_keys_sign_and_what_old_ones_signed_stays_good(world: World, operator: httpx.AsyncClient) -> None:
    hotel = await open_hotel(await world.as_("hotelier"))
    token = await offer_token(operator, hotel["hotel_id"])
    world.memory.clock.advance(seconds=1)
    rotated = ok(await operator.post("/v1/ops/keys/rotate", json={"why": "once a year"}))
    keys = ok(await world.anonymous.get("/.well-known/jwks.json"))["keys"]
    assert [keys[0]["kid"], len(keys)] == [rotated["access_key_id"], 2]
    newcomer = await world.as_("guest")
    header = jwt.get_unverified_header(newcomer.headers["Authorization"].removeprefix("Bearer "))
    assert header["kid"] == rotated["access_key_id"]
    assert ok(await operator.get("/v1/me"))
    assert (await world.memory.platform.offers.open(token))["hotel_id"] == hotel["hotel_id"]
    [action] = ok(await operator.get("/v1/ops/actions"))["items"]
    outcome = {name: rotated[name] for name in ("access_key_id", "offer_key_id")}
    assert (action["action"], action["why"], action["outcome"]) == ("keys.rotate", "once a year", outcome)
