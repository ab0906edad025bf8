"""What can be asked of an account."""

from __future__ import annotations

from uuid import UUID

from domain.account.events import ForgettingReason
from domain.shared.messages import Command


class AccountCommand(Command):
    """Fields that every command of the aggregate has; the stream is ``account_id``."""

    account_id: UUID


class RegisterAccount(AccountCommand, name="users.RegisterAccount"):
    """Put on record that somebody has made an account. Answers {account_id, status, version}."""

    roles: tuple[str, ...]


class ForgetGuest(AccountCommand, name="users.ForgetGuest"):
    """Forget whoever has the account; what names them is erased after the answer. Answers as above."""

    reason: ForgettingReason = "own_wish"


class ConcludeErasure(AccountCommand, name="users.ConcludeErasure"):
    """Put on record that nothing names the person any more. Answers as above."""
