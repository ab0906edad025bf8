"""From a command to its handler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from commands import bookings, hotels, inventory, payments, reviews, users
from commands.handling import Dependencies, Handler, Handlers
from commands.ports import Answer, CommandEnvelope
from domain.shared.errors import DomainError
from domain.shared.messages import Command


class UnknownCommand(DomainError):
    """No service of this process handles such a command."""

    problem = "unknown-command"
    status = 400


def merge(*tables: Handlers) -> Handlers:
    """One table of all handlers. Raises ValueError if two of them handle the same command."""
    merged: dict[type[Command], Handler] = {}
    for table in tables:
        twice = merged.keys() & table.keys()
        if twice:
            raise ValueError(f"handled twice: {', '.join(sorted(each.name for each in twice))}")
        merged.update(table)
    return merged


def of_services(handlers: Handlers, services: Iterable[str]) -> Handlers:
    """Only the handlers of these services."""
    wanted = frozenset(services)
    return {command_type: handler for command_type, handler in handlers.items() if command_type.service() in wanted}


HANDLERS: Handlers = merge(*(service.HANDLERS for service in (users, hotels, inventory, bookings, payments, reviews)))
"""Every handler of this package; the sagas' own are added where the process is put together."""


class Dispatcher:
    """Carries out commands by their type. Idempotent by ``command_id``, because handlers are."""

    def __init__(self, dependencies: Dependencies, handlers: Mapping[type[Command], Handler] = HANDLERS) -> None:
        """``handlers``: of the services that run in this process."""
        self._dependencies = dependencies
        self._handlers = handlers

    async def handle(self, envelope: CommandEnvelope) -> Answer:
        """Carry out one command. Raises DomainError (refused), UnknownCommand among them, or whatever failed."""
        handler = self._handlers.get(type(envelope.command))
        if handler is None:
            raise UnknownCommand(f"nothing here handles {envelope.command.name or type(envelope.command).__name__}")
        return await handler(self._dependencies, envelope)
