"""How commands find their handlers: free functions, one module per context, each with a ``HANDLERS`` table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from commands.payment_provider import PaymentProvider
from commands.ports import Answer, Clock, CommandEnvelope, NewId, Streams
from domain.shared.messages import Command


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What handlers may use. ``streams`` by context; ``providers`` by name (``sandbox``)."""

    streams: Mapping[str, Streams]
    clock: Clock
    new_id: NewId
    providers: Mapping[str, PaymentProvider]


Handler = Callable[[Dependencies, CommandEnvelope], Awaitable[Answer]]
"""Carries out one command. Raises DomainError (a refusal: nothing was stored) or anything else (a failure: repeat it).

Idempotent by ``envelope.command_id``."""

Handlers = Mapping[type[Command], Handler]

C = TypeVar("C", bound=Command)


def expect(command_type: type[C], envelope: CommandEnvelope) -> C:
    """The command in ``envelope``. Raises TypeError if a handler was registered for another type than it takes."""
    if not isinstance(envelope.command, command_type):
        raise TypeError(f"the handler of {command_type.__name__} was given {type(envelope.command).__name__}")
    return envelope.command
