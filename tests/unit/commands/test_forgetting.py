"""The feed that erases, stopped at every step and handed the same event again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from commands.accounts import Account, Person, Remark
from commands.dispatch import Dispatcher
from commands.forgetting import Forgetting, Forgotten
from commands.ports import START, Answer, Checkpoint, CommandEnvelope, LogRun, RecordedEvent, Temporary
from domain.account.events import GuestForgotten, PersonalDataErased
from tests.fake_accounts import MemoryAccounts
from tests.fakes import NOW, Fakes

WHO, GUEST, OLD_GUEST = (UUID(int=number) for number in range(1, 4))
ANN = Account(WHO, "ann@example.org", "Ann Oak", "123456", None, frozenset({"guest"}), "hash", NOW)
BEN = Account(UUID(int=9), "ben@example.org", "Ben Elm", None, None, frozenset({"guest"}), "hash", NOW)


class Killed(BaseException):
    """The process ends at this point."""


class Stage:
    """Everything that a feed meets; it is killed at the ``kill_at``-th of its steps."""

    def __init__(self, kill_at: int = 0) -> None:
        self.fakes = Fakes()
        self.accounts = MemoryAccounts()
        self.seen: list[Forgotten] = []
        self._left = kill_at
        self._dispatcher = Dispatcher(self.fakes.dependencies)

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed

    def feed(self) -> Forgetting:
        return Forgetting(self, self.guests_of, [self], self.dispatch, self.fakes.clock)

    async def forget(self, account_id: UUID, guest_ids: Sequence[UUID] = ()) -> Forgotten:
        self.step()
        return await self.accounts.forget(account_id, guest_ids)

    async def conclude(self, account_id: UUID) -> None:
        self.step()
        await self.accounts.conclude(account_id)

    async def guests_of(self, account_id: UUID) -> list[UUID]:
        self.step()
        return [GUEST, OLD_GUEST] if account_id == WHO else []

    async def erase(self, forgotten: Forgotten) -> None:
        self.step()
        self.seen.append(forgotten)

    async def dispatch(self, envelope: CommandEnvelope) -> Answer:
        self.step()
        answer = await self._dispatcher.handle(envelope)
        self.step()
        return answer

    async def fill(self) -> RecordedEvent:
        """Two accounts; one of them is forgotten."""
        for account in (ANN, BEN):
            await self.accounts.register(account)
            await self.accounts.open_session(uuid4(), account.account_id, "token", NOW + dt.timedelta(days=1))
            await self.accounts.keep_remark(Remark(uuid4(), account.account_id, f"{account.name} is ill"))
        await self.accounts.remember_person(Person(GUEST, "Cat Oak", "cat@example.org", None, WHO))
        await self.accounts.remember_person(Person(OLD_GUEST, "Dan Oak", "dan@example.org"))
        self.fakes.streams["users"].given(WHO, GuestForgotten(account_id=WHO, reason="own_wish"))
        return self.fakes.streams["users"].log[-1]


async def handed(feed: Forgetting, recorded: RecordedEvent) -> None:
    run = LogRun("users", START, recorded.position, (recorded,))
    await feed.handle(run, Checkpoint(feed.name, "users", recorded.position))


@pytest.mark.parametrize("kill_at", range(8))
async def test_wherever_it_is_killed_the_next_attempt_leaves_nothing(kill_at: int) -> None:
    stage = Stage(kill_at)
    recorded = await stage.fill()
    if kill_at:
        with pytest.raises(Killed):
            await handed(stage.feed(), recorded)
    await handed(stage.feed(), recorded)
    assert await stage.accounts.by_id(WHO) is None
    assert [await stage.accounts.person(guest) for guest in (GUEST, OLD_GUEST)] == [None, None]
    assert not stage.accounts.erasures
    names = {"Ann Oak", "ann@example.org", "123456", "Cat Oak", "cat@example.org", "Dan Oak", "dan@example.org"}
    assert stage.seen[0] == Forgotten(WHO, frozenset(names)), "what is looked for elsewhere is known until it is done"
    assert stage.fakes.streams["users"].events(WHO)[1:] == [PersonalDataErased(account_id=WHO)]
    assert stage.fakes.streams["users"].log[-1].metadata.causation_id == recorded.event_id
    assert await stage.accounts.by_id(BEN.account_id) == BEN
    assert len(stage.accounts.sessions) == len(stage.accounts.kept_remarks) == 1


async def test_the_account_goes_first_whatever_else_is_away() -> None:
    stage = Stage()
    recorded = await stage.fill()

    async def nobody_answers(_: UUID) -> list[UUID]:
        raise Temporary

    feed = Forgetting(stage, nobody_answers, [stage], stage.dispatch, stage.fakes.clock)
    with pytest.raises(Temporary):
        await handed(feed, recorded)
    assert await stage.accounts.by_id(WHO) is None
    assert stage.accounts.erasures
