"""What an aggregate is here: a name, the context that stores it, an initial state, and a pure fold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from domain.shared.messages import Event

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Aggregate(Generic[S]):
    """One kind of stream. ``evolve(state, event)`` never fails on an event that was stored.

    ``snapshot_every`` bounds the cost of a cold load: a snapshot is kept each time that many events were added.
    ``snapshot_version`` must grow when the shape of the state changes: older snapshots are then ignored.
    """

    name: str
    context: str
    initial: S
    evolve: Callable[[S, Event], S]
    snapshot_every: int = 200
    snapshot_version: int = 1

    def fold(self, events: Iterable[Event], state: S | None = None) -> S:
        """The state after ``events``, starting from ``state`` or the beginning."""
        folded = self.initial if state is None else state
        for event in events:
            folded = self.evolve(folded, event)
        return folded
