"""Runs the feeds of a process: one active consumer per feed, stand-bys ready, retries and parking (see FeedRunner).

What operators order is kept in the home's store: every process looks there, and before a feed starts.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic

import structlog

from commands.operating import FeedControls, FeedState
from commands.ports import Clock, DeadLetter, DeadLetters, EventStore, Feed, NewId
from commands.tracing import UNTRACED, Tracing
from domain.shared.errors import IllegalTransition, NotFound
from infra.messaging.feed_runner import FeedRunner, Home, Retried
from infra.messaging.leadership import Leadership
from infra.messaging.progress import FeedReport, Progress
from infra.messaging.retries import FeedRetries, being_cancelled
from infra.messaging.sources import Sources
from infra.messaging.stats import Stats
from projections.builds import read_model_of

LOOK_EVERY_SECONDS = 1.0
"""How soon an operator's order takes effect."""
REPORT_EVERY_SECONDS = 5.0
"""How often a feed says how it stands although nothing has changed."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Running:
    feed: Feed
    progress: Progress
    task: asyncio.Task[None] | None = None
    runners: dict[str, FeedRunner] = field(default_factory=dict)
    told: tuple[object, ...] = ()
    told_at: float = 0.0

    @property
    def is_paused(self) -> bool:
        """Whether it waits for an operator."""
        return self.progress.base == "paused"

    def news(self, now: dt.datetime) -> FeedState | None:
        """How it stands, if that has to be told: by the process that leads, when it has changed and now and then."""
        report = self.progress.report()
        tell = (report.state, report.last_error, report.parked)
        due = tell != self.told or monotonic() - self.told_at >= REPORT_EVERY_SECONDS
        if report.state == "standby" or not due:
            return None
        error = None if report.state in {"running", "paused"} else report.last_error
        return FeedState(report.name, report.state, error, report.rate, report.parked, now)

    def have_told(self, state: FeedState) -> None:
        """``state`` is known to all."""
        report = self.progress.report()
        self.told = (state.state, report.last_error, state.parked)
        self.told_at = monotonic()


class Feeds:
    """The FeedHost of a process. ``stores``, ``dead_letters``, ``leaderships`` and ``controls`` are by home context."""

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
        controls: Mapping[str, FeedControls] | None = None,
        tracing: Tracing = UNTRACED,
    ) -> None:
        """``controls`` None: no operator orders anything."""
        self._stores = stores
        self._dead_letters = dead_letters
        self._leaderships = leaderships
        self._sources = sources
        self._clock = clock
        self._new_id = new_id
        self._stats = stats
        self._retries = retries or FeedRetries()
        self._controls = controls or {}
        self._tracing = tracing
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
        await self._pause(self._known(name))

    async def resume(self, name: str) -> None:
        """Let a paused feed go on; no error if it runs. Raises NotFound."""
        running = self._known(name)
        if running.task is None:
            self._launch(running)

    async def watch(self, wait: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """For ever: do what operators order, and tell how the feeds stand."""
        while not being_cancelled():
            await wait(LOOK_EVERY_SECONDS)
            homes: defaultdict[str, list[_Running]] = defaultdict(list)
            for running in self._feeds.values():
                homes[running.progress.home].append(running)
            for home, feeds in homes.items():
                try:
                    await self._obey(home, feeds)
                except Exception as error:  # noqa: BLE001 - must outlive any outage of the home's store
                    log.warning("feed_controls_unknown", home=home, error=repr(error))

    async def _obey(self, home: str, feeds: Sequence[_Running]) -> None:
        if home not in self._controls:
            return
        paused = await self._controls[home].paused()
        for running in feeds:
            wanted = read_model_of(running.feed.name) in paused
            if self._feeds.get(running.feed.name) is not running or wanted == running.is_paused:
                continue
            if wanted:
                await self._pause(running)
            else:
                self._launch(running)
            log.warning("feed_paused" if wanted else "feed_resumed", feed=running.feed.name)
        states = {running.feed.name: running.news(self._clock.now()) for running in feeds}
        news = [state for state in states.values() if state is not None]
        if news:
            await self._controls[home].report(news)
        for running in feeds:
            if (told := states[running.feed.name]) is not None:
                running.have_told(told)

    def active(self, home: str) -> Sequence[str]:
        """Names of the feeds of ``home`` that this process leads."""
        return [name for name, running in self._feeds.items() if running.progress.home == home and running.runners]

    async def retry(self, letter: DeadLetter) -> Retried:
        """Hand the letter's stream to its feed again, oldest letter first; what succeeds is removed.

        The feed is not handed the event alone, because that would overtake what is parked before it. Raises NotFound
        if the feed is not active in this process.
        """
        running = self._known(letter.consumer)
        runner = running.runners.get(letter.context)
        if runner is None or letter.stream_id is None:
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

    async def _pause(self, running: _Running) -> None:
        await self._halt(running)
        running.progress.base = "paused"

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
                if await self._must_wait(running):
                    running.progress.base, running.task = "paused", None
                    return
                async with leadership.lead(f"feed {running.feed.name}"):
                    await self._lead(running)
            except Exception as error:  # noqa: BLE001 - whatever ends the lead, it is contended for again
                failures = 0 if running.progress.base == "running" else failures + 1
                running.progress.base = "standby"
                running.progress.troubled("", "failed", error)
                log.warning("feed_lead_lost", feed=running.feed.name, error=repr(error))
                await asyncio.sleep(self._retries.wait(failures + 1))

    async def _must_wait(self, running: _Running) -> bool:
        """Whether an operator has paused it, perhaps before this process began."""
        controls = self._controls.get(running.progress.home)
        return controls is not None and read_model_of(running.feed.name) in await controls.paused()

    async def _lead(self, running: _Running) -> None:
        feed, home = running.feed, running.progress.home
        running.progress.states.clear()
        running.progress.base = "running"
        shared = Home(
            self._stores[home],
            self._dead_letters[home],
            self._clock,
            self._new_id,
            self._retries,
            self._stats,
            self._tracing,
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
