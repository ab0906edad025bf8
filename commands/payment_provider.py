"""The port to payment providers. Every call carries a key, the same when it is repeated: it takes effect once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from domain.shared.money import Money


class ProviderTimeout(Exception):
    """No answer: the call may have taken effect or not. Ask with ``authorisation_of``, or repeat with the same key."""


class ProviderUnavailable(Exception):
    """The provider refused for lack of service: the call took no effect."""


class CaptureRefused(Exception):
    """Nothing was captured nor can be: what was reserved has lapsed, or was revoked. To repeat the call cannot help."""


@dataclass(frozen=True, slots=True)
class Authorisation:
    """``reference`` is the provider's own name for it."""

    reference: str
    outcome: Literal["authorised", "declined", "requires_action"]


class PaymentProvider(Protocol):
    """One provider of payments. Raises ProviderTimeout or ProviderUnavailable from any call."""

    name: str

    async def authorise(self, key: str, amount: Money, token: str) -> Authorisation:
        """Reserve ``amount``."""
        ...

    async def authorisation_of(self, key: str) -> Authorisation | None:
        """What became of ``authorise`` with this key; None if it never reached the provider."""
        ...

    async def resolve_action(self, reference: str, *, approve: bool) -> Authorisation:
        """What became of the guest's action (the sandbox is told the outcome, a real provider is asked)."""
        ...

    async def capture(self, key: str, reference: str, amount: Money) -> None:
        """Take ``amount`` of what is reserved. Raises CaptureRefused if the provider will not give it any more."""
        ...

    async def void(self, key: str, reference: str) -> None:
        """Give back what is reserved; no error if nothing is."""
        ...

    async def refund(self, key: str, reference: str, amount: Money) -> None:
        """Give back ``amount`` of what was captured."""
        ...
