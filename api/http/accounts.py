"""Accounts: who people are, and the tokens that say so. All failures to log in look the same and cost the same."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import UUID, uuid5

from litestar import Response, Router, get, patch, post
from litestar.datastructures import FormMultiDict
from litestar.params import JSONBody

from api.http.clients import CLIENT_UNKNOWN, TokenRefused, client_of
from api.http.forgetting import forget_me
from api.http.limits import limit_logins
from api.http.requests import ApiRequest
from api.http.schemas import Login, ProfileChange, Registration
from api.http.security import BEARER, PUBLIC, access
from api.http.tracing import traceparent_of
from api.http.views import JwksView, Me, Registered, ServerMetadata, TokenAnswer, TokenProblem, TokenSet, spec, utc
from commands.accounts import Account, Role, is_client
from commands.ports import CommandEnvelope, Metadata
from commands.security import AccessToken, TokenPair
from domain.account.commands import RegisterAccount
from domain.shared.errors import Unauthenticated

Json = Response[dict[str, Any]]
_GUEST: frozenset[Role] = frozenset({"guest"})


@post("/register", status_code=201, responses={201: spec(Registered, description="The account exists.")})
async def register_account(request: ApiRequest, data: JSONBody[Registration]) -> Json:
    """Make an account with the role of a guest.

    If the record of it is not answered, the account is there all the same, as with any answer that is lost on its way.
    """
    account = await opened_account(request, data, _GUEST)
    return Response({"user_id": str(account.account_id)}, status_code=201)


@post("/login", status_code=200, responses={200: spec(TokenSet, description="Tokens of a new session.")})
async def log_in(request: ApiRequest, data: JSONBody[Login]) -> Json:
    """Begin a session."""
    platform = request.platform
    account = await platform.accounts.by_email(data.email)
    right = await platform.passwords.verify(account.password_hash if account else None, data.password)
    if account is None or not right or account.disabled or is_client(account):
        raise Unauthenticated("the e-mail address or the password is wrong")
    if platform.passwords.needs_rehash(account.password_hash):
        stronger = await platform.passwords.hash(data.password)
        await platform.accounts.update(dataclasses.replace(account, password_hash=stronger))
    return _tokens(await platform.tokens.issue(account))


@post(
    "/token",
    status_code=200,
    responses={
        200: spec(TokenAnswer, description="The next tokens of the session, or a client's token."),
        400: spec(TokenProblem, description="RFC 6749, section 5.2."),
        401: spec(TokenProblem, description="The client's id or secret is wrong."),
    },
)
async def exchange_token(request: ApiRequest) -> Json:
    """OAuth 2 token endpoint, a form; ``grant_type`` says what for a token is given.

    ``refresh_token`` with the ``refresh_token`` of a session: each is good for one use. ``client_credentials`` with the
    id and secret of a machine client, by HTTP Basic or as ``client_id`` and ``client_secret``.
    """
    form = await request.form()
    try:
        grant = _once(form, "grant_type")
        if grant == "refresh_token":
            return _tokens(await request.platform.tokens.refresh(_once(form, "refresh_token")))
        if grant == "client_credentials":
            return _tokens(await request.platform.tokens.issue_access(await client_of(request, form)))
    except TokenRefused as refusal:
        return _token_problem(refusal.error, refusal.description, refusal.status)
    except Unauthenticated as error:
        return _token_problem("invalid_grant", error.detail)
    return _token_problem(
        "unsupported_grant_type", "grant_type is refresh_token or client_credentials; people begin with /v1/auth/login"
    )


@post("/logout", status_code=204, guards=access(), security=BEARER)
async def log_out(request: ApiRequest) -> None:
    """End the session of the access token."""
    await request.platform.tokens.logout(request.principal)


@get("/", responses={200: spec(Me, description="The account.")})
async def get_me(request: ApiRequest) -> Json:
    """The account of the one who asks."""
    return Response(_me(await _account(request)))


@patch("/", responses={200: spec(Me, description="The account after the change.")})
async def change_me(request: ApiRequest, data: JSONBody[ProfileChange]) -> Json:
    """Change one's own details; null takes away what is optional."""
    account = dataclasses.replace(await _account(request), **data.model_dump(exclude_unset=True))
    await request.platform.accounts.update(account)
    return Response(_me(account))


@get("/jwks.json", responses={200: spec(JwksView, description="RFC 7517.")})
async def get_jwks(request: ApiRequest) -> Json:
    """The public keys that access tokens are signed with."""
    return Response(await request.platform.tokens.jwks(), headers={"Cache-Control": "public, max-age=300"})


@get("/oauth-authorization-server", responses={200: spec(ServerMetadata, description="RFC 8414.")})
async def get_server_metadata(request: ApiRequest) -> Json:
    """What OAuth 2 clients need to know."""
    base = str(request.base_url).rstrip("/")
    return Response(
        {
            "issuer": base,
            "token_endpoint": f"{base}/v1/auth/token",
            "jwks_uri": f"{base}/.well-known/jwks.json",
            "grant_types_supported": ["refresh_token", "client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        }
    )


async def opened_account(
    request: ApiRequest, data: Registration, roles: frozenset[Role], opened_by: UUID | None = None
) -> Account:
    """A new account, on record; ``opened_by`` None: by its owner. Raises EmailTaken, PasswordRefused."""
    account = Account(
        account_id=request.platform.new_id(),
        email=data.email,
        name=data.name,
        phone=data.phone,
        locale=data.locale,
        roles=roles,
        password_hash=await request.platform.passwords.hash(data.password),
        created_at=request.platform.clock.now(),
    )
    return await put_on_record(request, account, opened_by or account.account_id)


async def put_on_record(request: ApiRequest, account: Account, opened_by: UUID) -> Account:
    """Keep a new account, and the event that it was opened. Raises EmailTaken."""
    await request.platform.accounts.register(account)
    await request.platform.bus.send(_on_record(request, account, opened_by))
    return account


def _on_record(request: ApiRequest, account: Account, opened_by: UUID) -> CommandEnvelope:
    command = RegisterAccount(account_id=account.account_id, roles=tuple(sorted(account.roles)))
    metadata = Metadata(
        correlation_id=request.request_id,
        actor=f"user:{opened_by}",
        at=request.platform.clock.now(),
        traceparent=traceparent_of(request.scope),
    )
    return CommandEnvelope(uuid5(account.account_id, "register"), command, metadata)


async def _account(request: ApiRequest) -> Account:
    account = await request.platform.accounts.by_id(request.principal.account_id)
    if account is None:
        raise Unauthenticated("the account is gone")
    return account


def _me(account: Account) -> dict[str, Any]:
    return {
        "user_id": str(account.account_id),
        "email": account.email,
        "name": account.name,
        "phone": account.phone,
        "locale": account.locale,
        "roles": sorted(account.roles),
        "created_at": utc(account.created_at),
    }


def _tokens(given: TokenPair | AccessToken) -> Json:
    return Response(dataclasses.asdict(given), headers={"Cache-Control": "no-store"})


def _once(form: FormMultiDict, name: str) -> str:
    """The one value that a form has for ``name``. Raises TokenRefused."""
    values = form.getall(name, [])
    if len(values) != 1 or not isinstance(values[0], str):
        raise TokenRefused("invalid_request", f"give {name} once")
    return values[0]


def _token_problem(error: str, description: str, status: int = 400) -> Json:
    headers = {"WWW-Authenticate": 'Basic realm="nightledger"'} if status == CLIENT_UNKNOWN else {}
    return Response({"error": error, "error_description": description}, status_code=status, headers=headers)


login_router = Router(
    "/v1/auth",
    tags=["Accounts"],
    route_handlers=[
        Router("/", opt=PUBLIC, guards=[limit_logins], route_handlers=[register_account, log_in, exchange_token]),
        log_out,
    ],
)
me_router = Router(
    "/v1/me", guards=access(), security=BEARER, tags=["Accounts"], route_handlers=[get_me, change_me, forget_me]
)
keys_router = Router("/.well-known", opt=PUBLIC, tags=["Accounts"], route_handlers=[get_jwks, get_server_metadata])
