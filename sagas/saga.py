"""What a saga is: a pure process manager. It is told what happened and says what to do next.

``react(state, happening) -> Reaction``: the next state, commands to issue and deadlines to keep. Time, ids and prices
come in with the happening. The runtime (``sagas.runtime``) loads the state, stores every reaction as events of the
saga's own stream in one commit with the feed's checkpoint, and knows nothing of what the saga is about.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

from domain.shared.messages import Command, Event

SagaStatus = Literal["running", "finished", "quarantined"]


class SagaState(BaseModel):
    """Base of every saga's state. ``step`` names what is being waited for; ``status`` finished ends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    saga_id: UUID
    step: str
    status: SagaStatus = "running"


S = TypeVar("S", bound=SagaState)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a saga is told: an event of some context, or a deadline that has passed.

    ``at`` is its business time. ``deadline`` is the step whose deadline has passed, then ``event`` is None.
    """

    at: dt.datetime
    event: Event | None = None
    deadline: str | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """A command to issue. ``purpose`` is unique within the saga: the same purpose is the same command id, for ever."""

    purpose: str
    command: Command


@dataclass(frozen=True, slots=True)
class Reaction(Generic[S]):
    """``state`` None: the happening changes nothing (a duplicate, or one that came too late to matter).

    ``deadline``: when the new step must have ended; None: the step has none. A deadline replaces the one before.
    """

    state: S | None
    commands: tuple[Issue, ...] = ()
    deadline: dt.datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Saga(Generic[S]):
    """One kind of saga.

    ``routes``: for each event type that concerns it, how to find the id of the thing (booking) that it is about.
    ``starts``: event types that begin a saga; other events of an unknown saga are ignored.
    """

    name: str
    state_type: type[S]
    starts: frozenset[type[Event]]
    routes: Mapping[type[Event], Callable[[Event], UUID]]
    react: Callable[[S | None, Happening], Reaction[S]]
    commands: frozenset[type[Command]] = field(default=frozenset())
    """Command types that it may issue."""

    def saga_id(self, subject: UUID) -> UUID:
        """The id, and stream, of the saga about ``subject``."""
        return uuid5(subject, self.name)


def command_id(saga_id: UUID, purpose: str) -> UUID:
    """The id of the command that a saga issues for ``purpose``."""
    return uuid5(saga_id, purpose)


def hold_id(booking_id: UUID) -> UUID:
    """The id of the hold that a booking's saga asks for."""
    return uuid5(booking_id, "hold")
