"""Hotel search without a server: tantivy indexes on disk, one directory per build, one pointer file per read model.

``path/builds/<build>/`` holds an index, ``path/live/<name>`` the name of the build that readers see; a pointer is
replaced by renaming, which is atomic. One process writes; others may read.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from commands.turns import in_turns
from domain.shared.errors import InvalidCommand
from infra.stores import hotels
from infra.stores.cursors import seal, unseal
from infra.stores.tantivy_index import HotelIndex, entry_of
from projections.ports import BuildMissing, FoldedDocument, HotelHits, HotelQuery, StoreUnavailable

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_GOING = ".going."
"""Begins the directory of a build that is being deleted."""


class TantivyHotels:
    """The SearchStore on tantivy, everything under ``path``."""

    def __init__(self, path: Path) -> None:
        self._builds = path / "builds"
        self._live = path / "live"
        self._indexes: dict[str, HotelIndex] = {}

    async def open(self) -> None:
        """Create the directories."""
        await asyncio.to_thread(self._make_directories)

    async def close(self) -> None:
        """Let go of all indexes, so that another process may write them."""
        indexes, self._indexes = self._indexes, {}
        for index in indexes.values():
            await asyncio.to_thread(index.close)

    async def ping(self) -> None:
        """Raises StoreUnavailable if the directories are not there."""
        if not await asyncio.to_thread(self._builds.is_dir):
            raise StoreUnavailable(f"{self._builds} is not a directory")

    async def prepare(self, build: str) -> None:
        """See FoldStore."""
        await asyncio.to_thread(self._prepare, build)

    async def point(self, name: str, build: str) -> None:
        """See Builds."""
        await asyncio.to_thread(self._point, name, build)

    async def pointed(self, name: str) -> str | None:
        """See Builds."""
        return await asyncio.to_thread(self._pointed, name)

    async def drop(self, build: str) -> None:
        """See Builds."""
        await asyncio.to_thread(self._drop, build)

    async def load(self, build: str, keys: Sequence[str]) -> Mapping[str, FoldedDocument]:
        """See FoldStore."""
        return await asyncio.to_thread(self._of, build, lambda index: index.load(keys))

    async def save(self, build: str, documents: Sequence[FoldedDocument], *, filling: bool = False) -> frozenset[str]:
        """See FoldStore; on return the documents are on disk and can be found.

        What fills a build and what feeds it later may be different processes, so a fill does not keep the writer.
        """
        # In turns here, because a thread that is busy in Python keeps all others waiting for milliseconds.
        entries = await in_turns(documents, entry_of)
        return await asyncio.to_thread(self._of, build, lambda index: index.save(entries, keep_writer=not filling))

    async def filled(self, build: str, indexes: Sequence[tuple[str, ...]] = ()) -> None:
        """See Builds: it was so all the time."""

    @property
    def fill_size(self) -> int:
        """See FoldStore. Hotels change over and over, and each time the whole document is indexed anew."""
        return 10_000

    async def search(self, name: str, query: HotelQuery) -> HotelHits:
        """See SearchStore."""
        hotels.check(query)
        return await asyncio.to_thread(self._search, name, query)

    async def suggest(self, name: str, prefix: str, limit: int = 8) -> Sequence[str]:
        """See SearchStore."""
        return await asyncio.to_thread(self._suggest, name, prefix, limit)

    def _make_directories(self) -> None:
        self._builds.mkdir(parents=True, exist_ok=True)
        self._live.mkdir(exist_ok=True)
        for going in self._builds.glob(f"{_GOING}*"):  # of a process that was killed meanwhile
            shutil.rmtree(going, ignore_errors=True)

    def _prepare(self, build: str) -> None:
        (self._builds / _checked(build)).mkdir(exist_ok=True)
        self._opened(build)

    def _opened(self, build: str) -> HotelIndex:
        """Raises FileNotFoundError for a build that was not prepared or is dropped."""
        index = self._indexes.get(build)
        if index is None:
            directory = self._builds / _checked(build)
            directory.stat()
            index = self._indexes.setdefault(build, HotelIndex(directory))
        return index

    def _of(self, build: str, work: Callable[[HotelIndex], T]) -> T:
        """What ``work`` makes of ``build``. Raises BuildMissing."""
        try:
            return work(self._opened(build))
        except FileNotFoundError as error:
            raise BuildMissing(build) from error

    def _read(self, name: str, query: Callable[[HotelIndex], T]) -> T | None:
        """The answer of the live build; None if there is none.

        A build that is swapped away and dropped between the two steps is not found: then its successor is asked.
        """
        build = self._pointed(name)
        while build is not None:
            try:
                return query(self._opened(build))
            except FileNotFoundError:
                live = self._pointed(name)
                if live == build:
                    raise
                build = live
        return None

    def _point(self, name: str, build: str) -> None:
        new = self._live / f".{_checked(name)}.new"
        with new.open("w") as file:
            file.write(_checked(build))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._live / name)

    def _pointed(self, name: str) -> str | None:
        try:
            return (self._live / _checked(name)).read_text()
        except FileNotFoundError:
            return None

    def _drop(self, build: str) -> None:
        for pointer in self._live.iterdir():
            if pointer.read_text() == build:
                pointer.unlink()
        index = self._indexes.pop(build, None)
        if index is not None:
            index.close()
        # Renamed first, because a reader who opens what is half deleted would begin an index of its own in there.
        going = self._builds / f"{_GOING}{_checked(build)}"
        with suppress(FileNotFoundError):
            (self._builds / build).rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def _search(self, name: str, query: HotelQuery) -> HotelHits:
        scope = hotels.scope_of(name, query)
        after = None if query.cursor is None else unseal(scope, query.cursor, hotels.place_of(query, int))
        answer = self._read(name, lambda index: index.search(query, after))
        if answer is None:
            return HotelHits([], 0, {facet: {} for facet in hotels.FACET_VALUES}, None)
        found, total, facets = answer
        page = found[: query.limit]
        next_cursor = seal(scope, page[-1][0]) if len(found) > query.limit else None
        return HotelHits([hotels.shown(body) for _, body in page], total, facets, next_cursor)

    def _suggest(self, name: str, prefix: str, limit: int) -> Sequence[str]:
        cities, names = self._read(name, lambda index: index.suggestions(prefix, limit * 4)) or ([], [])
        return hotels.ranked_suggestions(prefix, cities, names, limit)


def _checked(name: str) -> str:
    """Builds and read models become file names; raises InvalidCommand for what cannot be one."""
    if not _NAME.fullmatch(name):
        raise InvalidCommand(f"{name!r} cannot be the name of a build or read model")
    return name
