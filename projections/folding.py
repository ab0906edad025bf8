"""A document while events are folded into it."""

from __future__ import annotations

from uuid import UUID

from commands.ports import Position, RecordedEvent
from projections.ports import Document, FoldedDocument
from projections.projection import DocumentProjection


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
