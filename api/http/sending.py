"""Sending commands for the one who asks, and the headers that steer how a command is answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from uuid import UUID

from api.http.idempotency import Once
from api.http.requests import ApiRequest
from commands.ports import Answer, CommandEnvelope
from domain.shared.errors import DomainError, InvalidCommand
from domain.shared.messages import Command

_WAIT = re.compile(r"\bwait=(\d{1,6})\b", re.ASCII)
_ETAG = re.compile(r'"(\d{1,18})(?:\.\d{1,18}){0,2}"', re.ASCII)


class PreconditionFailed(DomainError):
    """The resource is not in the state that the client believes it to be in."""

    problem = "version-mismatch"
    status = 412


async def send(request: ApiRequest, command: Command, asked: Once | None = None) -> Answer:
    """Send a command for the principal; ``asked`` gives it the identity of a request that may be repeated."""
    command_id = asked.command_id if asked else request.platform.new_id()
    envelope = CommandEnvelope(command_id, command, request.metadata(), asked.idempotency if asked else None)
    return await request.platform.bus.send(envelope)


async def send_as(request: ApiRequest, command: Command, command_id: UUID) -> Answer:
    """Send a command under an id that is the same whenever the same thing is asked: a repetition changes nothing."""
    return await request.platform.bus.send(CommandEnvelope(command_id, command, request.metadata()))


def preferred_wait(request: ApiRequest) -> int | None:
    """Seconds of ``Prefer: wait=N``, at most what the API allows; None if the client does not want to wait."""
    found = _WAIT.search(request.headers.get("Prefer", ""))
    return min(int(found[1]), request.http.longest_wait) if found else None


def etag(version: int, *others: int) -> dict[str, str]:
    """The header that names a resource's version, and up to two numbers for what is shown of other resources."""
    return {"ETag": f'"{".".join(map(str, (version, *others)))}"'}


def expected_version(request: ApiRequest) -> int | None:
    """The resource's own version in ``If-Match``; None if any will do.

    Raises PreconditionFailed for a tag that is none of ours (weak ones never match), InvalidCommand for several.
    """
    given = request.headers.get("If-Match")
    if given is None or given.strip() == "*":
        return None
    if "," in given:
        raise InvalidCommand("If-Match must name one version")
    found = _ETAG.fullmatch(given.strip())
    if found is None:
        raise PreconditionFailed(f"{given[:100]} is not the current version; get the resource again for its ETag")
    return int(found[1])


def not_modified(request: ApiRequest, tag: Mapping[str, str]) -> bool:
    """Whether ``If-None-Match`` names what ``etag`` has made."""
    given = request.headers.get("If-None-Match", "")
    return any(each.strip().removeprefix("W/") in {tag["ETag"], "*"} for each in given.split(","))
