"""Read your writes: commands answer with a position, and queries wait a while until their read model has reached it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from api.http.requests import ApiRequest
from commands.ports import Answer, Position
from domain.shared.errors import InvalidCommand
from projections.projection import Projection

HEADER = "X-Position"
REACHED_HEADER = "X-Position-Reached"
_LONGEST_TOKEN = 400
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1


def token_of(*answers: Answer) -> dict[str, str]:
    """The header that tells a client where its commands are in the logs: ``hotels:12.34,inventory:12.35``."""
    parts = [f"{answer.context}:{answer.position}" for answer in answers if answer.position is not None]
    return {HEADER: ",".join(parts)} if parts else {}


async def reached(request: ApiRequest, *read_models: str) -> dict[str, str]:
    """Wait until ``read_models`` have reached the request's ``X-Position``, if it has one.

    Returns the header that says whether they have: after the bounded wait the answer is given as it is. Raises
    InvalidCommand for a token that is none.
    """
    token = request.headers.get(HEADER)
    if token is None:
        return {}
    wanted = _parse(token, request.platform.logs.keys())
    projections = [each for each in request.platform.projections if each.name in read_models]
    try:
        async with asyncio.timeout(request.http.position_wait):
            for projection in projections:
                await _wait(request, projection, wanted)
    except TimeoutError:
        return {REACHED_HEADER: "false"}
    return {REACHED_HEADER: "true"}


def _parse(token: str, contexts: Collection[str]) -> dict[str, Position]:
    if len(token) > _LONGEST_TOKEN:
        raise InvalidCommand(f"{HEADER} is longer than any that a command was answered with")
    wanted: dict[str, Position] = {}
    for part in token.split(","):
        context, _, position = part.strip().partition(":")
        if context not in contexts:
            raise InvalidCommand(f"{HEADER} {token!r} is not one that a command was answered with")
        wanted[context] = Position.parse(position)
    return wanted


async def _wait(request: ApiRequest, projection: Projection, wanted: Mapping[str, Position]) -> None:
    """Return when the live build has consumed each context's log up to ``wanted``.

    Nothing announces a checkpoint, so it is looked at again and again, at growing distances.
    """
    home = request.platform.logs[projection.service]
    for context in wanted.keys() & set(projection.contexts):
        pause = _FIRST_PAUSE
        while True:
            build = await _live_build(request, projection)
            if build is not None and await home.checkpoint(build, context) >= wanted[context]:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


async def _live_build(request: ApiRequest, projection: Projection) -> str | None:
    builds = await request.platform.builds[projection.service].builds(projection.name)
    return next((build.name for build in builds if build.state == "live"), None)
