"""Dead letters for operators: what could not be handled, by what went wrong; retried or discarded, on record."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from pydantic import AwareDatetime, Field

from api.http.dead_letter_views import (
    DeadLettersView,
    DeadLetterView,
    FailureGroupsView,
    LettersTouched,
    group_view,
    letter_view,
)
from api.http.masking import masked_message, masked_text
from api.http.moments import in_utc
from api.http.on_record import Order, Record, on_record
from api.http.requests import ApiRequest
from api.http.security import BEARER, STAFF, access
from api.http.sending import preferred_wait
from api.http.views import spec
from commands.dead_letters import MOST_LETTERS, OrderedRetry, Selection, summed
from commands.ports import DeadLetter
from domain.shared.errors import InvalidCommand, NotFound

Json = Response[dict[str, Any]]
Verb = Literal["retry", "discard"]
WAIT_SECONDS = 20
_LOOK_SECONDS = 0.2
NO_NUL = r"^[^\x00]*$"
_NAMED = 100
"""How many letters an answer names."""
Mark = Annotated[str | None, Field(max_length=200)]
MarkAsked = Annotated[str | None, QueryParameter(max_length=200, pattern=NO_NUL)]


class Letters(Order):
    """Letters with all of these marks. ``all``: every letter; needed when there is no mark. ``type``: see the list.

    ``dry_run``: only say what would be touched.
    """

    ids: Annotated[tuple[UUID, ...], Field(max_length=1_000)] = ()
    group: Mark = None
    consumer: Mark = None
    type: Mark = None
    stream_id: UUID | None = None
    older_than: AwareDatetime | None = None
    newer_than: AwareDatetime | None = None
    all: bool = False
    dry_run: bool = False

    def selection(self) -> Selection:
        """The marks. Raises InvalidCommand if there is none."""
        marks = self.model_dump(exclude={"why", "all", "dry_run"}, exclude_defaults=True)
        if not marks and not self.all:
            raise InvalidCommand("name letters by ids, group, consumer, type, stream_id or time, or say all")
        return Selection(
            self.ids,
            self.group,
            self.consumer,
            self.type,
            self.stream_id,
            in_utc(self.older_than),
            in_utc(self.newer_than),
        )

    def marks(self) -> str:
        """The marks in words, for the record."""
        marks = self.model_dump(mode="json", exclude={"why", "all", "dry_run"}, exclude_defaults=True)
        return ", ".join(f"{name}={_said(value)}" for name, value in marks.items()) or "all"


def _said(value: Any) -> str:
    return " ".join(value[:10]) + (" ..." if len(value) > 10 else "") if isinstance(value, list) else str(value)  # noqa: PLR2004 - a line of a list


@get("/dead-letters", responses={200: spec(DeadLettersView, description="Oldest first.")})
async def list_dead_letters(
    request: ApiRequest,
    consumer: MarkAsked = None,
    group: MarkAsked = None,
    kind: Annotated[str | None, QueryParameter(name="type", max_length=200, pattern=NO_NUL)] = None,
    stream_id: FromQuery[UUID | None] = None,
    older_than: FromQuery[dt.datetime | None] = None,
    newer_than: FromQuery[dt.datetime | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
) -> Json:
    """What could not be handled, in all contexts, without its content; ``type`` is one of errors or of messages."""
    selection = Selection((), group, consumer, kind, stream_id, in_utc(older_than), in_utc(newer_than))
    letters = sorted(await _selected(request, selection, limit), key=lambda letter: letter.parked_at)
    items = [letter_view(letter, masked_text(request.principal, letter.error)) for letter in letters[:limit]]
    return Response({"items": items, "next_cursor": None})


@get("/dead-letters/groups", responses={200: spec(FailureGroupsView, description="The newest failure first.")})
async def list_failures(request: ApiRequest) -> Json:
    """What went wrong: by type of error and innermost function of ours, with count, first and last time."""
    found = await asyncio.gather(*(desk.groups() for desk in request.platform.dead_letters.values()))
    groups = sorted((group for some in found for group in some), key=lambda group: group.last_at, reverse=True)
    items = [group_view(group, masked_text(request.principal, group.error)) for group in groups]
    return Response({"items": items, "next_cursor": None})


@get("/dead-letters/{letter_id:uuid}", responses={200: spec(DeadLetterView, description="The letter.")})
async def get_dead_letter(request: ApiRequest, letter_id: FromPath[UUID]) -> Json:
    """One dead letter with its message and traceback. What the message says is only shown to admins."""
    principal = request.principal
    found = await asyncio.gather(*(desk.get(letter_id) for desk in request.platform.dead_letters.values()))
    letter = next((letter for letter in found if letter is not None), None)
    if letter is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    content = {
        "message": masked_message(principal, letter.message),
        "traceback": masked_text(principal, letter.traceback),
    }
    return Response(letter_view(letter, masked_text(principal, letter.error)) | content)


@post("/dead-letters/retry", status_code=200, responses={200: spec(LettersTouched, description="What came of it.")})
async def retry_dead_letters(request: ApiRequest, data: JSONBody[Letters]) -> Json:
    """Hand letters to their consumers again, events by whole streams in order; waits up to 20 s (``Prefer: wait``)."""
    return await _act(request, "retry", data)


@post("/dead-letters/discard", status_code=200, responses={200: spec(LettersTouched, description="What came of it.")})
async def discard_dead_letters(request: ApiRequest, data: JSONBody[Letters]) -> Json:
    """Give letters up. Those that wait behind them stay; retry them next. The events themselves stay in the log."""
    return await _act(request, "discard", data)


@post(
    "/dead-letters/{letter_id:uuid}/retry",
    status_code=200,
    responses={200: spec(LettersTouched, description="What came of it.")},
)
async def retry_dead_letter(
    request: ApiRequest, letter_id: FromPath[UUID], data: JSONBody[Order | None] = None
) -> Json:
    """Retry one letter, with its whole stream."""
    return await _act(request, "retry", Letters(ids=(letter_id,), why=data.why if data else ""), one=True)


@post(
    "/dead-letters/{letter_id:uuid}/discard",
    status_code=200,
    responses={200: spec(LettersTouched, description="What came of it.")},
)
async def discard_dead_letter(
    request: ApiRequest, letter_id: FromPath[UUID], data: JSONBody[Order | None] = None
) -> Json:
    """Give one letter up."""
    return await _act(request, "discard", Letters(ids=(letter_id,), why=data.why if data else ""), one=True)


async def _act(request: ApiRequest, verb: Verb, data: Letters, *, one: bool = False) -> Json:
    """``one``: it is no success if there is no letter."""
    letters = await _selected(request, data.selection(), MOST_LETTERS)
    if one and not letters:
        raise NotFound(f"there is no dead letter {data.ids[0]}")
    if verb == "retry":
        letters = await _with_their_streams(request, letters)
    touched = _touched(verb, letters)
    if data.dry_run:
        return Response(touched | {"dry_run": True})
    async with on_record(request, f"dead_letters.{verb}", data.marks(), data.why) as record:
        outcome = await (_retry if verb == "retry" else _discard)(request, record, letters)
        ids = [str(letter.letter_id) for letter in letters]
        record.outcome = {name: value for name, value in (touched | outcome).items() if value} | {"letters": ids}
    return Response(touched | outcome | {"action_id": str(record.action_id)})


async def _selected(request: ApiRequest, selection: Selection, limit: int) -> list[DeadLetter]:
    desks = request.platform.dead_letters.values()
    found = await asyncio.gather(*(desk.select(selection, limit) for desk in desks))
    return [letter for some in found for letter in some]


async def _with_their_streams(request: ApiRequest, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """An event cannot be handled before those of its stream that lie before it."""
    desks = request.platform.dead_letters.values()
    found = await asyncio.gather(*(desk.of_streams(letters) for desk in desks))
    return [letter for some in found for letter in some]


def _touched(verb: Verb, letters: Sequence[DeadLetter]) -> dict[str, Any]:
    streams = {(letter.consumer, letter.stream_id) for letter in letters if letter.stream_id is not None}
    counts = dict.fromkeys(("handled", "failed_again", "failed_anew", "waiting", "gone", "pending", "discarded"), 0)
    return {"action": verb, "action_id": None, "dry_run": False, "selected": len(letters), "streams": len(streams)} | {
        **counts,
        "failures": [],
    }


async def _discard(request: ApiRequest, record: Record, letters: Sequence[DeadLetter]) -> dict[str, Any]:
    del record
    ids = [letter.letter_id for letter in letters]
    return {"discarded": sum([await desk.discard(ids) for desk in request.platform.dead_letters.values()])}


async def _retry(request: ApiRequest, record: Record, letters: Sequence[DeadLetter]) -> dict[str, Any]:
    """Order the retries and wait for the processes in which the consumers are active."""
    ids = [letter.letter_id for letter in letters]
    desks = request.platform.dead_letters.values()
    ordered = [desk for desk in desks if await desk.order_retries(record.action_id, ids)]
    wait = preferred_wait(request)
    deadline = asyncio.get_running_loop().time() + (WAIT_SECONDS if wait is None else wait)
    while True:
        retries = [retry for desk in ordered for retry in await desk.retries(record.action_id)]
        if all(retry.outcome for retry in retries) or asyncio.get_running_loop().time() >= deadline:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    return dict(summed(retries)) | {"failures": [_failure(request, retry) for retry in retries if retry.error][:_NAMED]}


def _failure(request: ApiRequest, retry: OrderedRetry) -> dict[str, Any]:
    return {
        "letter_id": str(retry.letter_id),
        "consumer": retry.consumer,
        "outcome": retry.outcome,
        "error": masked_text(request.principal, retry.error or ""),
    }


dead_letters_router = Router(
    "/v1/ops",
    guards=access(*STAFF),
    security=BEARER,
    tags=["Operations"],
    route_handlers=[
        list_dead_letters,
        list_failures,
        get_dead_letter,
        retry_dead_letters,
        discard_dead_letters,
        retry_dead_letter,
        discard_dead_letter,
    ],
)
