"""Carries out the retries that operators order, in the process where the consumer of the dead letter is active."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from commands.dead_letters import MOST_LETTERS, LetterDesk, RetryOutcome, failure_of
from commands.ports import DeadLetter
from domain.shared.errors import NotFound
from infra.messaging.delivery import CommandDelivery
from infra.messaging.feeds import Feeds
from infra.messaging.parking import consumer_of, describe
from infra.messaging.retries import being_cancelled

LOOK_EVERY_SECONDS = 1.0
AT_ONCE = 64
"""Commands that are carried out concurrently."""

log = structlog.get_logger(__name__)


class LetterRetries:
    """Looks for orders. ``desks`` and ``deliveries`` are by context; a delivery's service runs in this process."""

    def __init__(
        self, desks: Mapping[str, LetterDesk], feeds: Feeds, deliveries: Mapping[str, CommandDelivery]
    ) -> None:
        self._desks = desks
        self._feeds = feeds
        self._deliveries = deliveries

    async def watch(self, wait: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """For ever: take up what is ordered."""
        while not being_cancelled():
            await wait(LOOK_EVERY_SECONDS)
            for context in self._desks:
                try:
                    while await self.work(context):
                        pass
                except Exception as error:  # noqa: BLE001 - must outlive any outage; what is claimed is claimed again
                    log.warning("retries_interrupted", context=context, error=repr(error))

    async def work(self, context: str) -> int:
        """Take up some orders for the dead letters of ``context``; returns how many there were."""
        consumers = set(self._feeds.active(context))
        if context in self._deliveries:
            consumers.add(consumer_of(context))
        if not consumers:
            return 0
        desk = self._desks[context]
        orders = await desk.claim_retries(sorted(consumers), MOST_LETTERS)
        if not orders:
            return 0
        ids = [order.letter_id for order in orders]
        before = {letter.letter_id: letter for letter in await desk.letters(ids)}
        left = await self._retry(context, list(before.values()))
        after = {letter.letter_id: letter for letter in await desk.letters(ids)}
        done = [
            replace(
                order, outcome=_outcome(before.get(order.letter_id), letter), error=letter.error if letter else None
            )
            for order in orders
            if (letter := after.get(order.letter_id)) not in left
        ]
        await desk.settle_retries(done)
        return len(done)

    async def _retry(self, context: str, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """Retry commands one by one and events by whole streams; returns those of which nothing has come yet.

        Their feed has left this process, or they could not be retried: their orders are claimed again.
        """
        commands = [letter for letter in letters if letter.stream_id is None]
        room = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._command(context, letter, room) for letter in commands))
        streams: defaultdict[object, list[DeadLetter]] = defaultdict(list)
        for letter in letters:
            if letter.stream_id is not None:
                streams[letter.consumer, letter.context, letter.stream_id].append(letter)
        left: list[DeadLetter] = []
        for of_stream in streams.values():
            try:
                await self._feeds.retry(of_stream[0])
            except NotFound:
                left += of_stream
            except Exception as error:  # noqa: BLE001 - other streams are not kept waiting
                log.warning("letters_left", consumer=of_stream[0].consumer, error=describe(error))
                left += of_stream
        return left

    async def _command(self, context: str, letter: DeadLetter, room: asyncio.Semaphore) -> None:
        """Carry a command out; when it fails, that is in its letter."""
        try:
            async with room:
                await self._deliveries[context].retry(letter)
        except Exception as error:  # noqa: BLE001 - the letter says it, and the outcome is made of the letter
            log.warning("letter_failed_again", consumer=letter.consumer, error=describe(error))


def _outcome(before: DeadLetter | None, after: DeadLetter | None) -> RetryOutcome:
    if after is None:
        return "gone" if before is None else "handled"
    if after.behind:
        return "waiting"
    if before is not None and not before.behind and failure_of(before) == failure_of(after):
        return "failed_again"
    return "failed_anew"
