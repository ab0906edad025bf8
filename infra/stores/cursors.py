"""Cursors of lists: the sort values at which a page ended, sealed for the list that they belong to.

A cursor says only where to go on, so it needs no secret; the seal tells a cursor of another list, or one that was cut
off, from ours.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from hashlib import blake2b
from types import UnionType

import orjson

from domain.shared.errors import InvalidCommand

Scalar = str | int | float | bool | None
Kind = type | UnionType
NUMBER: Kind = int | float
ANYTHING: Kind = str | int | float | None
_SEAL_BYTES = 8


def seal(scope: str, values: Sequence[Scalar]) -> str:
    """A URL-safe cursor that goes on after ``values`` in the list that ``scope`` describes."""
    body = orjson.dumps(list(values))
    return base64.urlsafe_b64encode(_seal_of(scope, body) + body).rstrip(b"=").decode()


def unseal(scope: str, cursor: str, kinds: Sequence[Kind]) -> list[Scalar]:
    """The values, of ``kinds``, that ``seal`` was given for the same ``scope``.

    Raises InvalidCommand for any other text. The seal is no signature: who knows how it is made can seal anything.
    """
    try:
        raw = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _foreign() from error
    body = raw[_SEAL_BYTES:]
    if raw[:_SEAL_BYTES] != _seal_of(scope, body):
        raise _foreign()
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _foreign() from error
    if not isinstance(values, list) or len(values) != len(kinds) or not all(map(_is_of, values, kinds)):
        raise _foreign()
    return values


def _is_of(value: object, kind: Kind) -> bool:
    return isinstance(value, kind) and not (isinstance(value, str) and "\0" in value)


def _seal_of(scope: str, body: bytes) -> bytes:
    return blake2b(scope.encode(errors="replace") + b"\0" + body, digest_size=_SEAL_BYTES).digest()


def _foreign() -> InvalidCommand:
    return InvalidCommand(
        "the cursor does not belong to this list; ask for the first page without one",
        errors=(("cursor", "is not one that this list gave out"),),
    )
