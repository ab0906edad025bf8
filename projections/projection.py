"""What a read model is: one class that says which events it takes and how one event changes it.

A projection knows neither the broker, nor checkpoints, nor the replay. There are three kinds, by the shape of what they
keep: folded documents, calendar cells, rows of facts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from commands.ports import RecordedEvent
from domain.shared.messages import Event
from projections.ports import CalendarWrite, Document, FactTable


class Projection(ABC):
    """``name`` is what readers and operators call the read model; ``version`` grows when its shape or rules change."""

    name: ClassVar[str]
    version: ClassVar[int]
    service: ClassVar[str]
    """The service that feeds it and keeps its checkpoints."""
    takes: ClassVar[tuple[type[Event], ...]]

    @property
    def contexts(self) -> tuple[str, ...]:
        """Contexts whose logs are read, in the order of first mention in ``takes``."""
        return tuple(dict.fromkeys(event.topic.partition(".")[0] for event in self.takes))

    @property
    def topics(self) -> frozenset[str]:
        """Wire names of the events that change the model."""
        return frozenset(event.topic for event in self.takes)


class DocumentProjection(Projection):
    """Documents by key, each the fold of its events.

    Events of different contexts may arrive in any order: ``apply`` must not depend on it.
    """

    @abstractmethod
    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Keys of the documents that the event changes."""

    @abstractmethod
    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """The document after the event (a new object, or None to delete); ``document`` None: there was none."""


class CalendarProjection(Projection):
    """Values per day."""

    @abstractmethod
    def writes(self, recorded: RecordedEvent) -> Sequence[CalendarWrite]:
        """Absolute values that hold after the event."""


class FactProjection(Projection):
    """Rows for analysts."""

    tables: ClassVar[tuple[FactTable, ...]]

    @abstractmethod
    def rows(self, recorded: RecordedEvent) -> Iterable[tuple[FactTable, Sequence[Any]]]:
        """Rows that the event adds; a row with the key of an older one replaces it."""
