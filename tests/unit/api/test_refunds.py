"""What operators give back out of goodwill, over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import uuid4

import httpx
import pytest

from commands.payment_provider import ProviderTimeout
from tests.unit.api.conftest import CHECK_IN, World, book, offer_token, ok, open_hotel, refused

OWNER, GUEST = uuid4(), uuid4()


@pytest.fixture
async def booking(world: World) -> dict[str, Any]:
    """A booking of 200.00 EUR, prepaid, whose stay has begun without its guest."""
    hotel = await open_hotel(await world.as_("hotelier", account_id=OWNER))
    guest = await world.as_("guest", account_id=GUEST)
    made: dict[str, Any] = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    arrival = dt.datetime.combine(CHECK_IN, dt.time(16), dt.UTC)
    world.memory.clock.advance(seconds=(arrival - world.memory.clock.now()).total_seconds())
    return made


async def missed(world: World, booking: dict[str, Any]) -> str:
    """The path of the refunds, after the no-show."""
    ok(await (await world.as_("hotelier", account_id=OWNER)).post(f"{booking['links']['self']}/no-show"))
    return f"{booking['payment']['href']}/refunds"


def asking(amount: str = "50.00", currency: str = "EUR") -> dict[str, Any]:
    return {"amount": {"amount": amount, "currency": currency}, "reason": "her flight was cancelled"}


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key or uuid4().hex})


async def test_an_operator_gives_back_a_part_and_then_the_rest(world: World, booking: dict[str, Any]) -> None:
    path, operator = await missed(world, booking), await world.as_("operator")
    first = ok(await post(operator, path, asking()), 201)
    assert (first["status"], first["refunded"]["amount"]) == ("partially_refunded", "50.00")
    rest = ok(await post(operator, path, asking("150.00")), 201)
    assert (rest["status"], rest["refunded"]["amount"]) == ("refunded", "200.00")
    refused(await post(operator, path, asking("0.01")), 409, "amount-exceeded")
    history = ok(await operator.get(booking["links"]["history"]))["items"]
    asked = [item for item in history if item["what"].endswith("RefundRequested")]
    assert [item["details"]["reason"] for item in asked] == ["her flight was cancelled"] * 2
    guest = await world.as_("guest", account_id=GUEST)
    assert ok(await guest.get(booking["payment"]["href"])) == rest


async def test_the_same_key_gives_back_once(world: World, booking: dict[str, Any]) -> None:
    path, operator = await missed(world, booking), await world.as_("operator")
    for _ in range(2):
        assert ok(await post(operator, path, asking(), "once"), 201)["refunded"]["amount"] == "50.00"
    refused(await operator.post(path, json=asking()), 400, "idempotency-key-required")


async def test_a_provider_that_does_not_answer_is_asked_again(
    world: World, booking: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, operator = await missed(world, booking), await world.as_("operator")
    with monkeypatch.context() as away:

        async def silent(*_: object) -> None:
            raise ProviderTimeout("no answer")

        away.setattr(world.memory.provider, "refund", silent)
        refused(await post(operator, path, asking("200.00"), "again"), 503, "service-unavailable")
    assert ok(await operator.get(booking["payment"]["href"]))["refunded"]["amount"] == "0.00"
    refused(await post(operator, path, asking("200.00"), "again"), 409, "request-in-flight")
    world.memory.logs["payments"].claims.clear()  # as it is after a while
    answer = await post(operator, path, asking("200.00"), "again")
    assert ok(answer, 201)["refunded"]["amount"] == "200.00"


async def test_only_operators_and_only_when_nothing_can_be_cancelled(world: World, booking: dict[str, Any]) -> None:
    path, operator = f"{booking['payment']['href']}/refunds", await world.as_("operator")
    refused(await post(operator, path, asking()), 409, "illegal-transition")
    await missed(world, booking)
    for client in (await world.as_("guest", account_id=GUEST), await world.as_("hotelier", account_id=OWNER)):
        refused(await post(client, path, asking()), 403, "forbidden")
    refused(await post(operator, f"/v1/payments/{uuid4()}/refunds", asking()), 404, "not-found")
    assert ok(await operator.get(booking["payment"]["href"]))["refunded"]["amount"] == "0.00"


@pytest.mark.parametrize(
    "body", [asking("0.00"), asking("1.001"), asking("1.00", "USD"), asking() | {"reason": " "}, asking("-1.00")]
)
async def test_refunds_that_make_no_sense(world: World, booking: dict[str, Any], body: dict[str, Any]) -> None:
    path, operator = await missed(world, booking), await world.as_("operator")
    answer = await post(operator, path, body)
    assert answer.status_code in {400, 409, 422}, answer.text
    assert ok(await operator.get(booking["payment"]["href"]))["refunded"]["amount"] == "0.00"
