"""What an account's history allows. Accounts may be older than their streams: each of them can be forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from domain.account.commands import ConcludeErasure, ForgetGuest, RegisterAccount
from domain.account.events import AccountRegistered, GuestForgotten, PersonalDataErased
from domain.account.state import AccountState
from domain.shared.errors import IllegalTransition
from domain.shared.messages import Event


def decide_register(state: AccountState, command: RegisterAccount) -> Sequence[Event]:
    """Register, once; what is forgotten stays forgotten."""
    if state.status != "unheard_of":
        return []
    return [AccountRegistered(account_id=command.account_id, roles=command.roles)]


def decide_forget(state: AccountState, command: ForgetGuest) -> Sequence[Event]:
    """Forget, once; and again if the account has been made anew since, as a demo's accounts are."""
    if state.status == "forgotten":
        return []
    return [GuestForgotten(account_id=command.account_id, reason=command.reason)]


def decide_conclude_erasure(state: AccountState, command: ConcludeErasure) -> Sequence[Event]:
    """Conclude, once. Raises IllegalTransition unless the account was forgotten."""
    if state.status == "erased":
        return []
    if state.status != "forgotten":
        raise IllegalTransition(f"account {command.account_id} is not forgotten: nothing of it may be erased")
    return [PersonalDataErased(account_id=command.account_id)]
