"""What clients are answered. These models document the answers; the tests hold every answer against its model."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal
from uuid import UUID

from litestar.openapi.datastructures import ResponseSpec
from pydantic import BaseModel, ConfigDict

from domain.shared.money import Money


class View(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldError(View):
    """What is wrong with one field of the request."""

    field: str
    message: str


class Problem(View):
    """RFC 9457. ``type`` is ``urn:nightledger:problem:<name>`` and stable; ``instance`` names the request."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] = []


class Registered(View):
    """The new account."""

    user_id: UUID


class TokenSet(View):
    """RFC 6749, section 5.1; ``expires_in`` is in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int


class TokenAnswer(View):
    """RFC 6749, section 5.1; machine clients get no refresh token, but ask again."""

    access_token: str
    refresh_token: str | None = None
    token_type: Literal["Bearer"]
    expires_in: int


class TokenProblem(View):
    """RFC 6749, section 5.2."""

    error: str
    error_description: str


class JwksView(View):
    """RFC 7517."""

    keys: list[dict[str, Any]]


class ServerMetadata(View):
    """RFC 8414."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    response_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]


class Me(View):
    """The account of the one who asks."""

    user_id: UUID
    email: str
    name: str
    phone: str | None
    locale: str | None
    roles: list[str]
    created_at: str


class Forgetting(View):
    """The account is gone already; what else names the person is being erased."""

    user_id: UUID
    status: Literal["forgotten"]


class MoneyView(View):
    """An exact amount as a decimal string, and its ISO 4217 currency."""

    amount: str
    currency: str


class TierView(View):
    """Cancelling with at least ``hours_before`` hours left costs ``percent`` % of the total."""

    hours_before: int
    percent: int


class NightPriceView(View):
    """One room for one night."""

    date: str
    amount: str
    currency: str


def spec(model: type[View], *, description: str) -> ResponseSpec:
    """How an answer is described; its example is a real one, see ``examples``."""
    return ResponseSpec(model, generate_examples=False, description=description)


def money_view(money: Money) -> dict[str, str]:
    """Money as clients see it."""
    return {"amount": money.amount, "currency": money.currency}


def utc(at: dt.datetime | str) -> str:
    """An ISO 8601 time in UTC, with ``Z``; read models keep theirs as text."""
    moment = dt.datetime.fromisoformat(at) if isinstance(at, str) else at
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
