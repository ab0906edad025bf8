"""How all feeds of the platform stand, in whichever process they run: what is told of them, and their lag.

It is asked for every few seconds. Its queries are made one after another: dozens at once, each by a server process of
its own, would leave requests no processor for as long as they take together.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from api.platform import FeedStatus
from commands.dead_letters import LetterDesk, ParkedEvents
from commands.operating import FeedControl, FeedControls, FeedState
from commands.ports import START, Clock, EventStore, Position
from projections.builds import UNDER_WAY, BuildRegistry, read_model_of
from projections.projection import Projection

T = TypeVar("T")
Checkpoints = Mapping[tuple[str, str, str], Position]
"""By home, feed and context."""
STALE_AFTER = dt.timedelta(seconds=20)
"""A feed that nobody has told of for that long is not fed."""
_SHOWN = 300
"""Characters of an error."""
_GOES_ON = frozenset({"running", "starting"})
"""States of a feed that hide that it has set something aside."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Something that follows logs: its checkpoints are kept in ``home``. ``topics`` None: it takes every event.

    ``left`` is how many events it has to take, where that is on record and need not be counted.
    """

    name: str
    home: str
    contexts: Sequence[str]
    topics: frozenset[str] | None
    left: int | None = None


class FeedBoard:
    """``logs``, ``controls`` and ``desks`` are by context, ``builds`` by service."""

    def __init__(
        self,
        *,
        logs: Mapping[str, EventStore],
        builds: Mapping[str, BuildRegistry],
        controls: Mapping[str, FeedControls],
        desks: Mapping[str, LetterDesk],
        projections: Sequence[Projection],
        feeds: Sequence[Followed],
        relays: Sequence[str],
        clock: Clock,
    ) -> None:
        """``feeds`` are those that fill no read model; ``relays`` the contexts whose logs are published."""
        self._logs = logs
        self._builds = builds
        self._controls = controls
        self._desks = desks
        self._projections = projections
        self._feeds = feeds
        self._relays = relays
        self._clock = clock
        self._since = clock.now()

    async def read_models(self) -> Sequence[FeedStatus]:
        """The feeds of all builds that are live or on their way to be."""
        return await self._status(
            [
                Followed(
                    build.name,
                    projection.service,
                    projection.contexts,
                    projection.topics,
                    # To count what a build that is being filled lacks takes in a whole log.
                    build.events_total - build.events_done if build.state == "building" else None,
                )
                for projection in self._projections
                for build in await self._builds[projection.service].builds(projection.name)
                if build.state in {"live", *UNDER_WAY}
            ]
        )

    async def others(self) -> Sequence[FeedStatus]:
        """The feeds of sagas and commands."""
        return await self._status(self._feeds)

    async def relays(self) -> Mapping[str, tuple[int, float]]:
        """By context: how many events are not published yet, and how many seconds the oldest has waited."""
        followed = [Followed("relay", context, (context,), None) for context in self._relays]
        checkpoints, heads = await self._checkpoints(self._relays), await self._heads(followed)
        return {each.home: await self._lag(each, checkpoints, heads) for each in followed}

    async def _status(self, followed: Sequence[Followed]) -> Sequence[FeedStatus]:
        homes = sorted({each.home for each in followed})
        states = {(home, state.feed): state for home in homes for state in await self._controls[home].states()}
        paused = _by_home({home: await self._controls[home].paused() for home in homes})
        parked = _by_home({home: await self._desks[home].parked_events() for home in homes})
        checkpoints, heads = await self._checkpoints(homes), await self._heads(followed)
        return [
            self._one(
                each,
                await self._lag(each, checkpoints, heads),
                {context: str(checkpoints.get((each.home, each.name, context), START)) for context in each.contexts},
                states.get((each.home, each.name)),
                paused.get((each.home, read_model_of(each.name))),
                parked.get((each.home, each.name)),
            )
            for each in followed
        ]

    async def _checkpoints(self, homes: Sequence[str]) -> Checkpoints:
        return {
            (home, each.feed, each.context): each.position
            for home in homes
            for each in await self._logs[home].checkpoints()
        }

    async def _heads(self, followed: Sequence[Followed]) -> Mapping[str, Position]:
        contexts = dict.fromkeys(context for each in followed for context in each.contexts)
        return {context: await self._logs[context].head() for context in contexts}

    def _one(
        self,
        followed: Followed,
        lag: tuple[int, float],
        positions: Mapping[str, str],
        told: FeedState | None,
        paused: FeedControl | None,
        parked: ParkedEvents | None,
    ) -> FeedStatus:
        state, cause = self._state(told, paused)
        if parked is not None and state in _GOES_ON:
            state, cause = "failed", _told_of(followed.name, parked)
        return FeedStatus(
            name=followed.name,
            state=state,
            positions=positions,
            lag_events=lag[0],
            lag_seconds=lag[1],
            last_error=cause,
            rate=told.rate if told and state not in {"paused", "down"} else 0.0,
        )

    def _state(self, told: FeedState | None, paused: FeedControl | None) -> tuple[str, str | None]:
        if paused is not None:
            why = f": {paused.why}" if paused.why else ""
            return "paused", f"paused by {paused.by} at {paused.at:%Y-%m-%d %H:%M:%S} UTC{why}"
        now = self._clock.now()
        stale = told is None or now - told.at > STALE_AFTER
        if told is None or (stale and now - self._since < STALE_AFTER):
            return "starting", None
        if stale:
            return "down", f"no process has fed it since {told.at:%Y-%m-%d %H:%M:%S} UTC; start its service"
        if told.state == "paused":
            return "starting", None  # it was resumed a moment ago
        return told.state, told.last_error and first_line(told.last_error)

    async def _lag(
        self, followed: Followed, checkpoints: Checkpoints, heads: Mapping[str, Position]
    ) -> tuple[int, float]:
        """Events of interest that are not handled yet, and the age of the oldest."""
        if followed.left is not None:
            return followed.left, 0.0
        events, seconds = 0, 0.0
        for context in followed.contexts:
            position = checkpoints.get((followed.home, followed.name, context), START)
            if position < heads[context]:
                count, age = await self._behind(self._logs[context], position, followed.topics)
                events, seconds = events + count, max(seconds, age)
        return events, seconds

    async def _behind(self, log: EventStore, position: Position, topics: frozenset[str] | None) -> tuple[int, float]:
        count = await log.count(position, topics)
        since = await log.first_after(position, topics) if count else None
        if since is None:
            return count, 0.0
        return count, max(dt.timedelta(), self._clock.now() - since).total_seconds()


def _by_home(found: Mapping[str, Mapping[str, T]]) -> dict[tuple[str, str], T]:
    """What was found in each home by name, by home and name."""
    return {(home, name): each for home, some in found.items() for name, each in some.items()}


def first_line(error: str) -> str:
    """What everybody may read of an error: the lines after the first may quote what it is about."""
    return error.partition("\n")[0][:_SHOWN]


def _told_of(feed: str, parked: ParkedEvents) -> str:
    others = f" and {parked.number - 1} more" if parked.number > 1 else ""
    return (
        f"could not handle {parked.topic} {parked.event_id}{others} since {parked.since:%Y-%m-%d %H:%M:%S} UTC: "
        f"{first_line(parked.error)}; see nightledger dead-letters list --consumer {feed}"
    )
