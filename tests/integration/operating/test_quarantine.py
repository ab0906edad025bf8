"""Sagas that fail in a way that nobody planned: seen, retried and compensated over the API, and the books balance."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.booking.events import BookingRequested
from domain.payment.events import PaymentAuthorised
from sagas import booking as booking_saga
from sagas.booking import BOOKING_SAGA, Told
from tests.e2e.running import ok
from tests.e2e.stories import book, offer, open_hotel, until
from tests.integration.conftest import World, wrong

MISTAKE = "KeyError: 'a mistake in the code'"


def _fails(*_: object) -> Told:
    raise KeyError("a mistake in the code")


async def test_what_failed_is_listed_retried_and_compensated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hotel = await open_hotel(world.client, rooms=9)
    token = (await offer(world.client, hotel["hotel_id"]))["offer_token"]
    with monkeypatch.context() as broken:
        reactions: Any = booking_saga._REACTIONS  # noqa: SLF001 - where a mistake would be
        broken.setitem(reactions, PaymentAuthorised, _fails)
        retried, compensated = [await pending(world, token) for _ in range(2)]
        again = await ordered(world, retried, "retry", "perhaps it works now")
        assert (again["status"], again["step"]) == ("quarantined", "authorising")
        await told_of_sagas(world, {"sagas quarantined": "2; see nightledger sagas list --state quarantined"})

    done = await ordered(world, retried, "retry", "the code is mended")
    assert done["status"] == "running"
    await settled(world, retried, "confirmed")
    done = await ordered(world, compensated, "compensate", "the guest has called")
    assert (done["status"], done["step"]) == ("running", "voiding")
    await settled(world, compensated, "rejected")
    await told_of_sagas(world, {})
    refused = await world.client.post(f"/v1/ops/sagas/{BOOKING_SAGA.saga_id(retried)}/compensate", json={})
    assert refused.status_code == 409
    assert "cancel it once it is confirmed" in refused.json()["detail"]
    actions = ok(await world.client.get("/v1/ops/actions"))["items"]
    assert [(each["action"], each["why"], "refused" in each["outcome"]) for each in actions[:4]] == [
        ("sagas.compensate", "", True),
        ("sagas.compensate", "the guest has called", False),
        ("sagas.retry", "the code is mended", False),
        ("sagas.retry", "perhaps it works now", False),
    ]
    assert wrong(await world.audited(full=True)) == {}


async def test_a_booking_whose_saga_cannot_begin_is_rejected(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hotel = await open_hotel(world.client, rooms=9)
    token = (await offer(world.client, hotel["hotel_id"]))["offer_token"]
    with monkeypatch.context() as broken:
        beginnings: Any = booking_saga._BEGINNINGS  # noqa: SLF001 - as above
        broken.setitem(beginnings, BookingRequested, _fails)
        booking_id = await pending(world, token)
    saga = await ordered(world, booking_id, "compensate", "it cannot be mended")
    assert (saga["status"], saga["step"]) == ("running", "rejecting")
    await settled(world, booking_id, "rejected")
    assert wrong(await world.audited(full=True)) == {}


async def pending(world: World, offer_token: str) -> UUID:
    """A booking whose saga has failed: it is listed, and its page tells on what."""
    made = await book(world.client, offer_token, wait=None)
    booking_id = UUID(ok(made, 202)["booking_id"])
    saga_id = str(BOOKING_SAGA.saga_id(booking_id))

    async def listed() -> bool:
        items = ok(await world.client.get("/v1/ops/sagas", params={"state": "quarantined"}))["items"]
        return any((item["saga_id"], item["note"]) == (saga_id, MISTAKE) for item in items)

    await until(listed)
    saga = ok(await world.client.get(f"/v1/ops/sagas/{saga_id}"))
    assert (saga["status"], saga["note"]) == ("quarantined", MISTAKE)
    assert saga["timeline"][-1]["why"] == MISTAKE
    return booking_id


async def ordered(world: World, booking_id: UUID, verb: str, why: str) -> Any:
    """What an operator's order is answered."""
    path = f"/v1/ops/sagas/{BOOKING_SAGA.saga_id(booking_id)}/{verb}"
    return ok(await world.client.post(path, json={"why": why}, headers={"X-Request-Id": str(uuid4())}))


async def settled(world: World, booking_id: UUID, status: str) -> None:
    """Wait until the booking has this status and its saga has finished."""

    async def ended() -> bool:
        booking = ok(await world.client.get(f"/v1/bookings/{booking_id}"))
        saga = ok(await world.client.get(f"/v1/ops/sagas/{BOOKING_SAGA.saga_id(booking_id)}"))
        return bool((booking["status"], saga["status"]) == (status, "finished"))

    await until(ended)


async def told_of_sagas(world: World, parts: dict[str, str]) -> None:
    """Wait until readiness says just that of sagas."""

    async def told() -> bool:
        health = await world.platform.operations.health()
        return {each.part: each.detail for each in health if each.part.startswith("sagas ")} == parts

    await until(told, seconds=60)
