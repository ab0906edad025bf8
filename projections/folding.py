"""What a projection makes of an event; what it cannot take is named. And a document while events are folded into it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from commands.ports import Position, RecordedEvent
from projections.ports import CalendarWrite, Document, FactTable, FoldedDocument
from projections.projection import CalendarProjection, DocumentProjection, FactProjection


class CannotApply(Exception):
    """A projection failed on an event. Carries both, so that the operator sees which event it was."""

    def __init__(self, projection: str, recorded: RecordedEvent, cause: Exception) -> None:
        super().__init__(
            f"{projection} cannot apply {recorded.event.topic} ({recorded.event_id}, {recorded.context} "
            f"{recorded.position}, stream {recorded.stream_id} version {recorded.version}): "
            f"{type(cause).__name__}: {cause}"
        )
        self.projection = projection
        self.recorded = recorded
        self.cause = cause


def writes_of(projection: CalendarProjection, recorded: RecordedEvent) -> Sequence[CalendarWrite]:
    """What an event writes into calendars. Raises CannotApply."""
    try:
        return projection.writes(recorded)
    except Exception as error:
        raise CannotApply(projection.name, recorded, error) from error


def rows_of(projection: FactProjection, recorded: RecordedEvent) -> Sequence[tuple[FactTable, Sequence[Any]]]:
    """The rows that an event adds. Raises CannotApply."""
    try:
        return list(projection.rows(recorded))
    except Exception as error:
        raise CannotApply(projection.name, recorded, error) from error


def page_of(projection: DocumentProjection, events: Iterable[RecordedEvent]) -> Document | None:
    """The document that the events of one stream make: as the read model will have it, and never late."""
    page: Document | None = None
    for recorded in events:
        if isinstance(recorded.event, projection.takes):
            page = projection.apply(page, recorded)
    return page


class Folding:
    """What is stored under ``key``, and what of later events has gone into it since.

    What is in it is kept per stream, not per context: when an event was parked, later ones of other streams go into
    the same document before it does.
    """

    __slots__ = ("_positions", "body", "folded", "key", "stored")

    def __init__(self, key: str, stored: FoldedDocument | None) -> None:
        self.key = key
        self.body: Document | None = stored.body if stored else None
        self.folded = stored.folded if stored else 0
        self.stored = self.folded
        """What ``folded`` is in the store; 0: nothing is there."""
        self._positions: dict[UUID, Position] = {}
        for stream, position in stored.positions.items() if stored else ():
            self._positions[UUID(stream)] = Position.parse(position)

    @property
    def changed(self) -> bool:
        """Whether there is something to save."""
        return self.folded > self.stored

    def take(self, projection: DocumentProjection, recorded: RecordedEvent) -> None:
        """Apply an event, unless it is in the document already. Raises CannotApply."""
        seen = self._positions.get(recorded.stream_id)
        if seen is not None and recorded.position <= seen:
            return
        try:
            self.body = projection.apply(self.body, recorded)
        except Exception as error:
            raise CannotApply(projection.name, recorded, error) from error
        self._positions[recorded.stream_id] = recorded.position
        self.folded += 1

    def document(self) -> FoldedDocument:
        """It, as it is to be saved."""
        positions = {str(stream): str(position) for stream, position in self._positions.items()}
        return FoldedDocument(self.key, self.body, self.folded, positions)
