"""How a command envelope is written down: in timers, in dead letters and in messages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from commands.ports import CommandEnvelope, Idempotency, Metadata
from domain.shared.messages import command_types
from domain.shared.topics import TopicError


class _StoredEnvelope(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    command_id: UUID
    name: str
    content: dict[str, Any]
    metadata: Metadata
    idempotency: Idempotency | None = None


def encode_envelope(envelope: CommandEnvelope) -> str:
    """JSON with ``command_id``, ``name`` (the command's wire name), ``content``, ``metadata`` and ``idempotency``."""
    return _StoredEnvelope(
        command_id=envelope.command_id,
        name=envelope.command.name,
        content=envelope.command.model_dump(mode="json"),
        metadata=envelope.metadata,
        idempotency=envelope.idempotency,
    ).model_dump_json()


def decode_envelope(text: str | bytes) -> CommandEnvelope:
    """Read what ``encode_envelope`` wrote. Raises TopicError for an unknown command, else ValidationError."""
    stored = _StoredEnvelope.model_validate_json(text)
    if stored.name not in command_types:
        raise TopicError(f"command {stored.name!r} is not known to this version of the code")
    command = command_types[stored.name].model_validate(stored.content)
    return CommandEnvelope(stored.command_id, command, stored.metadata, stored.idempotency)
