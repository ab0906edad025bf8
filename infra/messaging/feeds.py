"""Runs the feeds of a process: one active consumer per feed, stand-bys ready, retries and parking (see FeedRunner)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import structlog

from commands.ports import Clock, DeadLetter, DeadLetters, EventStore, Feed, NewId
from domain.shared.errors import IllegalTransition, NotFound
from infra.messaging.feed_runner import FeedRunner, Home, Retried
from infra.messaging.leadership import Leadership
from infra.messaging.progress import FeedReport, Progress
from infra.messaging.retries import FeedRetries, being_cancelled
from infra.messaging.sources import Sources
from infra.messaging.stats import Stats

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Running:
    feed: Feed
    progress: Progress
    task: asyncio.Task[None] | None = None
    runners: dict[str, FeedRunner] = field(default_factory=dict)


class Feeds:
    """The FeedHost of a process. ``stores``, ``dead_letters`` and ``leaderships`` are by home context."""

    def __init__(
        self,
        stores: Mapping[str, EventStore],
        dead_letters: Mapping[str, DeadLetters],
        leaderships: Mapping[str, Leadership],
        sources: Sources,
        clock: Clock,
        new_id: NewId,
        stats: Stats,
        retries: FeedRetries | None = None,
    ) -> None:
        self._stores = stores
        self._dead_letters = dead_letters
        self._leaderships = leaderships
        self._sources = sources
        self._clock = clock
        self._new_id = new_id
        self._stats = stats
        self._retries = retries or FeedRetries()
        self._feeds: dict[str, _Running] = {}

    async def start(self, feed: Feed, home: str) -> None:
        """See FeedHost. Raises IllegalTransition if a feed of that name runs here."""
        if feed.name in self._feeds:
            raise IllegalTransition(f"the feed {feed.name!r} runs already; stop it first")
        running = _Running(feed, Progress(feed.name, home))
        self._feeds[feed.name] = running
        self._launch(running)

    async def stop(self, name: str) -> None:
        """See FeedHost."""
        running = self._feeds.pop(name, None)
        if running is not None:
            await self._halt(running)

    async def close(self) -> None:
        """Stop every feed."""
        await asyncio.gather(*(self.stop(name) for name in tuple(self._feeds)))

    async def pause(self, name: str) -> None:
        """Stop a feed, but keep it known; its events wait in the log. Raises NotFound."""
        running = self._known(name)
        await self._halt(running)
        running.progress.base = "paused"

    async def resume(self, name: str) -> None:
        """Let a paused feed go on; no error if it runs. Raises NotFound."""
        running = self._known(name)
        if running.task is None:
            self._launch(running)

    async def retry(self, letter: DeadLetter) -> Retried:
        """Hand the letter's stream to its feed again, oldest letter first; what succeeds is removed.

        The feed is not handed the event alone, because that would overtake what is parked before it. Raises NotFound
        if the feed is not active in this process.
        """
        running = self._known(letter.consumer)
        runner = running.runners.get(letter.context)
        if runner is None:
            raise NotFound(f"the feed {letter.consumer!r} is not active in this process; retry where it runs")
        return await runner.retry(letter.stream_id)

    def reports(self) -> Sequence[FeedReport]:
        """How each feed of this process stands."""
        return [running.progress.report() for running in self._feeds.values()]

    def _known(self, name: str) -> _Running:
        if name not in self._feeds:
            raise NotFound(f"no feed {name!r} runs in this process")
        return self._feeds[name]

    def _launch(self, running: _Running) -> None:
        running.progress.base = "standby"
        running.task = asyncio.create_task(self._contend(running), name=f"feed {running.feed.name}")

    @staticmethod
    async def _halt(running: _Running) -> None:
        if running.task is not None:
            running.task.cancel()
            await asyncio.gather(running.task, return_exceptions=True)
            running.task = None

    async def _contend(self, running: _Running) -> None:
        """Lead, lose the lead, contend again, until cancelled."""
        leadership = self._leaderships[running.progress.home]
        failures = 0
        while not being_cancelled():
            try:
                async with leadership.lead(f"feed {running.feed.name}"):
                    await self._lead(running)
            except Exception as error:  # noqa: BLE001 - whatever ends the lead, it is contended for again
                failures = 0 if running.progress.base == "running" else failures + 1
                running.progress.base = "standby"
                running.progress.troubled("", "failed", error)
                log.warning("feed_lead_lost", feed=running.feed.name, error=repr(error))
                await asyncio.sleep(self._retries.wait(failures + 1))

    async def _lead(self, running: _Running) -> None:
        feed, home = running.feed, running.progress.home
        running.progress.states.clear()
        running.progress.base = "running"
        shared = Home(
            self._stores[home], self._dead_letters[home], self._clock, self._new_id, self._retries, self._stats
        )
        try:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
                for context in feed.contexts:
                    source = await stack.enter_async_context(self._sources.open(feed, context))
                    runner = FeedRunner(feed, context, shared, source, running.progress)
                    running.runners[context] = runner
                    group.create_task(runner.run(), name=f"feed {feed.name} over {context}")
        finally:
            running.runners.clear()
