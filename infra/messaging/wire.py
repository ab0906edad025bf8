"""How events and commands look outside of the process: CloudEvents 1.0 in JSON batch format, and command messages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from commands.ports import CommandEnvelope, Idempotency, LogRun, Metadata, Position, RecordedEvent, replace_metadata
from domain.saga.events import SagaCommandIssued
from domain.shared.messages import command_types
from domain.shared.topics import TopicError, lift, stored_as

EVENTS_CONTENT_TYPE = "application/cloudevents-batch+json"
COMMANDS_CONTENT_TYPE = "application/json"


class CloudEvent(BaseModel):
    """One recorded event. ``subject`` is its stream, ``type`` its topic, ``time`` its time in the business sense.

    The extension attributes are ours: ``streamversion`` counts in the stream from 1, ``position`` is
    ``<transaction>.<notification>`` in the log of the context that ``source`` names.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    source: str = Field(examples=["/nightledger/inventory"])
    type: str = Field(examples=["inventory.v1.RoomsHeld"])
    subject: UUID
    time: dt.datetime
    datacontenttype: Literal["application/json"] = "application/json"
    recordedtime: dt.datetime
    streamversion: int
    position: str
    correlationid: UUID
    causationid: UUID | None = None
    actor: str
    historic: bool = False
    traceparent: str | None = None
    data: dict[str, Any]

    @classmethod
    def of(cls, recorded: RecordedEvent) -> CloudEvent:
        """The CloudEvent of a recorded event."""
        metadata = recorded.metadata
        return cls(
            id=recorded.event_id,
            source=f"/nightledger/{recorded.context}",
            type=recorded.event.topic,
            subject=recorded.stream_id,
            time=metadata.at,
            recordedtime=recorded.recorded_at,
            streamversion=recorded.version,
            position=str(recorded.position),
            correlationid=metadata.correlation_id,
            causationid=metadata.causation_id,
            actor=metadata.actor,
            historic=metadata.historic,
            traceparent=metadata.traceparent,
            data=recorded.event.model_dump(mode="json"),
        )

    def recorded(self) -> RecordedEvent:
        """The recorded event, lifted to the current version. Raises TopicError for a topic that this code lacks."""
        event_type, state = lift(self.type, self.data)
        return RecordedEvent(
            event_id=self.id,
            context=self.source.rpartition("/")[2],
            stream_id=self.subject,
            version=self.streamversion,
            event=event_type.model_validate(state),
            metadata=Metadata(
                correlation_id=self.correlationid,
                causation_id=self.causationid,
                actor=self.actor,
                at=self.time,
                historic=self.historic,
                traceparent=self.traceparent,
            ),
            recorded_at=self.recordedtime,
            position=Position.parse(self.position),
        )


class CommandMessage(BaseModel):
    """A command on its way between processes: wire name and content, not yet looked up."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    command_id: UUID
    command: str = Field(examples=["inventory.HoldRooms"])
    content: dict[str, Any]
    metadata: Metadata
    idempotency: Idempotency | None = None

    @classmethod
    def of(cls, envelope: CommandEnvelope) -> Self:
        """The message of an envelope."""
        return cls(
            command_id=envelope.command_id,
            command=envelope.command.name,
            content=envelope.command.model_dump(mode="json"),
            metadata=envelope.metadata,
            idempotency=envelope.idempotency,
        )

    @classmethod
    def issued(cls, recorded: RecordedEvent) -> Self | None:
        """The command that a saga issued with this event; None if the event is of another kind."""
        event = recorded.event
        if not isinstance(event, SagaCommandIssued):
            return None
        return cls(
            command_id=event.command_id,
            command=event.command,
            content=event.content,
            metadata=replace_metadata(recorded.metadata, causation_id=recorded.event_id, actor=f"saga:{event.saga}"),
        )

    @property
    def service(self) -> str:
        """The service that handles it."""
        return self.command.partition(".")[0]

    def envelope(self) -> CommandEnvelope:
        """The command itself. Raises TopicError for a name that this code lacks, ValidationError for wrong content."""
        if self.command not in command_types:
            raise TopicError(f"command {self.command!r} is not known to this version of the code")
        return CommandEnvelope(
            self.command_id,
            command_types[self.command].model_validate(self.content),
            self.metadata,
            self.idempotency,
        )


_events = TypeAdapter(list[CloudEvent])
_commands = TypeAdapter(list[CommandMessage])


def encode_events(events: Sequence[RecordedEvent]) -> bytes:
    """A CloudEvents JSON batch."""
    return _events.dump_json([CloudEvent.of(recorded) for recorded in events])


def decode_run(body: bytes, context: str, after: Position, position: Position, topics: frozenset[str] | None) -> LogRun:
    """The events of a batch that lie beyond ``after`` and bear one of ``topics`` (None: all).

    Raises ValidationError for a body that is not a batch, TopicError for a topic that this code lacks.
    """
    names = None if topics is None else stored_as(topics)
    events = tuple(
        cloud_event.recorded()
        for cloud_event in _events.validate_json(body)
        if Position.parse(cloud_event.position) > after and (names is None or cloud_event.type in names)
    )
    return LogRun(context, after, position, events)


def split_run(run: LogRun, at_most: int) -> Iterator[LogRun]:
    """``run`` as consecutive runs, each of one event, or of more whose content takes up to ``at_most`` bytes of JSON.

    What a message has besides, some hundred bytes an event, is not counted. A command is part of the content of the
    event that records it: so this bounds the messages with the commands of a run too.
    """
    prev, begin, size = run.prev, 0, 0
    for end, recorded in enumerate(run.events):
        added = len(recorded.event.model_dump_json().encode())
        if end > begin and size + added > at_most:
            position = run.events[end - 1].position
            yield replace(run, prev=prev, position=position, events=run.events[begin:end])
            prev, begin, size = position, end, 0
        size += added
    yield replace(run, prev=prev, events=run.events[begin:])


def encode_commands(messages: Iterable[CommandMessage]) -> bytes:
    """A run of commands as a JSON array."""
    return _commands.dump_json(list(messages))


def decode_commands(body: bytes) -> list[CommandMessage]:
    """Raises ValidationError for a body that is not a run of commands."""
    return _commands.validate_json(body)
