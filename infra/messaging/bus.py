"""How a request's command finds its service: in this process, or over the broker."""

from __future__ import annotations

from collections.abc import Collection

from commands.ports import Answer, CommandBus, CommandEnvelope, ServiceUnavailable, Temporary
from infra.messaging.delivery import Dispatch


class LocalBus:
    """Hands commands to the dispatcher of this process."""

    def __init__(self, dispatch: Dispatch, services: Collection[str]) -> None:
        """``services`` run in this process."""
        self._dispatch = dispatch
        self._services = frozenset(services)

    def serves(self, service: str) -> bool:
        """Whether the service runs here."""
        return service in self._services

    async def send(self, envelope: CommandEnvelope) -> Answer:
        """See CommandBus. Raises ServiceUnavailable for a service that does not run here."""
        service = envelope.command.service()
        if not self.serves(service):
            raise ServiceUnavailable(f"the service {service!r} does not run in this process, and there is no broker")
        try:
            return await self._dispatch(envelope)
        except Temporary as error:
            raise ServiceUnavailable(f"{service} cannot answer now ({error}); send the request again") from error


class Bus:
    """Takes the short way where the service runs here, the broker otherwise."""

    def __init__(self, local: LocalBus, remote: CommandBus | None) -> None:
        """``remote`` None: there is no broker, everything has to run here."""
        self._local = local
        self._remote = remote

    async def send(self, envelope: CommandEnvelope) -> Answer:
        """See CommandBus."""
        if self._remote is None or self._local.serves(envelope.command.service()):
            return await self._local.send(envelope)
        return await self._remote.send(envelope)
