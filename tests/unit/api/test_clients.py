"""Machine clients: an operator lets them in, and they get tokens for their id and secret."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import httpx
import pytest

from tests.unit.api.conftest import World, ok, refused

NEW = {"name": "Nightly reports", "roles": ["analyst"], "why": "for the warehouse"}
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
async def operator(world: World) -> httpx.AsyncClient:
    return await world.as_("operator")


@pytest.fixture
async def client(operator: httpx.AsyncClient) -> dict[str, Any]:
    made: dict[str, Any] = ok(await operator.post("/v1/ops/clients", json=NEW), 201)
    return made


def basic(client_id: str, secret: str) -> dict[str, str]:
    said = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
    return {"Authorization": f"Basic {base64.b64encode(said).decode()}"}


async def token(world: World, client: dict[str, Any], **more: str) -> httpx.Response:
    headers = basic(client["client_id"], client["client_secret"])
    return await world.anonymous.post("/v1/auth/token", data=GRANT | more, headers=headers)


async def test_a_machine_asks_in_its_own_name(world: World, client: dict[str, Any]) -> None:
    assert client["roles"] == ["analyst"]
    answer = await token(world, client)
    given = ok(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(given) == {"access_token", "token_type", "expires_in"}, "it asks again, and renews nothing"
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    me = ok(await world.anonymous.get("/v1/me", headers=bearer))
    assert (me["user_id"], me["name"], me["roles"]) == (client["client_id"], "Nightly reports", ["analyst"])
    period = {"from": "2026-01-01", "to": "2026-02-01"}
    assert (await world.anonymous.get("/v1/analytics/monthly", params=period, headers=bearer)).status_code != 403
    refused(await world.anonymous.get("/v1/ops/sagas", headers=bearer), 403, "forbidden")


async def test_id_and_secret_may_be_in_the_form(world: World, client: dict[str, Any]) -> None:
    form = GRANT | {name: client[name] for name in ("client_id", "client_secret")}
    ok(await world.anonymous.post("/v1/auth/token", data=form))
    both = await world.anonymous.post("/v1/auth/token", data=form, headers=basic(client["client_id"], "x"))
    assert ok(both, 400)["error"] == "invalid_request"


async def test_failures_look_the_same(world: World, operator: httpx.AsyncClient, client: dict[str, Any]) -> None:
    person = ok(await operator.get("/v1/me"))
    tried = [
        basic(client["client_id"], "wrong"),
        basic(str(uuid4()), client["client_secret"]),
        basic("nobody", client["client_secret"]),
        basic(person["user_id"], "correct horse battery"),
    ]
    answers = [await world.anonymous.post("/v1/auth/token", data=GRANT, headers=headers) for headers in tried]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Basic realm="nightledger"'}
    assert len({answer.text for answer in answers}) == 1
    assert [hashed is None for hashed in world.memory.passwords.verified] == [False, True, True, True]


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        ({}, {}, 401, "invalid_client"),
        ({"client_id": "x"}, {}, 401, "invalid_client"),
        ({"client_id": ["x", "y"], "client_secret": "z"}, {}, 401, "invalid_client"),
        ({}, {"Authorization": "Bearer x"}, 401, "invalid_client"),
        ({}, {"Authorization": "Basic ???"}, 401, "invalid_client"),
        ({}, {"Authorization": "Basic /w=="}, 401, "invalid_client"),
        ({}, {"Authorization": "Basic bm8="}, 401, "invalid_client"),
        ({"scope": "all"}, basic("x", "y"), 400, "invalid_scope"),
    ],
)
async def test_requests_that_make_no_sense(
    world: World, form: dict[str, Any], headers: dict[str, str], status: int, error: str
) -> None:
    answer = await world.anonymous.post("/v1/auth/token", data=GRANT | form, headers=headers)
    assert ok(answer, status)["error"] == error


async def test_a_machine_does_not_log_in_as_a_person(world: World, client: dict[str, Any]) -> None:
    login = {"email": f"client-{client['client_id']}@localhost", "password": client["client_secret"]}
    refused(await world.anonymous.post("/v1/auth/login", json=login), 401, "unauthenticated")


async def test_a_client_that_is_revoked_is_let_in_no_more(
    world: World, operator: httpx.AsyncClient, client: dict[str, Any]
) -> None:
    bearer = {"Authorization": f"Bearer {ok(await token(world, client))['access_token']}"}
    path = f"/v1/ops/clients/{client['client_id']}/revoke"
    assert ok(await operator.post(path, json={"why": "it was stolen"}))["client_id"] == client["client_id"]
    assert ok(await token(world, client), 401)["error"] == "invalid_client"
    refused(await world.anonymous.get("/v1/me", headers=bearer), 401, "unauthenticated")
    person = ok(await operator.get("/v1/me"))["user_id"]
    for nobody in (person, str(uuid4())):
        refused(await operator.post(f"/v1/ops/clients/{nobody}/revoke"), 404, "not-found")
    told = [(each["action"], each["why"]) for each in ok(await operator.get("/v1/ops/actions"))["items"]]
    assert told[2:] == [("clients.revoke", "it was stolen"), ("clients.create", "for the warehouse")]
    assert client["client_secret"] not in str(told)


async def test_operators_see_who_was_let_in(operator: httpx.AsyncClient, client: dict[str, Any]) -> None:
    ok(await operator.post(f"/v1/ops/clients/{client['client_id']}/revoke"))
    other = ok(await operator.post("/v1/ops/clients", json=NEW | {"name": "Channel manager"}), 201)
    answer = ok(await operator.get("/v1/ops/clients"))
    assert {each["name"]: (each["client_id"], each["revoked"]) for each in answer["items"]} == {
        "Nightly reports": (client["client_id"], True),
        "Channel manager": (other["client_id"], False),
    }
    assert "secret" not in str(answer)


async def test_only_operators_let_machines_in(world: World) -> None:
    for role in ("guest", "hotelier", "analyst"):
        refused(await (await world.as_(role)).post("/v1/ops/clients", json=NEW), 403, "forbidden")


@pytest.mark.parametrize("wrong", [{"roles": []}, {"roles": ["king"]}, {"name": " "}, {"secret": "x"}])
async def test_clients_that_make_no_sense(operator: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    refused(await operator.post("/v1/ops/clients", json=NEW | wrong), 400, "invalid-request")


async def test_the_metadata_says_so(world: World) -> None:
    told = ok(await world.anonymous.get("/.well-known/oauth-authorization-server"))
    assert "client_credentials" in told["grant_types_supported"]
    assert {"client_secret_basic", "client_secret_post"} <= set(told["token_endpoint_auth_methods_supported"])
