"""Machine clients at the token endpoint: who they are, by the id and secret that an operator has given them."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_plus
from uuid import UUID

from litestar.datastructures import FormMultiDict

from api.http.requests import ApiRequest
from commands.accounts import Account, is_client

CLIENT_UNKNOWN = 401


class TokenRefused(Exception):
    """Why no token is given, as RFC 6749 (section 5.2) names it."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


async def client_of(request: ApiRequest, form: FormMultiDict) -> Account:
    """The account of the client that asks (RFC 6749, sections 2.3.1 and 4.4).

    All failures look the same and cost the same. Raises TokenRefused.
    """
    client_id, secret = _credentials(request, form)
    if form.getall("scope", []):
        raise TokenRefused("invalid_scope", "there are no scopes here: a client has roles")
    try:
        account = await request.platform.accounts.by_id(UUID(client_id))
    except ValueError:
        account = None
    known = account if account is not None and is_client(account) and not account.disabled else None
    right = await request.platform.passwords.verify(known.password_hash if known else None, secret)
    if known is None or not right:
        raise TokenRefused("invalid_client", "the client's id or secret is wrong", CLIENT_UNKNOWN)
    return known


def _credentials(request: ApiRequest, form: FormMultiDict) -> tuple[str, str]:
    in_form = [form.getall(name, []) for name in ("client_id", "client_secret")]
    header = request.headers.get("Authorization")
    if header is not None and any(in_form):
        raise TokenRefused("invalid_request", "give the client's id and secret in one way only")
    if header is not None:
        return _basic(header)
    match in_form:
        case [[str(client_id)], [str(secret)]]:
            return client_id, secret
    raise TokenRefused("invalid_client", "give client_id and client_secret once, or HTTP Basic", CLIENT_UNKNOWN)


def _basic(header: str) -> tuple[str, str]:
    """Id and secret of an Authorization header; each is percent-encoded before they are put together."""
    scheme, _, encoded = header.partition(" ")
    try:
        said = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        said = ""
    client_id, colon, secret = said.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise TokenRefused("invalid_client", "the Authorization header is not HTTP Basic", CLIENT_UNKNOWN)
    return unquote_plus(client_id), unquote_plus(secret)
