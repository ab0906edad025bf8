"""How events are stored: on the ``eventsourcing`` library's Mapper, Transcoder and StoredEvent, with our wire names.

The state is the JSON of the pydantic event, validated when it is read. States that the library's stock mapper wrote
are read as well. Which stream an event belongs to, and who caused it, is around it, not in it.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from eventsourcing.persistence import (
    DatetimeAsISO,
    DecimalAsStr,
    JSONTranscoder,
    Mapper,
    StoredEvent,
    UUIDAsHex,
)
from pydantic import BaseModel

from commands.ports import Metadata, Position, RecordedEvent, UnreadableEvent
from domain.shared import topics
from domain.shared.messages import Event

_STOCK_MARK = b'"_type_"'
"""The library's own transcoder wraps values that JSON has no type for in objects with this key."""

_DECODED_KEPT = 8_192
_DECODED_KEPT_BYTES = 8_000_000
"""Of the ``state`` that events were decoded from, per context. Decoded they take eight times that (750 nights: 53 kB of
state, 440 kB of objects), small ones eleven times; so this stands for some 70 MB."""


class EventRow(NamedTuple):
    """What is inserted for one event; ``metadata`` is JSON."""

    stream_id: UUID
    version: int
    topic: str
    state: bytes
    event_id: UUID
    metadata: str


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event with its place in its stream: what the library calls a domain event."""

    originator_id: UUID
    originator_version: int
    event: Event


class EventTranscoder(JSONTranscoder):
    """Writes pydantic models as plain JSON; reads that, and what the stock transcoder wrote."""

    def __init__(self) -> None:
        super().__init__()
        for transcoding in (UUIDAsHex(), DecimalAsStr(), DatetimeAsISO()):
            self.register(transcoding)

    def encode(self, obj: Any) -> bytes:
        """JSON of ``obj``, in UTF-8."""
        if isinstance(obj, BaseModel):
            return obj.__pydantic_serializer__.to_json(obj)
        return super().encode(obj)


class EventMapper(Mapper[UUID]):
    """Maps StreamEvent to StoredEvent and back. ``Application`` takes it by its setting ``MAPPER_TOPIC``."""

    def to_stored_event(self, domain_event: StreamEvent) -> StoredEvent:  # type: ignore[override]  # ours only
        """The row of an event. Raises TopicError for an event class without a wire name."""
        event = domain_event.event
        if not event.topic:
            raise topics.TopicError(f'{type(event).__qualname__} has no wire name; declare it with topic="..."')
        state = self.transcoder.encode(event)
        if self.compressor:
            state = self.compressor.compress(state)
        if self.cipher:
            state = self.cipher.encrypt(state)
        return StoredEvent(domain_event.originator_id, domain_event.originator_version, event.topic, state)

    def to_domain_event(self, stored_event: StoredEvent) -> StreamEvent:
        """The event of a row, brought up to date. Raises TopicError or ValidationError."""
        state = stored_event.state
        if self.cipher:
            state = self.cipher.decrypt(state)
        if self.compressor:
            state = self.compressor.decompress(state)
        stream_id = stored_event.originator_id
        return StreamEvent(
            stream_id if isinstance(stream_id, UUID) else UUID(stream_id),
            stored_event.originator_version,
            decode_event(stored_event.topic, state),
        )


_transcoder = EventTranscoder()
_mapper = EventMapper(_transcoder)


def encode_event(event: Event) -> bytes:
    """The JSON that is stored and sent for ``event``."""
    return event.__pydantic_serializer__.to_json(event)


def decode_event(topic: str, state: bytes) -> Event:
    """The event that ``state`` stands for under ``topic``, lifted to its current version.

    Raises TopicError for an unknown topic, pydantic's ValidationError for a state that does not fit.
    """
    event_type: type[Event] | None = topics.type_of_topic.get(topic)
    if event_type is not None and _STOCK_MARK not in state:
        # Without the checks of its arguments that ``model_validate_json`` makes, which take a sixth of the time.
        recent: Event = event_type.__pydantic_validator__.validate_json(state)
        return recent
    event_type, lifted = topics.lift(topic, _transcoder.decode(state))
    event: Event = event_type.model_validate(lifted)
    return event


def rows_of(stream_id: UUID, after: int, events: Sequence[tuple[UUID, Event]], metadata: Metadata) -> list[EventRow]:
    """Rows that append ``events``, each with its id, to a stream that stands at version ``after``."""
    around = metadata.model_dump_json(exclude_defaults=True)
    rows = []
    for version, (event_id, event) in enumerate(events, start=after + 1):
        stored = _mapper.to_stored_event(StreamEvent(stream_id, version, event))
        rows.append(EventRow(stream_id, version, stored.topic, stored.state, event_id, around))
    return rows


@lru_cache(maxsize=2_048)
def _metadata(text: str) -> Metadata:
    around: Metadata = Metadata.__pydantic_validator__.validate_json(text)
    return around


class RecordReader:
    """Turns rows of one context's log into RecordedEvents, and keeps those that were decoded last.

    All feeds of a process read the same end of the log; each event is decoded once for all of them.
    """

    columns = (
        "transaction_id, notification_id, originator_id, originator_version, topic, state, event_id, metadata,"
        " recorded_at"
    )

    def __init__(self, context: str) -> None:
        self._context = context
        self._decoded: dict[int, RecordedEvent] = {}
        self._oldest: deque[tuple[int, int]] = deque()
        """Notification id and bytes of state of each event in ``_decoded``."""
        self._bytes = 0

    def read(self, row: asyncpg.Record) -> RecordedEvent:
        """The event of a row with ``columns``. Raises UnreadableEvent."""
        known = self._decoded.get(row[1])
        return self.decode(row) if known is None else known

    def keep(self, row: asyncpg.Record) -> RecordedEvent:
        """As ``read``, for a row that others will soon want as well: it is remembered."""
        known = self._decoded.get(row[1])
        if known is not None:
            return known
        recorded = self._decoded[row[1]] = self.decode(row)
        size = len(row["state"])
        self._oldest.append((row[1], size))
        self._bytes += size
        while len(self._oldest) > _DECODED_KEPT or self._bytes > _DECODED_KEPT_BYTES:
            oldest, size = self._oldest.popleft()
            del self._decoded[oldest]
            self._bytes -= size
        return recorded

    def decode(self, row: asyncpg.Record) -> RecordedEvent:
        """The event of a row as it is stored now, whatever is remembered of it. Raises UnreadableEvent."""
        transaction_id, notification_id, stream_id, version, topic, state, event_id, metadata, recorded_at = row
        # asyncpg's UUIDs are of a subclass, which exact-type serialisers refuse.
        stream_id, event_id = UUID(bytes=stream_id.bytes), UUID(bytes=event_id.bytes)
        position = Position(transaction_id, notification_id)
        try:
            return RecordedEvent(
                event_id,
                self._context,
                stream_id,
                version,
                decode_event(topic, state),
                self._metadata_of(metadata, event_id, recorded_at),
                recorded_at,
                position,
            )
        except Exception as error:  # upcasters and validators of the domain raise more than pydantic's own errors
            raise UnreadableEvent(self._context, stream_id, version, topic, position, error) from error

    @staticmethod
    def _metadata_of(text: str, event_id: UUID, recorded_at: dt.datetime) -> Metadata:
        if text == "{}":  # the column's default: written by the library, which knows of no metadata
            return Metadata(correlation_id=event_id, at=recorded_at)
        return _metadata(text)
