"""Commands on their way, and what they are answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from commands.ports.events import Metadata
from domain.shared.errors import DomainError
from domain.shared.messages import Command


class Idempotency(BaseModel):
    """A client's key for one request: ``scope`` says whose key it is, ``fingerprint`` is a hash of what was asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: str
    key: str
    fingerprint: str


class IdempotencyMismatch(DomainError):
    """The key was used before for another request."""

    problem = "idempotency-mismatch"
    status = 422


class RequestInFlight(DomainError):
    """The same request is being handled at this moment; ask again after a second."""

    problem = "request-in-flight"


@dataclass(frozen=True, slots=True)
class CommandEnvelope:
    """A command on its way. Handlers are idempotent by ``command_id``."""

    command_id: UUID
    command: Command
    metadata: Metadata
    idempotency: Idempotency | None = None


class Answer(BaseModel):
    """What a command was answered: where its events are in the log (None if there were none) and what to tell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context: str
    position: str | None = None
    body: dict[str, Any] = {}


class CommandBus(Protocol):
    """Send a command to the service that handles it and wait for its answer."""

    async def send(self, envelope: CommandEnvelope) -> Answer:
        """Raises the DomainError with which the service refused, or ServiceUnavailable."""
        ...


class ServiceUnavailable(DomainError):
    """The service did not answer in time. The command may still be carried out: repeat it with the same key."""

    problem = "service-unavailable"
    status = 503
