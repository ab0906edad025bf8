"""How a saga is stored: each reaction is one SagaReacted, followed by one SagaCommandIssued per command.

They live in the bookings context. The relay publishes SagaCommandIssued as the command that it carries, so that
recording a command and sending it cannot differ.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.shared.messages import Command, Event, command_types
from domain.shared.topics import TopicError


class Untold(BaseModel):
    """Something that a quarantined saga has not taken in: an event (wire name, content), or its step's ``deadline``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str = ""
    content: dict[str, Any] = {}
    deadline: str | None = None


class SagaReacted(Event, topic="bookings.v1.SagaReacted"):
    """``state`` is the saga's state from now on; ``cause`` names what led to it: event, deadline or operator.

    ``status`` is running, finished or quarantined: then ``note`` is the error, ``state`` the last good state (empty if
    there was none), and ``untold`` what has to be told again, oldest first. ``deadline`` is in real time.
    """

    saga_id: UUID
    saga: str
    subject_id: UUID
    step: str
    status: str
    cause: str
    state: dict[str, Any]
    deadline: dt.datetime | None = None
    note: str = ""
    untold: tuple[Untold, ...] = ()


class SagaCommandIssued(Event, topic="bookings.v1.SagaCommandIssued"):
    """The saga wants ``command`` (wire name and content) to be carried out, once, under ``command_id``."""

    saga_id: UUID
    saga: str
    command_id: UUID
    command: str
    content: dict[str, Any]

    def to_command(self) -> Command:
        """The command itself. Raises TopicError if this version of the code does not know it."""
        if self.command not in command_types:
            raise TopicError(f"saga command {self.command!r} is not known to this version of the code")
        return command_types[self.command].model_validate(self.content)
