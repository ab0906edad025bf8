"""The read side in memory: read models that are made of the log when they are asked for, and their builds on record."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from commands.ports import Clock
from domain.shared.errors import IllegalTransition
from infra.bootstrap.read_models import projections_of_all
from projections.builds import UNDER_WAY, Build, BuildState, ReplayRunning
from projections.calendars import Calendars
from projections.ports import Document, HotelHits, HotelQuery, Page, Where
from projections.projection import DocumentProjection, FactProjection
from tests.fakes import Fakes

PROJECTIONS = tuple(each for each in projections_of_all() if not isinstance(each, FactProjection))
"""All but the facts, which belong to a process of their own."""


class MemoryDocuments:
    """Documents, folded when they are asked for."""

    def __init__(self, fakes: Fakes) -> None:
        self._fakes = fakes

    def all(self, name: str) -> dict[str, Document]:
        """The read model as of now."""
        projection = next(each for each in PROJECTIONS if each.name == name)
        assert isinstance(projection, DocumentProjection)
        documents: dict[str, Document] = {}
        for context in projection.contexts:
            for recorded in self._fakes.streams[context].log:
                if isinstance(recorded.event, projection.takes):
                    for key in projection.keys(recorded):
                        document = projection.apply(documents.get(key), recorded)
                        assert document is not None
                        documents[key] = document
        return documents

    async def get(self, name: str, key: str) -> Document | None:
        """See DocumentStore."""
        return self.all(name).get(key)

    async def find(
        self, name: str, where: Sequence[Where], *, order_by: str, descending: bool, limit: int, cursor: str | None
    ) -> Page:
        """See DocumentStore; cursors are numbers here."""
        found = [
            document
            for document in self.all(name).values()
            if all(_holds(each, document.get(each.field)) for each in where)
        ]
        found.sort(key=lambda document: document[order_by], reverse=descending)
        start = int(cursor or 0)
        more = str(start + limit) if len(found) > start + limit else None
        return Page(found[start : start + limit], more)


def _holds(test: Where, value: Any) -> bool:
    match test.op:
        case "eq":
            return bool(value == test.value)
        case "in":
            return value in test.value
        case "gte":
            return value is not None and value >= test.value
        case "lt":
            return value is not None and value < test.value


class MemorySearch:
    """Search by city and stars; ``asked`` is the last query."""

    asked: HotelQuery | None = None

    def __init__(self, fakes: Fakes) -> None:
        self._documents = MemoryDocuments(fakes)

    async def search(self, name: str, query: HotelQuery) -> HotelHits:
        """See SearchStore."""
        MemorySearch.asked = query
        nights = {night.isoformat() for night in query.nights}
        hits = [
            hotel
            for hotel in self._documents.all(name).values()
            if hotel["listed"]
            and query.city in {None, hotel["city"]}
            and (not query.stars or hotel["stars"] in query.stars)
            and not nights & set(hotel["sold_out"])
        ]
        return HotelHits(hits, len(hits), {"city": {hotel["city"]: 1 for hotel in hits}}, None)

    async def suggest(self, name: str, prefix: str, limit: int = 8) -> list[str]:
        """See SearchStore; nothing is ranked."""
        hotels = [hotel for hotel in self._documents.all(name).values() if hotel["listed"]]
        names = [hotel[field] for field in ("city", "name") for hotel in hotels]
        return [each for each in dict.fromkeys(names) if each.lower().startswith(prefix.lower())][:limit]


class MemoryCalendars:
    """Calendars, made when they are asked for."""

    def __init__(self, fakes: Fakes) -> None:
        self._fakes = fakes

    async def read(
        self, name: str, kind: str, keys: Sequence[str], first: dt.date, days: int
    ) -> Mapping[str, Sequence[int | None]]:
        """See CalendarStore."""
        del name
        projection = Calendars()
        cells: dict[str, dict[dt.date, int]] = {}
        defaults: dict[str, int] = {}
        for context in projection.contexts:
            for recorded in self._fakes.streams[context].log:
                for write in projection.writes(recorded):
                    if write.kind == kind:
                        cells.setdefault(write.key, {}).update(write.cells)
                        if write.default is not None:
                            defaults[write.key] = write.default
        nights = [first + dt.timedelta(days=day) for day in range(days)]
        return {key: [cells.get(key, {}).get(night, defaults.get(key)) for night in nights] for key in keys}


class MemoryBuilds:
    """Builds: one live build of each read model, until a replay is asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.all = [self._build(each.name, 1, "live", uuid4()) for each in PROJECTIONS]

    def _build(self, projection: str, number: int, state: BuildState, replay_id: UUID) -> Build:
        return Build(
            name=f"{projection}_{number}",
            projection=projection,
            version=1,
            state=state,
            replay_id=replay_id,
            created_at=self._clock.now(),
        )

    async def create(self, projection: str, version: int, replay_id: UUID, *, keep: bool = False) -> Build:
        """See BuildRegistry."""
        del version
        self._refuse_another(projection)
        build = self._build(projection, len(self.all) + 1, "building", replay_id).model_copy(update={"keep": keep})
        self.all.insert(0, build)
        return build

    async def advance(self, build: Build) -> BuildState:
        """See BuildRegistry."""
        return next(each.state for each in self.all if each.name == build.name)

    async def change(self, build: Build, state: BuildState, *, keep: bool | None = None) -> Build:
        """See BuildRegistry."""
        del keep
        if state in UNDER_WAY:
            self._refuse_another(build.projection)
        if build not in self.all:
            raise IllegalTransition(f"{build.name} is no longer {build.state}")
        changed = build.model_copy(update={"state": state})
        await self.update(changed)
        return changed

    def _refuse_another(self, projection: str) -> None:
        if any(build.state in UNDER_WAY for build in self.all if build.projection == projection):
            raise ReplayRunning(f"a replay of {projection} is under way")

    async def update(self, build: Build) -> None:
        """See BuildRegistry."""
        self.all = [build if each.name == build.name else each for each in self.all]

    async def builds(self, projection: str | None = None) -> list[Build]:
        """See BuildRegistry."""
        return [build for build in self.all if projection in {None, build.projection}]

    async def of_replay(self, replay_id: UUID) -> Build | None:
        """See BuildRegistry."""
        return next((build for build in self.all if build.replay_id == replay_id), None)

    @asynccontextmanager
    async def only_replay_of(self, projection: str) -> AsyncIterator[None]:
        """See BuildRegistry."""
        del projection
        yield

    @asynccontextmanager
    async def only_filling_of(self, build: str) -> AsyncIterator[None]:
        """See BuildRegistry."""
        del build
        yield
