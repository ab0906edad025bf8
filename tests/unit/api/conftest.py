"""A platform in memory, its API, and people who use it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from api.http.app import create_app
from api.http.settings import HttpSettings, Limits
from commands.accounts import Account, Role
from commands.tracing import UNTRACED, Tracing
from tests.fakes import NOW
from tests.unit.api.fakes import Memory

CHECK_IN = NOW.date() + dt.timedelta(days=30)
CHECK_OUT = CHECK_IN + dt.timedelta(days=2)
STAY: dict[str, str | int] = {"check_in": str(CHECK_IN), "check_out": str(CHECK_OUT), "adults": 2}
HOTEL: dict[str, Any] = {
    "name": "Hotel Alfama",
    "city": "Lisbon",
    "country": "PT",
    "location": {"lat": 38.71, "lon": -9.13},
    "time_zone": "Europe/Lisbon",
    "currency": "EUR",
    "stars": 4,
    "amenities": ["wifi"],
    "description": "By the river.",
    "images": [],
}
Client = httpx.AsyncClient
SETTINGS = HttpSettings(
    limits=Limits(logins=1_000_000, commands=1_000_000), position_wait=0.05, heartbeat=0.05, longest_stream=5.0
)


@dataclasses.dataclass
class World:
    """``memory`` is what is stored; clients are made by ``as_``."""

    memory: Memory
    anonymous: Client
    as_: Callable[..., Awaitable[Client]]


@pytest.fixture
def memory() -> Memory:
    """Empty stores."""
    return Memory()


@pytest.fixture
async def world(memory: Memory) -> AsyncIterator[World]:
    """The API on empty stores."""
    async with world_of(memory) as made:
        yield made


class world_of:  # noqa: N801 - used like a function
    """The API on ``memory`` with its own settings."""

    def __init__(self, memory: Memory, settings: HttpSettings = SETTINGS, tracing: Tracing = UNTRACED) -> None:
        self._app = create_app(memory.platform, settings, tracing)
        self._memory = memory
        self._platform = self._app.state.platform
        self._clients: list[Client] = []
        self._ended = asyncio.Event()

    async def __aenter__(self) -> World:
        started = asyncio.Event()
        self._lifespan = asyncio.create_task(self._live(started))
        await started.wait()
        return World(self._memory, self._client({}), self._as)

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.aclose()
        self._ended.set()
        await self._lifespan

    async def _live(self, started: asyncio.Event) -> None:
        """The application's life, in one task: fixtures are set up and torn down in two."""
        async with self._app.lifespan():
            started.set()
            await self._ended.wait()

    def _client(self, headers: dict[str, str]) -> Client:
        application: Any = self._app  # the two name the same protocol differently
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        client = Client(
            transport=transport,
            base_url="http://nightledger.example",
            headers=headers,
            event_hooks={"response": [self._as_described]},
        )
        self._clients.append(client)
        return client

    async def _as_described(self, answer: httpx.Response) -> None:
        """Hold every answer of the tests against the model by which its operation is described."""
        if not answer.headers.get("content-type", "").startswith("application/json"):
            return
        await answer.aread()
        path, method = answer.request.url.path, answer.request.method
        handler: Any = self._app.asgi_router.handle_routing(path=path, method=method)[1]
        described = (handler.responses or {}).get(answer.status_code)
        if described is not None:
            described.data_container.model_validate_json(answer.content)

    async def _as(self, *roles: Role, account_id: UUID | None = None) -> Client:
        account = Account(
            account_id=account_id or uuid4(),
            email=f"{uuid4().hex}@example.com",
            name="Ada",
            phone=None,
            locale=None,
            roles=frozenset(roles),
            password_hash="plain:correct horse battery",
            created_at=NOW,
        )
        await self._memory.accounts.register(account)
        tokens = await self._platform.tokens.issue(account)
        return self._client({"Authorization": f"Bearer {tokens.access_token}"})


def ok(answer: httpx.Response, status: int = 200) -> Any:
    """The answer's JSON; fails with its text if it has another status."""
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def refused(answer: httpx.Response, status: int, name: str, *fields: str) -> dict[str, Any]:
    """The problem document, which must be one with this status and name, about these fields."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"urn:nightledger:problem:{name}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert set(fields) <= {error["field"] for error in problem.get("errors", [])}, problem
    return problem


async def open_hotel(hotelier: Client, *, rooms: int = 10, **changes: Any) -> dict[str, str]:
    """A hotel that can be booked: {hotel_id, room_type_id, rate_plan_id}."""
    hotel_id = ok(await hotelier.post("/v1/hotels", json=HOTEL | changes), 201)["hotel_id"]
    kind = {"name": "Double", "max_adults": 2, "max_children": 1, "rooms": rooms}
    room_type_id = ok(await hotelier.post(f"/v1/hotels/{hotel_id}/room-types", json=kind), 201)["room_type_id"]
    plan = {"name": "Flexible", "room_type_id": room_type_id, "cancellation_policy": "flexible"}
    rate_plan_id = ok(await hotelier.post(f"/v1/hotels/{hotel_id}/rate-plans", json=plan), 201)["rate_plan_id"]
    prices = {"from": str(CHECK_IN), "to": str(CHECK_IN + dt.timedelta(days=30)), "amount": "100.00"}
    ok(await hotelier.put(f"/v1/hotels/{hotel_id}/rate-plans/{rate_plan_id}/prices", json=prices))
    return {"hotel_id": hotel_id, "room_type_id": room_type_id, "rate_plan_id": rate_plan_id}


async def offer_token(client: Client, hotel_id: str, **changes: Any) -> str:
    """The token of the cheapest offer."""
    offers = ok(await client.get(f"/v1/hotels/{hotel_id}/offers", params=STAY | changes))["offers"]
    token: str = offers[0]["offer_token"]
    return token


def booking_of(token: str, **changes: Any) -> dict[str, Any]:
    """The body that books an offer."""
    return {
        "offer_token": token,
        "guest": {"name": "Ada Guest", "email": "ada@example.com"},
        "payment": {"provider": "sandbox", "token": "tok_ok"},
    } | changes


async def book(
    client: Client, token: str, *, key: str | None = None, wait: int | None = 5, **changes: Any
) -> httpx.Response:
    """Book an offer, waiting for the outcome unless ``wait`` is None."""
    headers = {"Idempotency-Key": key or uuid4().hex} | ({} if wait is None else {"Prefer": f"wait={wait}"})
    return await client.post("/v1/bookings", json=booking_of(token, **changes), headers=headers)
