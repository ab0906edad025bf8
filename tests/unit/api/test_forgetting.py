"""Being forgotten over HTTP: who may ask, what it takes, and what is left to see."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.http.settings import HttpSettings, Limits
from commands.accounts import Role
from domain.account.events import AccountRegistered, GuestForgotten, PersonalDataErased
from infra.bootstrap.local import local_operator
from tests.unit.api.conftest import SETTINGS, World, book, offer_token, ok, open_hotel, refused, world_of
from tests.unit.api.fakes import Memory

EVE: dict[str, Any] = {"email": "eve@example.com", "password": "correct horse battery", "name": "Eve Elm"}
DEMO = UUID(int=4711)
PASSWORD = {"password": EVE["password"]}


async def ask(client: httpx.AsyncClient, body: Any = None) -> httpx.Response:
    return await client.request("DELETE", "/v1/me", json=body) if body is not None else await client.delete("/v1/me")


async def eve(world: World) -> httpx.AsyncClient:
    """Eve, who has just registered and logged in."""
    ok(await world.anonymous.post("/v1/auth/register", json=EVE), 201)
    login = {"email": EVE["email"], "password": EVE["password"]}
    tokens = ok(await world.anonymous.post("/v1/auth/login", json=login))
    world.anonymous.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    return world.anonymous


async def test_a_guest_is_forgotten_at_once_and_it_is_on_record(world: World) -> None:
    client = await eve(world)
    user_id = ok(await client.get("/v1/me"))["user_id"]
    answer = await ask(client)
    assert (answer.status_code, answer.content) == (204, b"")
    refused(await client.get("/v1/me"), 401, "unauthenticated")
    log = world.memory.fakes.streams["users"].log
    assert [type(each.event) for each in log] == [AccountRegistered, GuestForgotten, PersonalDataErased]
    assert {each.metadata.actor for each in log[:2]} == {f"user:{user_id}"}
    assert log[1].metadata.correlation_id.urn == f"urn:uuid:{answer.headers['x-request-id']}"
    assert log[2].metadata.causation_id == log[1].event_id
    assert "eve" not in "".join(each.event.model_dump_json() for each in log)


async def test_the_account_of_the_command_line_is_nobodys_to_forget(world: World) -> None:
    tokens = await local_operator(world.memory.platform)
    world.anonymous.headers["Authorization"] = f"Bearer {tokens.access_token}"
    refused(await ask(world.anonymous), 403, "forbidden")


async def test_the_same_address_begins_anew(world: World) -> None:
    owner = await world.as_("hotelier")
    hotel = await open_hotel(owner)
    client = await eve(world)
    booking = ok(await book(client, await offer_token(client, hotel["hotel_id"])), 201)
    assert (await ask(client)).status_code == 204
    del client.headers["Authorization"]
    anew = await eve(world)
    assert ok(await anew.get("/v1/bookings"))["items"] == []
    refused(await anew.get(booking["links"]["self"]), 404, "not-found")


async def test_the_booking_stays_without_a_name(world: World) -> None:
    owner = await world.as_("hotelier")
    hotel = await open_hotel(owner)
    client = await eve(world)
    guest = {"name": "Eve Elm", "email": "eve@example.com", "phone": "+351 21 000"}
    kept = ok(await book(client, await offer_token(client, hotel["hotel_id"]), guest=guest), 201)
    cancelled = ok(await book(client, await offer_token(client, hotel["hotel_id"]), guest=guest), 201)
    ok(await client.post(cancelled["links"]["cancellation"], json={"reason": "Eve Elm is ill"}), 202)
    assert ok(await owner.get(kept["links"]["self"]))["guest"] == guest | {"forgotten": False}
    assert ok(await owner.get(cancelled["links"]["self"]))["cancellation"]["reason"] == "Eve Elm is ill"
    events = [each.event.model_dump_json() for log in world.memory.fakes.streams.values() for each in log.log]
    assert not [event for event in events if "Elm" in event], "what people write is not in events"
    assert (await ask(client)).status_code == 204
    nobody = {"name": "forgotten guest", "email": None, "phone": None, "forgotten": True}
    for staff in (owner, await world.as_("operator")):
        for booking, status in ((kept, "confirmed"), (cancelled, "cancelled")):
            shown = ok(await staff.get(booking["links"]["self"]))
            assert (shown["status"], shown["guest"]) == (status, nobody)
            assert "Elm" not in (await staff.get(booking["links"]["history"])).text
    assert len(ok(await owner.get("/v1/bookings"))["items"]) == 2
    paid = ok(await (await world.as_("operator")).get(kept["links"]["payment"]))
    assert paid["captured"]["amount"] == "200.00"


@pytest.mark.parametrize("body", [{}, {"password": None}, {"password": 7}, {"password": "x" * 201}, [], {"why": "x"}])
async def test_a_body_that_is_none_changes_nothing(world: World, body: Any) -> None:
    client = await eve(world)
    refused(await ask(client, body), 400, "invalid-request")
    ok(await client.get("/v1/me"))


async def test_a_wrong_password_changes_nothing_and_a_right_one_will_do_at_any_time(world: World) -> None:
    client = await eve(world)
    refused(await ask(client, {"password": "wrong"}), 403, "password-wrong", "password")
    ok(await client.get("/v1/me"))
    world.memory.clock.advance(minutes=12)
    assert (await ask(client, PASSWORD)).status_code == 204


async def test_without_a_password_the_session_must_be_young(world: World) -> None:
    client = await eve(world)
    world.memory.clock.advance(minutes=11)
    answer = await ask(client)
    refused(answer, 401, "reauthentication-required")
    assert 'error="insufficient_user_authentication"' in answer.headers["www-authenticate"]
    assert 'max_age="600"' in answer.headers["www-authenticate"]
    ok(await client.get("/v1/me"))


async def test_nobody_is_forgotten_for_somebody_else(world: World) -> None:
    refused(await ask(world.anonymous), 401, "unauthenticated")
    client, other = await eve(world), await world.as_("guest")
    assert (await ask(other)).status_code == 204
    ok(await client.get("/v1/me"))


async def test_passwords_are_not_guessed(memory: Memory) -> None:
    async with world_of(memory, HttpSettings(limits=Limits(logins=3, commands=1_000))) as world:
        client = await world.as_("guest")
        for _ in range(3):
            refused(await ask(client, {"password": "wrong"}), 403, "password-wrong")
        refused(await ask(client, PASSWORD), 429, "too-many-requests")


@pytest.mark.parametrize("role", ["operator", "admin"])
async def test_the_last_who_can_operate_stays(world: World, role: Role) -> None:
    last = await world.as_(role)
    refused(await ask(last), 409, "last-of-staff")
    ok(await last.get("/v1/me"))
    await world.as_("operator")
    assert (await ask(last)).status_code == 204


async def test_hotels_stay_on_sale_in_the_hands_of_operators(world: World) -> None:
    owner = await world.as_("hotelier")
    hotel = await open_hotel(owner)
    assert (await ask(owner)).status_code == 204
    guest, operator = await world.as_("guest"), await world.as_("operator")
    assert ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)["status"] == "confirmed"
    ok(await operator.patch(f"/v1/hotels/{hotel['hotel_id']}", json={"name": "Renamed"}))
    assert ok(await guest.get(f"/v1/hotels/{hotel['hotel_id']}"))["name"] == "Renamed"


async def test_an_account_that_is_made_anew_under_its_id_is_forgotten_again(world: World) -> None:
    for _ in range(2):
        assert (await ask(await world.as_("guest", account_id=DEMO))).status_code == 204
        assert await world.memory.accounts.by_id(DEMO) is None
    events = world.memory.fakes.streams["users"].events(DEMO)
    assert [type(event) for event in events] == [GuestForgotten, PersonalDataErased] * 2


async def test_who_waits_too_long_is_told_that_it_is_under_way(memory: Memory) -> None:
    settings = HttpSettings(limits=SETTINGS.limits, erasure_wait=0.05)
    async with world_of(memory, settings) as world:
        client = await eve(world)
        user_id = ok(await client.get("/v1/me"))["user_id"]
        memory.hold_sagas = True
        assert ok(await ask(client), 202) == {"user_id": user_id, "status": "forgotten"}
        refused(await client.get("/v1/me"), 401, "unauthenticated")
        await memory.run_sagas()
        assert [type(each.event) for each in memory.fakes.streams["users"].log][-1] is PersonalDataErased


async def test_it_is_described(world: World) -> None:
    described = ok(await world.anonymous.get("/openapi.json"))["paths"]["/v1/me"]["delete"]
    assert {"202", "204"} <= described["responses"].keys()
    assert "Farewell" in json.dumps(described["requestBody"])
