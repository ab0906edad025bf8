"""Idempotency keys: a POST that is repeated with its key takes effect once and is answered as before."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID, uuid5

import orjson

from api.http.requests import ApiRequest
from commands.ports import Answer, Idempotency, RequestInFlight, ServiceUnavailable
from domain.shared.errors import DomainError, InvalidCommand

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class KeyRequired(InvalidCommand):
    """The request takes effect and may have to be repeated: it must carry a key of the client's own choice."""

    problem = "idempotency-key-required"


@dataclass(frozen=True, slots=True)
class Once:
    """One request as it is recognised when it comes again. ``idempotency`` is None if the client gave no key."""

    command_id: UUID
    idempotency: Idempotency | None


async def once(request: ApiRequest, *, required: bool = False) -> Once:
    """What makes the request recognisable: the asker, the key, and a hash of what is asked.

    Raises KeyRequired, or InvalidCommand for a key that is not 1 to 255 visible ASCII characters.
    """
    key = request.headers.get(HEADER)
    if key is None:
        if required:
            raise KeyRequired(
                f"send {HEADER}: a text of your own that is new for each request and kept for its repetitions"
            )
        return Once(request.platform.new_id(), None)
    if not _KEY.fullmatch(key):
        raise InvalidCommand(
            f"{HEADER} must be 1 to 255 visible ASCII characters",
            errors=((HEADER, "must be 1 to 255 visible characters"),),
        )
    account = request.principal.account_id
    fingerprint = await fingerprint_of(request)
    return Once(
        uuid5(account, f"command {key} {fingerprint}"),
        Idempotency(scope=f"{account} {request.method} {request.scope['path']}", key=key, fingerprint=fingerprint),
    )


async def fingerprint_of(request: ApiRequest) -> str:
    """A hash of the route and the body's content, whatever the order and spacing in which it was written."""
    content = orjson.dumps(await request.json(), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(f"{request.method} {request.scope['path']} ".encode() + content).hexdigest()


async def answered_once(request: ApiRequest, asked: Once, context: str, act: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer given before to the same request, or that of ``act``, which stores it under the key.

    A refused request gives its key back. One that was not answered keeps it for a while, because it may still be
    carried out. Raises IdempotencyMismatch, RequestInFlight, and what ``act`` raises.
    """
    if asked.idempotency is None:
        return await act()
    log = request.platform.logs[context]
    stored = await log.claim(asked.idempotency, asked.command_id)
    if stored is not None:
        return stored
    try:
        return await act()
    except (ServiceUnavailable, RequestInFlight):
        raise
    except DomainError:
        await log.release_claim(asked.idempotency)
        raise
