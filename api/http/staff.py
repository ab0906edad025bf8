"""What operators do about accounts and keys: make accounts of any role, and sign with new keys."""

from __future__ import annotations

import secrets
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, post
from litestar.params import JSONBody
from pydantic import Field

from api.http.accounts import opened_account
from api.http.on_record import Order, on_record
from api.http.requests import ApiRequest
from api.http.schemas import Email, Line, Password, Registration
from api.http.security import BEARER, STAFF, access
from api.http.views import View, spec
from commands.accounts import Role

Json = Response[dict[str, Any]]
_PASSWORD_BYTES = 18


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
    "/v1/ops", guards=access(*STAFF), security=BEARER, tags=["Operations"], route_handlers=[create_user, rotate_keys]
)
