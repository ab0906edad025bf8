"""Accounts: registered once, forgotten once, and erased only after that."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.account.commands import ConcludeErasure, ForgetGuest, RegisterAccount
from domain.account.decide import decide_conclude_erasure, decide_forget, decide_register
from domain.account.events import AccountRegistered, GuestForgotten, PersonalDataErased
from domain.account.state import ACCOUNT, AccountState
from domain.shared.errors import IllegalTransition
from domain.shared.messages import Event

WHO = UUID(int=7)
REGISTERED = AccountRegistered(account_id=WHO, roles=("guest",))
FORGOTTEN = GuestForgotten(account_id=WHO, reason="own_wish")
ERASED = PersonalDataErased(account_id=WHO)


def after(*events: Event) -> AccountState:
    return ACCOUNT.fold(events)


@pytest.mark.parametrize(
    ("given", "then"), [((), [REGISTERED]), ((REGISTERED,), []), ((FORGOTTEN,), []), ((REGISTERED, FORGOTTEN), [])]
)
def test_an_account_is_registered_once(given: tuple[Event, ...], then: list[Event]) -> None:
    assert decide_register(after(*given), RegisterAccount(account_id=WHO, roles=("guest",))) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        ((REGISTERED,), [FORGOTTEN]),
        ((), [FORGOTTEN]),
        ((REGISTERED, FORGOTTEN), []),
        ((FORGOTTEN, ERASED), [FORGOTTEN]),
    ],
)
def test_an_account_is_forgotten_once_even_if_it_is_older_than_its_stream_and_again_if_made_anew(
    given: tuple[Event, ...], then: list[Event]
) -> None:
    assert decide_forget(after(*given), ForgetGuest(account_id=WHO)) == then


@pytest.mark.parametrize(("given", "then"), [((FORGOTTEN,), [ERASED]), ((FORGOTTEN, ERASED), [])])
def test_an_erasure_is_concluded_once(given: tuple[Event, ...], then: list[Event]) -> None:
    assert decide_conclude_erasure(after(*given), ConcludeErasure(account_id=WHO)) == then


@pytest.mark.parametrize("given", [(), (REGISTERED,)])
def test_nothing_of_an_account_that_is_not_forgotten_is_erased(given: tuple[Event, ...]) -> None:
    with pytest.raises(IllegalTransition, match="not forgotten"):
        decide_conclude_erasure(after(*given), ConcludeErasure(account_id=WHO))


def test_the_state_knows_who_is_forgotten() -> None:
    assert [after(*events).is_forgotten for events in [(), (REGISTERED,), (FORGOTTEN,), (FORGOTTEN, ERASED)]] == [
        False,
        False,
        True,
        True,
    ]
    assert after(REGISTERED, FORGOTTEN, ERASED) == AccountState(version=3, status="erased")
