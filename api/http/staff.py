"""What operators do about accounts, machine clients and keys: let them in or not, and sign with new keys."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody
from pydantic import Field

from api.http.accounts import opened_account, put_on_record
from api.http.on_record import Order, on_record
from api.http.requests import ApiRequest
from api.http.schemas import Email, Line, Password, Registration
from api.http.security import BEARER, STAFF, access
from api.http.views import View, spec, utc
from commands.accounts import Account, Role, client_address, is_client
from domain.shared.errors import NotFound

Json = Response[dict[str, Any]]
_PASSWORD_BYTES = 18
_SECRET_BYTES = 32


class NewUser(Order):
    """An account to be made for somebody. Without a password one is made up, and told this once."""

    email: Email
    name: Line
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    password: Password | None = None


class UserCreated(View):
    """The account is there; ``password`` only if it was made up."""

    user_id: UUID
    roles: list[Role]
    password: str | None
    action_id: UUID


class NewClient(Order):
    """A machine that is to use the API in its own name, say to read reports every night."""

    name: Line
    roles: Annotated[frozenset[Role], Field(min_length=1)]


class ClientCreated(View):
    """The client's id, and its secret, which is told this once."""

    client_id: UUID
    client_secret: str
    roles: list[Role]
    action_id: UUID


class ClientView(View):
    """One machine client; one that is ``revoked`` gets no tokens."""

    client_id: UUID
    name: str
    roles: list[Role]
    created_at: str
    revoked: bool


class ClientsView(View):
    """Machine clients."""

    items: list[ClientView]
    next_cursor: None


class ClientRevoked(View):
    """The client that is let in no more."""

    client_id: UUID
    action_id: UUID


class KeysRotated(View):
    """The keys that are used from now on, in all processes within a minute."""

    access_key_id: str
    offer_key_id: str
    action_id: UUID


@post("/users", status_code=201, responses={201: spec(UserCreated, description="The account exists.")})
async def create_user(request: ApiRequest, data: JSONBody[NewUser]) -> Json:
    """Make an account with any roles: of hoteliers and analysts, and of more operators."""
    password = data.password or secrets.token_urlsafe(_PASSWORD_BYTES)
    registration = Registration(email=data.email, name=data.name, password=password)
    roles = sorted(data.roles)
    # By what it is for, not by whom: what is on record stays there when a person is forgotten.
    async with on_record(request, "users.create", ", ".join(roles), data.why) as record:
        account = await opened_account(request, registration, data.roles, request.principal.account_id)
        record.outcome["user_id"] = str(account.account_id)
    answer = {
        "user_id": str(account.account_id),
        "roles": roles,
        "password": None if data.password else password,
        "action_id": str(record.action_id),
    }
    return Response(answer, status_code=201, headers={"Cache-Control": "no-store"})


@post("/clients", status_code=201, responses={201: spec(ClientCreated, description="The client exists.")})
async def create_client(request: ApiRequest, data: JSONBody[NewClient]) -> Json:
    """Let a machine in: it gets tokens for the id and secret that are told this once (``client_credentials``)."""
    platform, client_id = request.platform, request.platform.new_id()
    secret, roles = secrets.token_urlsafe(_SECRET_BYTES), sorted(data.roles)
    account = Account(
        account_id=client_id,
        email=client_address(client_id),
        name=data.name,
        phone=None,
        locale=None,
        roles=data.roles,
        password_hash=await platform.passwords.hash(secret),
        created_at=platform.clock.now(),
    )
    async with on_record(request, "clients.create", f"{data.name}: {', '.join(roles)}", data.why) as record:
        await put_on_record(request, account, request.principal.account_id)
        record.outcome["client_id"] = str(client_id)
    answer = {
        "client_id": str(client_id),
        "client_secret": secret,
        "roles": roles,
        "action_id": str(record.action_id),
    }
    return Response(answer, status_code=201, headers={"Cache-Control": "no-store"})


@get("/clients", responses={200: spec(ClientsView, description="Machine clients, newest first.")})
async def list_clients(request: ApiRequest) -> Json:
    """Machines that were let in, also those that are no more. Nobody is told their secrets."""
    items = [
        {
            "client_id": str(account.account_id),
            "name": account.name,
            "roles": sorted(account.roles),
            "created_at": utc(account.created_at),
            "revoked": account.disabled,
        }
        for account in await request.platform.accounts.clients()
    ]
    return Response({"items": items, "next_cursor": None})


@post(
    "/clients/{client_id:uuid}/revoke",
    status_code=200,
    responses={200: spec(ClientRevoked, description="The client gets no tokens any more.")},
)
async def revoke_client(request: ApiRequest, client_id: FromPath[UUID], data: JSONBody[Order | None] = None) -> Json:
    """Let a machine in no more. Tokens that it has end at once (in other processes within seconds)."""
    async with on_record(request, "clients.revoke", str(client_id), data.why if data else "") as record:
        account = await request.platform.accounts.by_id(client_id)
        if account is None or not is_client(account):
            raise NotFound(f"there is no client {client_id}")
        await request.platform.accounts.update(dataclasses.replace(account, disabled=True))
        await request.platform.tokens.revoke(client_id)
    return Response({"client_id": str(client_id), "action_id": str(record.action_id)})


@post("/keys/rotate", status_code=200, responses={200: spec(KeysRotated, description="New keys are used.")})
async def rotate_keys(request: ApiRequest, data: JSONBody[Order | None] = None) -> Json:
    """Sign tokens and seal offers with new keys. What the old ones have signed is good until it expires.

    To end all sessions of an account at once is another matter: that needs no new keys.
    """
    async with on_record(request, "keys.rotate", "access, offer", data.why if data else "") as record:
        rotated = {
            "access_key_id": await request.platform.tokens.rotate_keys(),
            "offer_key_id": await request.platform.offers.rotate_keys(),
        }
        record.outcome |= rotated
    return Response(rotated | {"action_id": str(record.action_id)})


staff_router = Router(
    "/v1/ops",
    guards=access(*STAFF),
    security=BEARER,
    tags=["Operations"],
    route_handlers=[create_user, create_client, list_clients, revoke_client, rotate_keys],
)
