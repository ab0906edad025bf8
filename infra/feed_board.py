"""How all feeds of the platform stand, in whichever process they run: what is told of them, and their lag."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from api.platform import FeedStatus
from commands.dead_letters import LetterDesk, ParkedEvents
from commands.operating import FeedControl, FeedControls, FeedState
from commands.ports import Clock, EventStore, Position
from projections.builds import UNDER_WAY, BuildRegistry, read_model_of
from projections.projection import Projection

T = TypeVar("T")
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
        found = await asyncio.gather(
            *(self._builds[projection.service].builds(projection.name) for projection in self._projections)
        )
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
                for projection, builds in zip(self._projections, found, strict=True)
                for build in builds
                if build.state in {"live", *UNDER_WAY}
            ]
        )

    async def others(self) -> Sequence[FeedStatus]:
        """The feeds of sagas and commands."""
        return await self._status(self._feeds)

    async def relays(self) -> Mapping[str, tuple[int, float]]:
        """By context: how many events are not published yet, and how many seconds the oldest has waited."""
        behind = await asyncio.gather(
            *(self._lag(Followed("relay", context, (context,), None), {}) for context in self._relays)
        )
        return dict(zip(self._relays, behind, strict=True))

    async def _status(self, followed: Sequence[Followed]) -> Sequence[FeedStatus]:
        homes = sorted({each.home for each in followed})
        told = await asyncio.gather(*(self._controls[home].states() for home in homes))
        ordered = await asyncio.gather(*(self._controls[home].paused() for home in homes))
        set_aside = await asyncio.gather(*(self._desks[home].parked_events() for home in homes))
        states = {(home, state.feed): state for home, some in zip(homes, told, strict=True) for state in some}
        paused = _by_home(homes, ordered)
        parked = _by_home(homes, set_aside)
        return await asyncio.gather(
            *(
                self._one(
                    each,
                    states.get((each.home, each.name)),
                    paused.get((each.home, read_model_of(each.name))),
                    parked.get((each.home, each.name)),
                )
                for each in followed
            )
        )

    async def _one(
        self, followed: Followed, told: FeedState | None, paused: FeedControl | None, parked: ParkedEvents | None
    ) -> FeedStatus:
        positions: dict[str, str] = {}
        events, seconds = await self._lag(followed, positions)
        state, cause = self._state(told, paused)
        if parked is not None and state in _GOES_ON:
            state, cause = "failed", _told_of(followed.name, parked)
        return FeedStatus(
            name=followed.name,
            state=state,
            positions=positions,
            lag_events=events,
            lag_seconds=seconds,
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

    async def _lag(self, followed: Followed, positions: dict[str, str]) -> tuple[int, float]:
        """Events of interest that are not handled yet, and the age of the oldest; fills in ``positions``."""
        events, seconds = 0, 0.0
        for context in followed.contexts:
            position = await self._logs[followed.home].checkpoint(followed.name, context)
            positions[context] = str(position)
            if followed.left is not None:
                continue
            count, age = await self._behind(self._logs[context], position, followed.topics)
            events, seconds = events + count, max(seconds, age)
        return events if followed.left is None else followed.left, seconds

    async def _behind(self, log: EventStore, position: Position, topics: frozenset[str] | None) -> tuple[int, float]:
        count = await log.count(position, topics)
        since = await log.first_after(position, topics) if count else None
        if since is None:
            return count, 0.0
        return count, max(dt.timedelta(), self._clock.now() - since).total_seconds()


def _by_home(homes: Sequence[str], found: Sequence[Mapping[str, T]]) -> dict[tuple[str, str], T]:
    """What was found in each home by name, by home and name."""
    return {(home, name): each for home, some in zip(homes, found, strict=True) for name, each in some.items()}


def first_line(error: str) -> str:
    """What everybody may read of an error: the lines after the first may quote what it is about."""
    return error.partition("\n")[0][:_SHOWN]


def _told_of(feed: str, parked: ParkedEvents) -> str:
    others = f" and {parked.number - 1} more" if parked.number > 1 else ""
    return (
        f"could not handle {parked.topic} {parked.event_id}{others} since {parked.since:%Y-%m-%d %H:%M:%S} UTC: "
        f"{first_line(parked.error)}; see nightledger dead-letters list --consumer {feed}"
    )
