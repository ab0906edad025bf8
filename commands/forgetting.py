"""Forgetting a guest: everything that names the person behind an account is erased, wherever it is.

It follows from the event ``GuestForgotten``, so that what is on record and what is erased cannot differ: a process that
dies in between leaves an event that has not been handled, and every step is harmless when it is repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from commands.ports import Answer, Checkpoint, Clock, CommandEnvelope, LogRun, Position, RecordedEvent, caused_by
from domain.account.commands import ConcludeErasure
from domain.account.events import GuestForgotten


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Who is to be forgotten: ``words`` are the names, addresses and telephone numbers that they were known by."""

    account_id: UUID
    words: frozenset[str]


class PersonalTables(Protocol):
    """The tables of the users service, in which people's details are kept.

    Every method raises AccountsUnavailable when they cannot be reached.
    """

    async def forget(self, account_id: UUID, guest_ids: Sequence[UUID] = ()) -> Forgotten:
        """Delete the account, and whatever was kept for it or for one of ``guest_ids``.

        The words that are to be looked for elsewhere are kept, apart from everything, until ``conclude``.
        """
        ...

    async def conclude(self, account_id: UUID) -> None:
        """Forget the words too; no error if there are none."""
        ...


class Traces(Protocol):
    """One store outside of those tables in which a person may have left traces."""

    async def erase(self, forgotten: Forgotten) -> None:
        """Erase them; harmless when repeated. Raises a Temporary error when the store is away."""
        ...


class Forgetting:
    """The feed that erases.

    ``guests_of`` finds the guests of an account's bookings, also of those that were made before it was noted whose
    guests they are. ``dispatch`` carries out a command of the users service.
    """

    name = "forgetting"
    contexts: tuple[str, ...] = ("users",)
    topics: frozenset[str] | None = frozenset({GuestForgotten.topic})
    commits_checkpoint = False

    def __init__(
        self,
        tables: PersonalTables,
        guests_of: Callable[[UUID], Awaitable[Sequence[UUID]]],
        traces: Sequence[Traces],
        dispatch: Callable[[CommandEnvelope], Awaitable[Answer]],
        clock: Clock,
    ) -> None:
        self._tables = tables
        self._guests_of = guests_of
        self._traces = traces
        self._dispatch = dispatch
        self._clock = clock

    async def handle(self, run: LogRun, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - the runner stores it
        """Erase whoever was forgotten in ``run``."""
        for recorded in run.events:
            if isinstance(recorded.event, GuestForgotten):
                await self._erase(recorded, recorded.event.account_id)

    async def resumes_at(self, checkpoint: Checkpoint) -> Position:
        """At the checkpoint: what was erased does not come back."""
        return checkpoint.position

    async def _erase(self, recorded: RecordedEvent, account_id: UUID) -> None:
        await self._tables.forget(account_id)  # first of all: it does not wait for the servers that the rest needs
        forgotten = await self._tables.forget(account_id, await self._guests_of(account_id))
        for traces in self._traces:
            await traces.erase(forgotten)
        await self._tables.conclude(account_id)
        metadata = caused_by(recorded.metadata, recorded.event_id, "system", self._clock.now())
        # Under the event's id: it is concluded once, and names the event as its cause.
        await self._dispatch(CommandEnvelope(recorded.event_id, ConcludeErasure(account_id=account_id), metadata))
