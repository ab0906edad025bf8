"""What a saga is: a pure process manager. It is told what happened and says what to do next.

``react(state, happening) -> Reaction``: the next state, commands to issue and deadlines to keep. Time, ids and prices
come in with the happening. The runtime (``sagas.runtime``) loads the state, stores every reaction as events of the
saga's own stream in one commit with the feed's checkpoint, and knows nothing of what the saga is about.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

from domain.shared.messages import Command, Event

RETRY_AFTER = dt.timedelta(seconds=30)
RETRY_AT_MOST_AFTER = dt.timedelta(minutes=10)

SagaStatus = Literal["running", "finished", "quarantined"]


class UnplannedHappening(Exception):
    """Something that no plan of this saga leads to; a person has to look at it."""


class SagaState(BaseModel):
    """Base of every saga's state. ``step`` names what is being waited for; ``status`` finished ends it."""

    # That a state cannot be read is told in notes for ever; what it holds (means of payment) must not be quoted there.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    saga_id: UUID
    step: str
    status: SagaStatus = "running"
    attempts: int = 1
    """How often the command of this step has been issued."""


S = TypeVar("S", bound=SagaState)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a saga is told: an event of some context, or a deadline that has passed.

    ``at`` is when the saga is told, which imported history dates back to its own time; waits count from it.
    ``deadline`` is the step whose deadline has passed, then ``event`` is None.
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

    ``deadline``: when the new step must have ended; None: the step has none. A deadline replaces the one before,
    unless ``keep_deadline`` says that the saga still waits for the same thing.
    """

    state: S | None
    commands: tuple[Issue, ...] = ()
    deadline: dt.datetime | None = None
    keep_deadline: bool = False
    note: str = ""


def reacting(
    begin: Mapping[type[Event], Callable[[Any, dt.datetime], Reaction[S]]],
    reactions: Mapping[type[Event], Callable[[S, Any, dt.datetime], Reaction[S]]],
    deadline_passed: Callable[[S, str, dt.datetime], Reaction[S]],
) -> Callable[[S | None, Happening], Reaction[S]]:
    """A ``react`` of one function for each event that begins the saga, or concerns one; all others are ignored."""

    def react(state: S | None, happening: Happening) -> Reaction[S]:
        if state is not None and happening.deadline is not None:
            return deadline_passed(state, happening.deadline, happening.at)
        if happening.event is None:
            return Reaction(None)
        kind = type(happening.event)
        if state is None:
            return begin[kind](happening.event, happening.at) if kind in begin else Reaction(None)
        return reactions[kind](state, happening.event, happening.at) if kind in reactions else Reaction(None)

    return react


def noted(state: S, **known: Any) -> Reaction[S]:
    """Remember something while waiting for the same thing as before."""
    return Reaction(state.model_copy(update=known), keep_deadline=True)


def finished(state: S, step: str) -> Reaction[S]:
    """Nothing is waited for any more."""
    return Reaction(state.model_copy(update={"step": step, "status": "finished", "attempts": 1}))


@dataclass(frozen=True, slots=True)
class Saga(Generic[S]):
    """One kind of saga.

    ``routes``: for each event type that concerns it, how to find the id of the thing (booking) that it is about; None:
    this one is about something else.
    ``starts``: event types that begin a saga; other events of an unknown saga are ignored.
    """

    name: str
    state_type: type[S]
    starts: frozenset[type[Event]]
    routes: Mapping[type[Event], Callable[[Event], UUID | None]]
    react: Callable[[S | None, Happening], Reaction[S]]
    commands: frozenset[type[Command]] = field(default=frozenset())
    """Command types that it may issue."""
    compensate: Callable[[S, dt.datetime], Reaction[S]] | None = None
    """Gives everything back because an operator says so; raises IllegalTransition where that is too late.

    None: the saga knows no way back.
    """
    refuse: Callable[[Event, dt.datetime], Reaction[S]] | None = None
    """Ends, because an operator says so, what failed on the very event (given) that should have begun the saga.

    Nothing was taken then; but whoever asked has to be told. None: the saga can only be retried.
    """

    def saga_id(self, subject: UUID) -> UUID:
        """The id, and stream, of the saga about ``subject``."""
        return uuid5(subject, self.name)


def command_id(saga_id: UUID, purpose: str) -> UUID:
    """The id of the command that a saga issues for ``purpose``."""
    return uuid5(saga_id, purpose)


def booking_of(event: Event) -> UUID:
    """The booking that an event is about. Raises AttributeError for an event that names none."""
    booking_id: UUID = getattr(event, "booking_id")  # noqa: B009 - the base class of events does not know the field
    return booking_id


def retry_at(at: dt.datetime, attempt: int) -> dt.datetime:
    """When a command that must succeed, issued at ``at`` for the ``attempt``-th time, is issued again.

    The wait doubles from 30 s up to 10 minutes.
    """
    doublings = min(attempt - 1, 10)
    return at + min(RETRY_AFTER * (1 << doublings), RETRY_AT_MOST_AFTER)


def purpose(step: str, attempt: int) -> str:
    """The purpose of a step's command: ``void`` at first, then ``void:2``, ``void:3`` and so on."""
    return step if attempt == 1 else f"{step}:{attempt}"
