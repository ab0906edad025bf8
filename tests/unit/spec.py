"""Specifications of decisions that read like sentences.

``given(INVENTORY, opened, held).when(lambda state: decide_hold(state, command)).then(RoomsHeld(...))``; or
``.then_nothing()``, ``.then_refused(Forbidden)``, or ``.then_events()`` to look at them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pytest
from pydantic import BaseModel

from domain.shared.aggregate import Aggregate
from domain.shared.errors import DomainError
from domain.shared.messages import Event

S = TypeVar("S", bound=BaseModel)
E = TypeVar("E", bound=DomainError)


@dataclass(frozen=True)
class Outcome(Generic[S]):
    """What a decision came to; it is made when the sentence ends."""

    aggregate: Aggregate[S]
    state: S
    decide: Callable[[S], Sequence[Event]]

    def then(self, *expected: Event) -> None:
        """Exactly these events happen, and the state can be kept as JSON afterwards."""
        assert self.then_events() == list(expected)

    def then_nothing(self) -> None:
        """Nothing happens, and nothing is refused."""
        assert self.then_events() == []

    def then_events(self) -> list[Event]:
        """The events that happen; folding them gives a state that survives being kept as a snapshot."""
        events = list(self.decide(self.state))
        after = self.aggregate.fold(events, self.state)
        assert type(after).model_validate_json(after.model_dump_json()) == after
        return events

    def then_refused(self, error: type[E], *fields: str) -> E:
        """It is refused with exactly this error, about these fields (as a set, if any are named)."""
        with pytest.raises(error) as caught:
            self.decide(self.state)
        assert caught.type is error
        if fields:
            assert {field for field, _ in caught.value.errors} == set(fields)
        assert caught.value.detail
        return caught.value


@dataclass(frozen=True)
class History(Generic[S]):
    """What has happened so far."""

    aggregate: Aggregate[S]
    events: tuple[Event, ...]

    @property
    def state(self) -> S:
        """Where that has led."""
        return self.aggregate.fold(self.events)

    def when(self, decide: Callable[[S], Sequence[Event]]) -> Outcome[S]:
        """Decide on it."""
        return Outcome(self.aggregate, self.state, decide)

    def and_when(self, decide: Callable[[S], Sequence[Event]]) -> History[S]:
        """Let a decision's events happen, too."""
        return History(self.aggregate, (*self.events, *decide(self.state)))


def given(aggregate: Aggregate[S], *events: Event) -> History[S]:
    """Begin a sentence with what has happened."""
    return History(aggregate, events)
