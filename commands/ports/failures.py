"""What may go wrong at any port."""

from __future__ import annotations

from uuid import UUID

from commands.ports.events import Position


class Temporary(Exception):
    """Base of failures that are nobody's fault but a server's that is away: wait and try again, park nothing."""


class UnreadableEvent(Exception):
    """A stored event is not what this version of the code expects; the text names it and what is wrong with it."""

    def __init__(
        self, context: str, stream_id: UUID, version: int, topic: str, position: Position, cause: Exception
    ) -> None:
        super().__init__(
            f"{context}: event {version} of stream {stream_id} is stored as {topic} and cannot be read "
            f"({type(cause).__name__}: {cause}); declare an upcaster from that topic, or restore the class"
        )
        self.context = context
        self.stream_id = stream_id
        self.version = version
        self.position = position
