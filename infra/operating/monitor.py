"""Looks after the platform now and then, so that health and metrics can be answered at once; and raises the alarm."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

import asyncpg
import structlog

from api.platform import FeedStatus
from commands.dead_letters import LetterDesk
from commands.ports import Clock
from infra.eventstore.lag import Holder, holders_of_readers
from infra.messaging.queues import QueueDepth
from infra.messaging.retries import being_cancelled
from infra.operating.feed_board import FeedBoard, first_line
from projections.ports import DocumentStore, Where
from projections.saga_pages import STUCK_AFTER, SagaPages

REST_SECONDS = 5.0
"""Between two looks; after a slow one as long as it took."""
LONGEST_REST_SECONDS = 10.0
"""However slow a look was: an alarm that comes late is none."""
T = TypeVar("T")
Depths = Callable[[Mapping[str, Sequence[str]]], Awaitable[Mapping[str, QueueDepth]]]
"""How full the queues of these feeds (with their contexts) and of all services are, by queue."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sagas:
    """How many sagas there are by status (``stuck`` are also ``running``), and how long the first of them waits."""

    counts: Mapping[str, int] = field(default_factory=dict)
    longest_wait_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen at the last look. ``letters`` by consumer; ``relays`` by context: events and seconds behind.

    ``queues`` by name; none where there is no broker. ``unseen`` says why parts could not be looked at; they are empty
    then.
    """

    feeds: Sequence[FeedStatus] = ()
    relays: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    queues: Mapping[str, QueueDepth] = field(default_factory=dict)
    letters: Mapping[str, int] = field(default_factory=dict)
    sagas: Sagas = field(default_factory=Sagas)
    holders: Sequence[Holder] = ()
    unseen: Mapping[str, str] = field(default_factory=dict)
    at: dt.datetime | None = None
    seconds: float = 0.0


class Monitor:
    """``seen`` is what was seen last. ``pools``: one per database; ``desks`` by context."""

    def __init__(
        self,
        *,
        board: FeedBoard,
        desks: Mapping[str, LetterDesk],
        documents: DocumentStore,
        pools: Sequence[asyncpg.Pool],
        clock: Clock,
        depths: Depths | None = None,
    ) -> None:
        """``depths`` None: there is no broker."""
        self._board = board
        self._desks = desks
        self._documents = documents
        self._pools = pools
        self._clock = clock
        self._depths = depths
        self._alarmed: set[tuple[int, dt.datetime]] = set()
        self.seen = Seen()

    async def watch(self, wait: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """For ever."""
        while not being_cancelled():
            await self.look()
            await wait(min(LONGEST_REST_SECONDS, max(REST_SECONDS, self.seen.seconds)))

    async def look(self) -> None:
        """Look at everything that answers."""
        begun = monotonic()
        unseen: dict[str, str] = {}
        (feeds, relays), letters, sagas, holders = await asyncio.gather(
            self._feeds(unseen),
            _see("dead letters", self._letters(), {}, unseen),
            _see("sagas", self._sagas(), Sagas(), unseen),
            _see("transactions", self._holders(), (), unseen),
        )
        self._alarm(holders)
        queues = await _see("queues", self._queues(feeds), {}, unseen)
        now, seconds = self._clock.now(), monotonic() - begun
        self.seen = Seen(feeds, relays, queues, letters, sagas, holders, unseen, now, seconds)

    async def _feeds(self, unseen: dict[str, str]) -> tuple[Sequence[FeedStatus], Mapping[str, tuple[int, float]]]:
        """All feeds, and the relays."""
        read_models = await _see("read models", self._board.read_models(), (), unseen)
        others = await _see("feeds", self._board.others(), (), unseen)
        return (*read_models, *others), await _see("relays", self._board.relays(), {}, unseen)

    async def _queues(self, feeds: Sequence[FeedStatus]) -> Mapping[str, QueueDepth]:
        if self._depths is None:
            return {}
        return await self._depths({feed.name: tuple(feed.positions) for feed in feeds})

    async def _letters(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for desk in self._desks.values():
            counts |= await desk.counts()
        return counts

    async def _sagas(self) -> Sagas:
        now = self._clock.now()
        waiting = {status: [Where("status", "eq", status)] for status in ("running", "quarantined")}
        since = (now - STUCK_AFTER).astimezone(dt.UTC).isoformat()
        waiting["stuck"] = [*waiting["running"], Where("deadline", "lt", since)]
        counts = {status: await self._documents.count(SagaPages.name, where) for status, where in waiting.items()}
        counts["finished"] = await self._documents.count(SagaPages.name, [Where("status", "eq", "finished")])
        return Sagas(counts, {status: await self._longest(where, now) for status, where in waiting.items()})

    async def _longest(self, where: Sequence[Where], now: dt.datetime) -> float:
        page = await self._documents.find(
            SagaPages.name, where, order_by="updated_at", descending=False, limit=1, cursor=None
        )
        since = [dt.datetime.fromisoformat(document["updated_at"]) for document in page.items]
        return max(0.0, (now - since[0]).total_seconds()) if since else 0.0

    async def _holders(self) -> Sequence[Holder]:
        found = await asyncio.gather(*(holders_of_readers(pool) for pool in self._pools))
        return [holder for some in found for holder in some]

    def _alarm(self, holders: Sequence[Holder]) -> None:
        """Warn of each transaction once."""
        for holder in holders:
            if (holder.pid, holder.since) not in self._alarmed:
                log.warning(
                    "readers_held_back",
                    pid=holder.pid,
                    user=holder.user,
                    application=holder.application,
                    query=holder.query,
                    since=holder.since.isoformat(),
                )
        self._alarmed = {(holder.pid, holder.since) for holder in holders}


async def _see(part: str, looking: Awaitable[T], otherwise: Any, unseen: dict[str, str]) -> T:
    """What is seen of ``part``, or ``otherwise`` if its store is away."""
    try:
        return await looking
    except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are looked at
        unseen[part] = first_line(f"{type(error).__name__}: {error}")
        log.warning("part_unseen", part=part, error=unseen[part])
        return otherwise  # type: ignore[no-any-return] # as empty as what was asked for
