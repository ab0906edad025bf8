"""One feed over one context: run by run, retried, parked, checkpointed."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from time import monotonic
from uuid import UUID

import structlog

from commands.ports import (
    Checkpoint,
    Clock,
    Commit,
    ConcurrencyConflict,
    DeadLetter,
    DeadLetters,
    EventStore,
    Feed,
    LogRun,
    Metadata,
    NewId,
    Position,
    RecordedEvent,
    Temporary,
    WentBack,
)
from commands.tracing import UNTRACED, Tracing, logged_for
from domain.shared.errors import NotFound
from infra.messaging.parking import culprit, delivers_commands, describe, event_letter, follower_letter, trace
from infra.messaging.progress import FeedState, Progress
from infra.messaging.retries import FeedRetries, being_cancelled
from infra.messaging.sources import Source
from infra.messaging.stats import Stats
from infra.messaging.wire import CloudEvent
from infra.observability.runs import logged_for_run, spans_of_run

log = structlog.get_logger(__name__)

IDLE_SECONDS = 5.0
RETRY_PATIENCE_SECONDS = 5.0
"""How long an operator's retry waits for the feed to be between two runs."""
QUIET_CHECKPOINT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Home:
    """Where a feed keeps its checkpoints and dead letters, and what its runners share."""

    store: EventStore
    dead_letters: DeadLetters
    clock: Clock
    new_id: NewId
    retries: FeedRetries
    stats: Stats
    tracing: Tracing = UNTRACED


@dataclass(frozen=True, slots=True)
class Retried:
    """What came of retrying a parked stream: how many letters were handled, and the error that stopped it, if any."""

    handled: int
    error: str | None


class FeedRunner:
    """Follows one source. The feed's other contexts have runners of their own."""

    def __init__(self, feed: Feed, context: str, home: Home, source: Source, progress: Progress) -> None:
        self._feed = feed
        self._context = context
        self._home = home
        self._source = source
        self._progress = progress
        self._position = Position(0, 0)
        self._stored = Position(0, 0)
        self._handled = Position(0, 0)  # the end of the last run that the feed was handed
        self._stored_at = 0.0
        self._parked: set[object] = set()
        self._known_bad: dict[tuple[str, str], float] = {}
        self._has_ended = False
        self._at_work = asyncio.Lock()  # runs and operators' retries exclude each other: streams stay in order

    async def run(self) -> None:
        """Follow the source until cancelled. Whatever fails outside of the feed's handler is waited out."""
        failures = 0
        try:
            while not being_cancelled():
                try:
                    await self._resume()
                    while True:
                        await self._step()
                        failures = 0
                except Exception as error:  # noqa: BLE001 - a runner must outlive any failure of store, source or broker
                    failures += 1
                    self._trouble(_after(error), error)
                    log.warning("feed_interrupted", feed=self._feed.name, context=self._context, error=repr(error))
                    await asyncio.sleep(self._home.retries.wait(failures))
        finally:
            self._has_ended = True

    async def retry(self, stream_id: UUID) -> Retried:
        """Hand the stream's parked events to the feed again, oldest first, until one fails or none is left.

        One that this code cannot read fails too. What failed stays parked, with its new error and one attempt more.
        Raises NotFound if the feed has left this process meanwhile, or is busy for longer than one may wait (its store
        is away, say, and others have ordered something too).
        """
        async with self._alone_at_work():
            letters = await self._home.dead_letters.of_stream(self._feed.name, self._context, stream_id)
            for done, letter in enumerate(letters):
                try:
                    recorded = CloudEvent.model_validate(letter.message).recorded()
                    await self._handle(self._handled, (recorded,), checkpoint=self._position)
                except Exception as error:  # noqa: BLE001 - whatever is raised is the operator's answer
                    again = _failed_again(letter, error, self._home.clock.now())
                    await self._home.dead_letters.park(again)
                    return Retried(done, again.error)
                await self._home.dead_letters.remove(letter.letter_id)
            self._parked.discard(stream_id)
            return Retried(len(letters), None)

    @asynccontextmanager
    async def _alone_at_work(self) -> AsyncIterator[None]:
        """Between two runs, while this process leads the feed. Raises NotFound, see ``retry``."""
        about = f"the feed {self._feed.name!r} over {self._context}"
        try:
            async with asyncio.timeout(RETRY_PATIENCE_SECONDS):
                await self._at_work.acquire()
        except TimeoutError as error:
            raise NotFound(f"{about} is busy; try again when it gets on") from error
        try:
            if self._has_ended:
                raise NotFound(f"{about} has left this process; retry where it runs")
            yield
        finally:
            self._at_work.release()

    async def _resume(self) -> None:
        self._parked = set(await self._home.dead_letters.parked_streams(self._feed.name))
        stored = await self._home.store.checkpoint(self._feed.name, self._context)
        position = await self._feed.resumes_at(Checkpoint(self._feed.name, self._context, stored))
        if position < stored:
            # Lag, and whoever waits for what was written, must not take for done what is done again.
            log.warning("feed_set_back", feed=self._feed.name, context=self._context, since=str(position))
            await self._home.store.set_back(Checkpoint(self._feed.name, self._context, position))
        self._position = self._stored = self._handled = position
        self._settled()

    async def _step(self) -> None:
        pending = self._position > self._stored
        run = await self._source.next(self._position, QUIET_CHECKPOINT_SECONDS if pending else IDLE_SECONDS)
        async with self._at_work:
            if run is not None:
                await self._take(run)
                self._settled()
            elif pending:
                await self._store_checkpoint()
            else:
                await self._look_back()

    async def _look_back(self) -> None:
        """Raise WentBack if the feed's store no longer has what was handed over last, though nobody writes to it."""
        handled = Checkpoint(self._feed.name, self._context, self._handled)
        if await self._feed.resumes_at(handled) < self._handled:
            raise WentBack(f"{self._feed.name} no longer has all of {self._context} up to {self._handled}")

    async def _take(self, run: LogRun) -> None:
        events = await self._park_followers(run.events)
        if events:
            await self._as_one(run.position, events)
        self._position = run.position
        if self._feed.commits_checkpoint and events:
            self._stored_at = monotonic()
        # Nobody waits for events that the feed does not take, so their checkpoint may come a little later.
        if self._position > self._stored and (run.events or monotonic() - self._stored_at >= QUIET_CHECKPOINT_SECONDS):
            await self._store_checkpoint()

    async def _as_one(self, end: Position, events: Sequence[RecordedEvent]) -> None:
        if len(events) > 1:
            try:
                await self._patiently(end, events)
            except WentBack:
                raise
            except Exception as error:  # noqa: BLE001 - the culprit is looked for among the events
                self._trouble("retrying", error)
            else:
                return
        for index, recorded in enumerate(events):
            last = index == len(events) - 1
            position = end if last else recorded.position
            if await self._park_followers((recorded,)):
                await self._single(position, recorded)
            self._position = position

    async def _single(self, position: Position, recorded: RecordedEvent) -> None:
        """Handle one event, or park it when its retries are used up."""
        delays = self._home.retries.delays
        for attempt in range(1, len(delays) + 2):
            try:
                await self._patiently(position, (recorded,))
            except WentBack:
                raise
            except Exception as error:  # noqa: BLE001 - every failure of a handler is parked with its traceback
                self._trouble("retrying", error, recorded)
                kind = (recorded.event.topic, type(culprit(error)).__qualname__)
                hopeless = self._known_bad.get(kind, 0.0) > monotonic()
                if attempt > len(delays) or hopeless:
                    self._known_bad[kind] = monotonic() + self._home.retries.known_bad
                    await self._park(recorded, error, attempt)
                    self._position = position
                    await self._store_checkpoint()
                    return
                await asyncio.sleep(delays[attempt - 1])
            else:
                return

    async def _patiently(self, position: Position, events: Sequence[RecordedEvent]) -> None:
        """Handle; wait out what is temporary, run lost races again."""
        away = conflicts = 0
        while True:
            try:
                await self._handle(position, events, checkpoint=position)
            except Temporary as error:
                away += 1
                self._trouble("waiting", error)
                await asyncio.sleep(self._home.retries.wait(away))
            except ConcurrencyConflict as error:
                conflicts += 1
                self._trouble("retrying", error)
                if conflicts > self._home.retries.conflicts:
                    raise
                await asyncio.sleep(0.005 * conflicts)
            else:
                return

    async def _handle(self, position: Position, events: Sequence[RecordedEvent], *, checkpoint: Position) -> None:
        with self._watched(events) as spanned:
            run = LogRun(self._context, self._handled, position, tuple(spanned))
            await self._feed.handle(run, Checkpoint(self._feed.name, self._context, checkpoint))
        self._handled = position
        if self._feed.commits_checkpoint:
            self._stored = checkpoint
        self._progress.handled_some(len(events), self._home.clock.now())
        self._count("feed_events", len(events))

    @contextmanager
    def _watched(self, events: Sequence[RecordedEvent]) -> Iterator[Sequence[RecordedEvent]]:
        """Spans, and what log lines say of them; gives the events as they are to be handed to the feed."""
        name, now = self._feed.name, self._home.clock.now()
        if delivers_commands(name):  # they are watched one by one, where they are carried out
            yield events
            return
        about = {"nightledger.feed": name, "nightledger.context": self._context}
        spans = spans_of_run(self._home.tracing, f"feed {name}", "consumer", events, now, about)
        with logged_for_run(events), spans as spanned:
            yield spanned

    async def _park_followers(self, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
        """Park events of parked streams behind what is parked; the others are returned."""
        if self._parked.isdisjoint(recorded.stream_id for recorded in events):
            return events
        # An operator may have discarded letters meanwhile, perhaps in another process.
        self._parked = set(await self._home.dead_letters.parked_streams(self._feed.name))
        free = []
        for recorded in events:
            if recorded.stream_id in self._parked:
                letter = follower_letter(self._feed.name, recorded, self._home.clock.now())
                await self._home.dead_letters.park(letter)
                self._parked_one()
            else:
                free.append(recorded)
        return free

    async def _park(self, recorded: RecordedEvent, error: Exception, attempts: int) -> None:
        letter = event_letter(self._feed.name, recorded, error, attempts, self._home.clock.now())
        await self._home.dead_letters.park(letter)
        self._parked.add(recorded.stream_id)
        self._parked_one()
        with logged_for(recorded.metadata):
            log.error("event_parked", feed=self._feed.name, event_id=str(recorded.event_id), error=letter.error)

    async def _store_checkpoint(self) -> None:
        if self._position > self._handled and not self._feed.commits_checkpoint:
            # Nothing in between is for it; but one that notes how far it has come must not look as if it had lost that.
            passed_over = LogRun(self._context, self._handled, self._position, ())
            await self._feed.handle(passed_over, Checkpoint(self._feed.name, self._context, self._position))
            self._handled = self._position
        now = self._home.clock.now()
        await self._home.store.commit(
            Commit(
                Metadata(correlation_id=self._home.new_id(), actor="system", at=now),
                checkpoints=(Checkpoint(self._feed.name, self._context, self._position),),
            )
        )
        self._stored = self._position
        self._stored_at = monotonic()

    def _settled(self) -> None:
        self._progress.states[self._context] = "running"
        self._progress.positions[self._context] = self._position

    def _trouble(self, state: FeedState, error: Exception, recorded: RecordedEvent | None = None) -> None:
        self._progress.troubled(self._context, state, error, recorded)
        self._count("feed_failures")

    def _parked_one(self) -> None:
        self._progress.parked += 1
        self._count("feed_parked")

    def _count(self, name: str, amount: int = 1) -> None:
        self._home.stats.count(name, amount, feed=self._feed.name, context=self._context)


def _failed_again(letter: DeadLetter, error: Exception, now: dt.datetime) -> DeadLetter:
    """The letter, with what went wrong this time; its message is left alone, because this code may not know it."""
    error = culprit(error)
    return replace(
        letter,
        error=describe(error),
        traceback=trace(error),
        attempts=letter.attempts + 1,
        behind=False,
        parked_at=now,
    )


def _after(error: Exception) -> FeedState:
    """What a runner does about an error that interrupted it."""
    if isinstance(error, WentBack):
        return "retrying"
    return "waiting" if isinstance(error, Temporary | OSError) else "failed"
