"""Handlers of the users service."""

from __future__ import annotations

from typing import Any

from commands.handling import Dependencies, Handlers, expect
from commands.ports import Answer, CommandEnvelope, Decide
from domain.account.commands import AccountCommand, ConcludeErasure, ForgetGuest, RegisterAccount
from domain.account.decide import decide_conclude_erasure, decide_forget, decide_register
from domain.account.state import ACCOUNT, AccountState


async def register_account(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {account_id, status, version}."""
    command = expect(RegisterAccount, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_register(state, command))


async def forget_guest(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {account_id, status, version}. The erasure follows: see ``commands.forgetting``."""
    command = expect(ForgetGuest, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_forget(state, command))


async def conclude_erasure(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {account_id, status, version}."""
    command = expect(ConcludeErasure, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_conclude_erasure(state, command))


async def _execute(
    deps: Dependencies, envelope: CommandEnvelope, command: AccountCommand, decide: Decide[AccountState]
) -> Answer:
    def body(state: AccountState) -> dict[str, Any]:
        return {"account_id": str(command.account_id), "status": state.status, "version": state.version}

    return await deps.streams["users"].execute(ACCOUNT, command.account_id, decide, envelope, body=body)


HANDLERS: Handlers = {
    RegisterAccount: register_account,
    ForgetGuest: forget_guest,
    ConcludeErasure: conclude_erasure,
}
