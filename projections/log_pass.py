"""One pass over the logs for several readers: what any of them wants is read and decoded once, for all.

Each reader is handed runs of what it asked for, and may lag by some, so that reading and writing overlap. One that
falls further behind, because its store is slow or away, does not hold up the others: it reads on by itself. It does so
as well when the pass has ended, for what has been written since; so whatever happens to the pass, it reads everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from commands.ports import EventStore, LogRun, Position
from domain.shared.topics import stored_as

RUNS_AHEAD = 2
"""How far a reader may be behind the pass, before the pass waits for it."""

Handle = Callable[[LogRun], Awaitable[None]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asks for: events of ``topics``, in each context's log from where it starts."""

    topics: frozenset[str]
    starts: Mapping[str, Position]


class LogPass:
    """``logs`` by context. The pass begins when each of ``readers`` has asked for something, or has given up."""

    run_length = 250
    """Events of one run, over all readers of the pass. Longer ones are not read faster, and hold up the loop for longer
    where they are received and freed."""
    patience = 2.0
    """How many seconds the pass waits for a reader that is behind."""

    def __init__(self, logs: Mapping[str, EventStore], readers: Iterable[str]) -> None:
        self._logs = logs
        self._awaited = set(readers)
        self._seats: list[_Seat] = []
        self._work: asyncio.Task[None] | None = None
        self._counts: dict[str, Mapping[str, int]] = {}
        self.one_by_one = asyncio.Lock()
        """Held by a reader while it has a server do much at once. What all do at the beginning, done by all at the same
        time, would leave others no processor for as long as it takes."""

    async def length(self, context: str, topics: frozenset[str]) -> int:
        """How many events of ``topics`` the log of ``context`` had when the first reader asked."""
        async with self.one_by_one:
            if context not in self._counts:
                self._counts[context] = await self._logs[context].counts()
        return sum(self._counts[context].get(topic, 0) for topic in stored_as(topics))

    async def read(self, reader: str, wanted: Wanted, handle: Handle) -> None:
        """Hand everything wanted to ``handle``, context by context; returns at the end of the logs.

        Every run ends where reading can begin again. Raises what reading raises, and what ``handle`` raises.
        """
        seat = _Seat(wanted)
        if reader in self._awaited:
            self._seats.append(seat)
            self.give_up(reader)
        else:  # the pass was not to wait for it, and may be over
            seat.leave()
        try:
            await seat.serve(handle)
        finally:
            seat.leave()
            if self._work is not None and all(each.left for each in self._seats):
                self._work.cancel()
        for context, position in seat.reached.items():
            await self._alone(context, position, wanted.topics, handle)

    def give_up(self, reader: str) -> None:
        """Do not wait for ``reader``; no error if it is not waited for."""
        if reader in self._awaited:
            self._awaited.remove(reader)
            if not self._awaited and self._seats:
                self._work = asyncio.create_task(self._run(), name=f"pass over the logs for {len(self._seats)}")

    async def _run(self) -> None:
        try:
            for context in dict.fromkeys(context for seat in self._seats for context in seat.reached):
                await self._over(context, [seat for seat in self._seats if context in seat.reached])
        except Exception as error:  # noqa: BLE001 - who wants what cannot be read finds out when reading it alone
            log.warning("a pass over the logs was broken off; its readers read on one by one", error=str(error))
        finally:
            for seat in self._seats:
                seat.leave()

    async def _over(self, context: str, seats: Sequence[_Seat]) -> None:
        position = min(seat.reached[context] for seat in seats)
        while present := [seat for seat in seats if not seat.left]:
            topics = frozenset[str]().union(*(seat.wanted.topics for seat in present))
            run = await self._logs[context].read_log(position, self.run_length, topics=topics)
            if run.position == run.prev:
                return
            await asyncio.gather(*(seat.offer(run, self.patience) for seat in present))
            position = run.position

    async def _alone(self, context: str, position: Position, topics: frozenset[str], handle: Handle) -> None:
        """Read on, the next run while one is handled."""
        source = self._logs[context]
        run = await source.read_log(position, self.run_length, topics=topics)
        while run.position != run.prev:
            following = asyncio.create_task(source.read_log(run.position, self.run_length, topics=topics))
            try:
                await handle(run)
            except BaseException:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                raise
            run = await following


class _Seat:
    """One reader's place in a pass."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.reached = dict(wanted.starts)
        """How far it was handed each context's log."""
        self.left = False
        self._runs: asyncio.Queue[LogRun | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(RUNS_AHEAD)

    async def offer(self, run: LogRun, patience: float) -> None:
        """Hand over what is wanted of ``run``; a reader that has no room for it within ``patience`` leaves."""
        prev = self.reached[run.context]
        if run.position <= prev:
            return
        try:
            async with asyncio.timeout(patience):
                await self._room.acquire()
        except TimeoutError:
            self.leave()
        if self.left:
            return
        topics = self.wanted.topics
        events = tuple(each for each in run.events if each.position > prev and each.event.topic in topics)
        self.reached[run.context] = run.position
        self._runs.put_nowait(LogRun(run.context, prev, run.position, events))

    async def serve(self, handle: Handle) -> None:
        """Handle what is handed over, until the seat is left."""
        while (run := await self._runs.get()) is not None:
            await handle(run)
            self._room.release()

    def leave(self) -> None:
        """Nothing more is handed over."""
        if not self.left:
            self.left = True
            self._runs.put_nowait(None)
