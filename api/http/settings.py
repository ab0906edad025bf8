"""How the HTTP API is set up: limits and waits. Tests and operators may choose others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How often things may be asked for, per minute.

    ``logins`` (also registrations and tokens) is per peer address, ``commands`` per account.
    """

    logins: int = 20
    commands: int = 600


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """``max_body`` is in bytes, waits are in seconds; ``providers`` are the payment providers that can be named."""

    limits: Limits = Limits()
    max_body: int = 65_536
    longest_wait: int = 30
    position_wait: float = 2.0
    erasure_wait: float = 10.0
    heartbeat: float = 15.0
    longest_stream: float = 900.0
    providers: frozenset[str] = frozenset({"sandbox"})
