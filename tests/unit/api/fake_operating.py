"""What operators look at and act on, in memory, as a test says it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from api.platform import FeedStatus, Health
from commands.dead_letters import FailureGroup, OrderedRetry, RetryOutcome, Selection, failure_of
from commands.operating import OperatorAction
from commands.ports import DeadLetter
from domain.shared.errors import NotFound
from tests.unit.api.fake_reads import PROJECTIONS


class MemoryLetters:
    """Dead letters that a test puts there. ``outcomes`` says what will come of retries, ``handled`` otherwise."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.outcomes: dict[UUID, RetryOutcome | None] = {}
        self._ordered: list[OrderedRetry] = []

    async def list(self, consumer: str | None = None, limit: int = 200) -> Sequence[DeadLetter]:
        """See DeadLetters."""
        return await self.select(Selection(consumer=consumer), limit)

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """See DeadLetters."""
        return next((letter for letter in self.letters if letter.letter_id == letter_id), None)

    async def groups(self) -> Sequence[FailureGroup]:
        """See LetterDesk; one group for each letter that failed itself."""
        return [
            FailureGroup(
                failure_of(each).group,
                failure_of(each),
                [each.consumer],
                [each.topic],
                1,
                sum(other.behind and other.stream_id == each.stream_id for other in self.letters),
                each.parked_at,
                each.parked_at,
                each.error,
            )
            for each in self.letters
            if not each.behind
        ]

    async def select(self, selection: Selection, limit: int) -> Sequence[DeadLetter]:
        """See LetterDesk."""
        return [
            each
            for each in self.letters
            if (not selection.letter_ids or each.letter_id in selection.letter_ids)
            and selection.consumer in {None, each.consumer}
            and selection.group in {None, failure_of(each).group}
            and selection.kind in {None, each.topic, failure_of(each).kind}
            and selection.stream_id in {None, each.stream_id}
            and (selection.older_than is None or each.parked_at < selection.older_than)
            and (selection.newer_than is None or each.parked_at >= selection.newer_than)
        ][:limit]

    async def of_streams(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """See LetterDesk."""
        ids = {letter.letter_id for letter in letters}
        streams = {letter.stream_id for letter in letters} - {None}
        return [each for each in self.letters if each.letter_id in ids or each.stream_id in streams]

    async def discard(self, letter_ids: Sequence[UUID]) -> int:
        """See LetterDesk."""
        before = len(self.letters)
        self.letters = [each for each in self.letters if each.letter_id not in letter_ids]
        return before - len(self.letters)

    async def order_retries(self, action_id: UUID, letter_ids: Sequence[UUID]) -> int:
        """See LetterDesk."""
        self._ordered += [
            OrderedRetry(action_id, each, "sagas", self.outcomes.get(each, "handled"), None) for each in letter_ids
        ]
        return len(letter_ids)

    async def retries(self, action_id: UUID) -> Sequence[OrderedRetry]:
        """See LetterDesk."""
        return [retry for retry in self._ordered if retry.action_id == action_id]


class MemoryActions:
    """The record of what operators did."""

    def __init__(self) -> None:
        self.all: list[OperatorAction] = []

    async def begin(self, action: OperatorAction) -> None:
        """See ActionLog."""
        self.all.insert(0, action)

    async def end(self, action_id: UUID, outcome: Mapping[str, Any]) -> None:
        """See ActionLog."""
        self.all = [replace(each, outcome=outcome) if each.action_id == action_id else each for each in self.all]

    async def newest(self, limit: int, before: dt.datetime | None = None) -> Sequence[OperatorAction]:
        """See ActionLog."""
        return [each for each in self.all if before is None or each.at < before][:limit]


class MemoryOperations:
    """What operators see, as a test says it."""

    def __init__(self) -> None:
        self.parts = [Health("postgres", "up")]
        self.paused: dict[str, str] = {}
        """Why a read model is paused."""

    async def health(self) -> list[Health]:
        """See Operations."""
        return self.parts

    async def feeds(self) -> list[FeedStatus]:
        """See Operations."""
        why = self.paused.get("hotel_pages")
        state = "running" if why is None else "paused"
        return [FeedStatus("hotel_pages_1", state, {"hotels": "3.4"}, 0, 0.0, why)]

    async def pause(self, projection: str, by: str, why: str) -> None:
        """See Operations."""
        if projection not in {each.name for each in PROJECTIONS}:
            raise NotFound(f"no read model {projection}")
        self.paused[projection] = f"{by}: {why}"

    async def resume(self, projection: str, by: str, why: str) -> None:
        """See Operations."""
        del by, why
        self.paused.pop(projection, None)

    def metrics(self) -> bytes:
        """See Operations."""
        return b"nightledger_up 1\n"

    def asyncapi(self) -> dict[str, Any]:
        """See Operations."""
        return {"asyncapi": "3.0.0"}
