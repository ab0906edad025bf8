"""Forgetting: whoever has an account can have everything erased that names them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid5

from litestar import Response, delete
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from api.http.limits import limit_logins
from api.http.requests import ApiRequest
from api.http.schemas import Farewell
from api.http.security import STAFF, is_staff
from api.http.sending import send_as
from api.http.views import Forgetting, spec
from commands.accounts import PLATFORMS_OWN, Account, AccountGone
from commands.security import PasswordWrong, ReauthenticationRequired
from domain.account.commands import ForgetGuest
from domain.account.state import ACCOUNT, AccountState
from domain.shared.errors import DomainError, Forbidden

FRESH_SECONDS = 600
"""How long after giving the password one may ask without giving it again."""


class LastOfStaff(DomainError):
    """Nobody would be left to run the platform."""

    problem = "last-of-staff"


@delete(
    "/",
    status_code=202,
    guards=[limit_logins],
    responses={
        202: spec(Forgetting, description="The account is gone; the rest is being erased."),
        204: ResponseSpec(None, description="Nothing names the person any more."),
    },
)
async def forget_me(request: ApiRequest, data: JSONBody[Farewell | None] = None) -> Response[dict[str, Any] | None]:
    """Forget the one who asks: account, sessions, name, addresses, and words, everywhere. This cannot be undone.

    Bookings and payments stay as they are, on record without a name: cancel first what is not wanted. The password in
    the body confirms it; without a body the session must have begun less than ten minutes ago.
    """
    platform, account_id = request.platform, request.principal.account_id
    account = await platform.accounts.by_id(account_id)
    if account is None:
        raise AccountGone("the account does not exist any more")
    if account.email.lower().endswith(PLATFORMS_OWN):
        raise Forbidden("this account is the platform's own, and nobody's; log in as yourself")
    await _confirm(request, account, data)
    if is_staff(request.principal) and not await platform.accounts.colleagues(account_id, frozenset(STAFF)):
        raise LastOfStaff("nobody else can operate the platform; make another account for an operator first")
    await send_as(request, ForgetGuest(account_id=account_id), uuid5(request.principal.session_id, "forget"))
    await platform.tokens.revoke(account_id)
    if await _erased(request, account_id):
        return Response(None, status_code=204)
    return Response({"user_id": str(account_id), "status": "forgotten"}, status_code=202)


async def account_state(request: ApiRequest, account_id: UUID) -> AccountState:
    """What is on record about an account."""
    events = await request.platform.logs["users"].read_stream(account_id)
    return ACCOUNT.fold(recorded.event for recorded in events)


async def _confirm(request: ApiRequest, account: Account, data: Farewell | None) -> None:
    """Raises PasswordWrong, or ReauthenticationRequired."""
    if data is not None:
        if not await request.platform.passwords.verify(account.password_hash, data.password):
            raise PasswordWrong("the password is wrong", errors=(("password", "is wrong"),))
        return
    age = request.platform.clock.now() - request.principal.authenticated_at
    if age.total_seconds() > FRESH_SECONDS:
        detail = f"send the password, or log in again and ask within {FRESH_SECONDS // 60} minutes"
        raise ReauthenticationRequired(detail, max_age=FRESH_SECONDS)


async def _erased(request: ApiRequest, account_id: UUID) -> bool:
    """Whether everything is erased, as soon as it is, or after a bounded wait."""
    log = request.platform.logs["users"]
    deadline = asyncio.get_running_loop().time() + request.http.erasure_wait
    while True:
        head = await log.head()
        if (await account_state(request, account_id)).status == "erased":
            return True
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            return False
        await log.wait_beyond(head, left)
