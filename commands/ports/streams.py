"""The unit of work of every command handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel

from commands.ports.messages import Answer, CommandEnvelope
from commands.ports.timers import CancelTimer, SetTimer
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Event

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A stream's state and the version that it stands at (0: there is no such stream)."""

    stream_id: UUID
    state: S
    version: int


Decide = Callable[[S], Sequence[Event]]


class Streams(Protocol):
    """Load an aggregate, decide, commit: the unit of work of every command handler."""

    async def load(self, aggregate: Aggregate[S], stream_id: UUID) -> Loaded[S]:
        """The current state."""
        ...

    async def execute(
        self,
        aggregate: Aggregate[S],
        stream_id: UUID,
        decide: Decide[S],
        envelope: CommandEnvelope,
        *,
        body: Callable[[S], dict[str, Any]] | None = None,
        timers: Callable[[S, Sequence[Event]], Sequence[SetTimer | CancelTimer]] | None = None,
        message_id: UUID | None = None,
    ) -> Answer:
        """Decide on the current state and commit events, inbox row, idempotency record and timers as one.

        Commands for one stream are serialised; a conflict with another process is decided again on the new state.
        ``body`` makes the answer's body from the state after the events. ``message_id`` replaces the command id in
        the inbox for a handler that commits more than once. A command that was handled before is answered as then.
        Raises what ``decide`` raises; then nothing is stored.
        """
        ...
