"""The ports of the read side, one per kind of store: a writing half for projections, a reading half for queries.

A read model is known by its name (``hotel_pages``). What is physically stored is a *build* of it, ``hotel_pages_7``:
a replay fills the next build beside the live one, then ``point`` swaps the name over to it atomically.
Every write is guarded, so that applying the same events again, or a late writer, changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from commands.ports import LogRun, Position, Temporary

Document = dict[str, Any]


class StoreUnavailable(Temporary):
    """The store did not answer or refused for lack of service; the same call may succeed later."""


class BuildMissing(Temporary):
    """The store has lost this build (it was emptied), or the build was dropped: it takes no writes any more.

    Waiting does not bring it back: only a replay does, which fills a new build.
    """

    def __init__(self, build: str) -> None:
        super().__init__(f"{build} is not in its store; replay its read model")
        self.build = build


class Builds(Protocol):
    """What every read store offers for blue/green builds."""

    async def point(self, name: str, build: str) -> None:
        """Atomically make ``build`` what readers of ``name`` see."""
        ...

    async def pointed(self, name: str) -> str | None:
        """The build that readers of ``name`` see now; None if there is none yet."""
        ...

    async def filled(self, build: str) -> None:
        """Make ready for readers and small writes what a fill has written, in whichever process; again is no error.

        Raises StoreUnavailable, BuildMissing.
        """
        ...

    async def drop(self, build: str) -> None:
        """Delete a build and all that it holds; no error if it does not exist."""
        ...


@dataclass(frozen=True, slots=True)
class FoldedDocument:
    """A document after folding events: ``folded`` counts the events that went into it and only grows.

    ``positions`` says per stream (its id) up to which position (text of ``Position``) events are in it: older ones are
    skipped.
    ``body`` None: deleted (a tombstone stays, so that the guard holds).
    """

    key: str
    body: Document | None
    folded: int
    positions: Mapping[str, str]


class FoldStore(Builds, Protocol):
    """A store of whole documents by key, written by folding (documents, search)."""

    async def prepare(self, build: str) -> None:
        """Create the collection or index of ``build``; idempotent."""
        ...

    async def filled(self, build: str, indexes: Sequence[tuple[str, ...]] = ()) -> None:
        """See Builds. ``indexes`` are tuples of fields that lists are asked by: to make them last takes least.

        A search store indexes all that it documents anyway.
        """
        ...

    async def load(self, build: str, keys: Sequence[str]) -> Mapping[str, FoldedDocument]:
        """What is stored (also just written, not yet searchable) of ``keys``; unknown keys are absent.

        Raises StoreUnavailable, BuildMissing.
        """
        ...

    async def save(self, build: str, documents: Sequence[FoldedDocument], *, filling: bool = False) -> frozenset[str]:
        """Write in bulk, durably; a stored document with a larger or equal ``folded`` stays as it is.

        Returns the keys whose write was refused by that guard (another writer was first): fold those again on what
        is stored now. ``filling``: many documents, most of them new, that nobody reads before ``filled``.
        Raises StoreUnavailable, BuildMissing.
        """
        ...

    @property
    def fill_size(self) -> int:
        """How many documents one ``save`` while ``filling`` had best have."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; ``next_cursor`` is opaque, None on the last page."""

    items: Sequence[Document]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Where:
    """Equality (``eq``, also one of a list with ``in``) and range (``gte``, ``lt``) tests on top-level fields."""

    field: str
    op: Literal["eq", "in", "gte", "lt"]
    value: Any


class DocumentStore(FoldStore, Protocol):
    """MongoDB, or PostgreSQL JSONB."""

    async def get(self, name: str, key: str) -> Document | None:
        """The document of the live build, None if unknown or deleted."""
        ...

    async def find(
        self, name: str, where: Sequence[Where], *, order_by: str, descending: bool, limit: int, cursor: str | None
    ) -> Page:
        """A page ordered by ``order_by`` then key. Raises InvalidCommand for a cursor that this store did not make."""
        ...

    async def count(self, name: str, where: Sequence[Where]) -> int:
        """How many documents match."""
        ...


Sort = Literal["relevance", "price", "rating", "stars", "distance", "name"]


@dataclass(frozen=True, slots=True)
class HotelQuery:
    """What a guest looks for. ``text`` tolerates typos; ``nights`` keeps hotels with a room free on each of them.

    ``price_min``/``price_max`` are in major units of the hotel's currency, against the hotel's ``from_price``.
    """

    text: str | None = None
    city: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    radius_km: float | None = None
    stars: tuple[int, ...] = ()
    amenities: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    min_rating: float | None = None
    guests: int | None = None
    nights: tuple[dt.date, ...] = ()
    sort: Sort = "relevance"
    limit: int = 20
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class HotelHits:
    """Found hotels (the indexed documents, best first) and counts per facet value of all that match."""

    items: Sequence[Document]
    total: int
    facets: Mapping[str, Mapping[str, int]]
    next_cursor: str | None


class SearchStore(FoldStore, Protocol):
    """Elasticsearch, or tantivy.

    Documents have: ``hotel_id, listed, name, city, country, description, stars, amenities, latitude, longitude,
    currency, from_price`` (float, major units, None without prices), ``rating``, ``max_guests``, ``sold_out`` (ISO
    dates of nights on which no room type has a room left), ``open_by_default`` (false: the only nights with a room are
    ``open_nights``), and anything else, which is stored and returned but not searched. One that is not ``listed`` is
    never found. Fields that begin with ``_`` belong to the projection: they are loaded but not returned by ``search``.
    """

    async def search(self, name: str, query: HotelQuery) -> HotelHits:
        """Search the live build. Raises InvalidCommand for a foreign cursor, StoreUnavailable."""
        ...

    async def suggest(self, name: str, prefix: str, limit: int = 8) -> Sequence[str]:
        """Names of hotels and cities that begin like ``prefix``, typos allowed."""
        ...


CalendarKind = Literal["rooms", "price"]


@dataclass(frozen=True, slots=True)
class CalendarWrite:
    """Absolute values for days of one calendar: rooms left per room type, or minor units per rate plan.

    ``default`` (first write) fills all days never written. A closed night has -1 rooms. Guarded by ``context`` and
    ``position`` per calendar: a write at or below what was applied changes nothing.
    """

    kind: CalendarKind
    key: str
    cells: Mapping[dt.date, int]
    context: str
    position: tuple[int, int]
    default: int | None = None


class CalendarStore(Builds, Protocol):
    """Redis: one packed string per calendar, fixed width per day, so that a stay is one GETRANGE."""

    async def prepare(self, build: str) -> None:
        """Make ready for writes; idempotent."""
        ...

    async def write(self, build: str, writes: Sequence[CalendarWrite], run: LogRun) -> None:
        """Apply in order, pipelined, and note that ``build`` has the whole ``run`` that they come from.

        Nothing is applied to a build that does not have everything up to ``run.prev``: what is missing would be taken
        for older than what is there, and never be applied. Then raises WentBack, like every later write until the
        missing part is written. Raises StoreUnavailable, BuildMissing, ValueError for a value beyond 32 bits.
        """
        ...

    async def reached(self, build: str, context: str) -> Position:
        """The end of the last run of ``context`` that ``build`` has (START: none). Raises as ``write`` does.

        The servers of other stores keep what they have acknowledged, whatever kills them. Redis may come back as it
        was a second ago, or at its last snapshot: that depends on how it is set up.
        """
        ...

    async def read(
        self, name: str, kind: CalendarKind, keys: Sequence[str], first: dt.date, days: int
    ) -> Mapping[str, Sequence[int | None]]:
        """Per calendar the value of each day from the live build; None where nothing is known."""
        ...


@dataclass(frozen=True, slots=True)
class FactTable:
    """A table of facts (ReplacingMergeTree).

    ``columns`` are (name, ClickHouse type), ``key`` its sorting key, ``version`` the column by which the newest row
    of a key wins.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    version: str


class FactTarget(Protocol):
    """What facts are written to."""

    async def prepare(self, build: str, tables: Sequence[FactTable]) -> None:
        """Create the tables of ``build``; idempotent."""
        ...

    async def insert(self, build: str, table: FactTable, rows: Sequence[Sequence[Any]]) -> None:
        """Bulk insert in order of ``table.columns``, durable on return.

        Raises StoreUnavailable, BuildMissing, ValueError for a value that does not fit its column.
        """
        ...

    async def drop(self, build: str) -> None:
        """See Builds."""
        ...


class FactStore(FactTarget, Builds, Protocol):
    """ClickHouse, or chdb.

    A build of read model ``m`` holds its tables as ``<build>__<table>``; readers use views named after the tables,
    swapped over by ``point``. Reads are ``FINAL``: a row written twice counts once.
    """

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Mapping[str, Any]]:
        """Run a SELECT against the live tables by their plain names; parameters are written ``{name:Type}``.

        Raises StoreUnavailable, also while no build is live yet. Other errors in the SQL are the driver's.
        """
        ...
