"""Orders to retry dead letters: a stream that cannot be retried holds up no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast
from uuid import UUID, uuid4

from commands.dead_letters import LetterDesk, OrderedRetry
from commands.ports import DeadLetter, Metadata, Position, RecordedEvent
from infra.messaging.feed_runner import FeedRunner, Home, Retried
from infra.messaging.feeds import Feeds
from infra.messaging.letter_retries import LetterRetries
from infra.messaging.parking import event_letter
from infra.messaging.progress import Progress
from infra.messaging.retries import FeedRetries
from infra.messaging.stats import Stats
from tests.contract.messaging import Recorder, noted
from tests.fakes import NOW, FakeClock


def parked(number: int) -> DeadLetter:
    """The letter of an event that the recorder could not take, in a stream of its own."""
    metadata, position = Metadata(correlation_id=uuid4(), at=NOW), Position(number, number)
    recorded = RecordedEvent(uuid4(), "inventory", uuid4(), 1, noted(number), metadata, NOW, position)
    return event_letter("recorder", recorded, ValueError("a mistake"), 4, NOW)


def of_newer_code(letter: DeadLetter) -> DeadLetter:
    """The letter, with a topic that this code lacks."""
    return replace(letter, message=letter.message | {"type": "inventory.v9.HoldWithdrawn"})


class Desk:
    """Dead letters in memory; all of them are ordered to be retried until their orders are settled."""

    def __init__(self, *letters: DeadLetter) -> None:
        self.kept = {letter.letter_id: letter for letter in letters}
        self.orders = {letter.letter_id: OrderedRetry(uuid4(), letter.letter_id, "recorder") for letter in letters}
        self.outcomes: dict[UUID, str | None] = {}

    async def claim_retries(self, _: Sequence[str], __: int) -> Sequence[OrderedRetry]:
        """See LetterDesk."""
        return list(self.orders.values())

    async def settle_retries(self, retries: Sequence[OrderedRetry]) -> None:
        """See LetterDesk."""
        for retry in retries:
            self.outcomes[retry.letter_id] = retry.outcome
            del self.orders[retry.letter_id]

    async def letters(self, letter_ids: Sequence[UUID]) -> Sequence[DeadLetter]:
        """See LetterDesk."""
        return [self.kept[letter_id] for letter_id in letter_ids if letter_id in self.kept]

    async def of_stream(self, _: str, __: str, stream_id: UUID) -> Sequence[DeadLetter]:
        """See DeadLetters."""
        return [letter for letter in self.kept.values() if letter.stream_id == stream_id]

    async def park(self, letter: DeadLetter) -> None:
        """See DeadLetters."""
        self.kept[letter.letter_id] = letter

    async def remove(self, letter_id: UUID) -> None:
        """See DeadLetters."""
        del self.kept[letter_id]


class OneFeed:
    """A process in which the recorder is active; ``failures`` says which streams cannot even be tried."""

    def __init__(self, desk: Desk, failures: Mapping[UUID | None, Exception]) -> None:
        self.recorder = Recorder()
        home = Home(cast("Any", None), cast("LetterDesk", desk), FakeClock(), uuid4, FeedRetries(), Stats())
        progress = Progress("recorder", "inventory")
        self._runner = FeedRunner(self.recorder, "inventory", home, cast("Any", None), progress)
        self._failures = failures

    def active(self, _: str) -> Sequence[str]:
        """See Feeds."""
        return ["recorder"]

    async def retry(self, letter: DeadLetter) -> Retried:
        """See Feeds."""
        assert letter.stream_id is not None
        if letter.stream_id in self._failures:
            raise self._failures[letter.stream_id]
        return await self._runner.retry(letter.stream_id)


def retries(desk: Desk, failures: Mapping[UUID | None, Exception]) -> tuple[LetterRetries, Recorder]:
    """What carries the orders out, and the feed that is retried."""
    feed = OneFeed(desk, failures)
    return LetterRetries({"inventory": cast("LetterDesk", desk)}, cast("Feeds", feed), {}), feed.recorder


async def test_a_letter_that_cannot_be_read_stays_parked_and_holds_up_no_other() -> None:
    unreadable, letter = of_newer_code(parked(1)), parked(2)
    desk = Desk(unreadable, letter)
    carried_out, recorder = retries(desk, {})
    assert await carried_out.work("inventory") == 2
    assert recorder.numbers() == [2]
    assert desk.outcomes == {unreadable.letter_id: "failed_anew", letter.letter_id: "handled"}
    [left] = desk.kept.values()
    assert (left.message, left.attempts) == (unreadable.message, 5)
    assert left.error.startswith("TopicError: stored topic 'inventory.v9.HoldWithdrawn'")
    assert await carried_out.work("inventory") == 0, "nothing is left to be claimed again"


async def test_a_stream_that_cannot_be_tried_is_tried_again_later_and_the_others_are_settled() -> None:
    stuck, letter = parked(1), parked(2)
    desk = Desk(stuck, letter)
    carried_out, recorder = retries(desk, {stuck.stream_id: OSError("the store is away")})
    assert await carried_out.work("inventory") == 1
    assert recorder.numbers() == [2]
    assert desk.outcomes == {letter.letter_id: "handled"}
    assert list(desk.orders) == [stuck.letter_id]
