"""Notes: documents that list numbers, and a store of them in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar
from uuid import UUID

from commands.ports import RecordedEvent
from domain.shared.messages import Event
from projections.ports import Document, FoldedDocument
from projections.projection import DocumentProjection
from tests.unit.projections.recording import recorded

ONE, OTHER = UUID(int=1), UUID(int=2)


class Noted(Event):
    """Something with a number that goes into the documents named in ``keys``."""

    topic: ClassVar[str] = "notes.v1.Noted"
    number: int
    keys: tuple[str, ...] = ("a",)


class Erased(Event):
    """The document is to go."""

    topic: ClassVar[str] = "notes.v1.Erased"
    keys: tuple[str, ...] = ("a",)


class Notes(DocumentProjection):
    """Documents that list the numbers they were told; a negative number cannot be applied."""

    name = "notes"
    version = 1
    service = "notes"
    takes = (Noted, Erased)

    def keys(self, recorded: RecordedEvent) -> Sequence[str]:
        assert isinstance(recorded.event, Noted | Erased)
        return recorded.event.keys

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        if not isinstance(recorded.event, Noted):
            return None
        if recorded.event.number < 0:
            raise ValueError("a negative number")
        return {"numbers": [*(document or {"numbers": []})["numbers"], recorded.event.number]}


class Store:
    """A FoldStore in memory; ``before_save`` is called once before the next save, as another process would write."""

    def __init__(self) -> None:
        self.builds: dict[str, dict[str, FoldedDocument]] = {"b": {}}
        self.pointers: dict[str, str] = {}
        self.saves: list[list[str]] = []
        self.loads: list[list[str]] = []
        self.indexed: dict[str, Sequence[tuple[str, ...]]] = {}
        self.before_save: Callable[[], None] | None = None

    async def load(self, build: str, keys: Sequence[str]) -> Mapping[str, FoldedDocument]:
        await asyncio.sleep(0)
        self.loads.append(list(keys))
        return {key: self.builds[build][key] for key in keys if key in self.builds[build]}

    fill_size = 2

    async def filled(self, build: str, indexes: Sequence[tuple[str, ...]] = ()) -> None:
        self.indexed[build] = indexes

    async def save(self, build: str, documents: Sequence[FoldedDocument], *, filling: bool = False) -> frozenset[str]:
        del filling
        await asyncio.sleep(0)
        hook, self.before_save = self.before_save, None
        if hook is not None:
            hook()
        self.saves.append([document.key for document in documents])
        refused = set()
        for document in documents:
            stored = self.builds[build].get(document.key)
            if stored is not None and stored.folded >= document.folded:
                refused.add(document.key)
            else:
                self.builds[build][document.key] = document
        return frozenset(refused)

    async def prepare(self, build: str) -> None:
        self.prepared = build
        self.builds.setdefault(build, {})

    async def point(self, name: str, build: str) -> None:
        self.pointers[name] = build

    async def pointed(self, name: str) -> str | None:
        return self.pointers.get(name)

    async def drop(self, build: str) -> None:
        self.builds.pop(build, None)

    def numbers(self, key: str = "a") -> list[int] | None:
        body = self.builds["b"][key].body
        return None if body is None else body["numbers"]


def note(
    number: int, version: int, *, stream: UUID = ONE, keys: tuple[str, ...] = ("a",), position: int | None = None
) -> RecordedEvent:
    return recorded(Noted(number=number, keys=keys), version, stream=stream, position=position)
