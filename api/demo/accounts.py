"""One demo account per role. Their passwords are generated and kept in a file that only its owner may read."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from uuid import UUID, uuid5

from api.demo.hotels import NAMESPACE
from commands.accounts import Account, Accounts, Role
from commands.ports import Clock
from commands.security import Passwords

ROLES: tuple[Role, ...] = ("guest", "hotelier", "operator", "analyst")
Credentials = dict[str, dict[str, str]]


def account_id(role: Role) -> UUID:
    """The id of the demo account with this role."""
    return uuid5(NAMESPACE, f"account {role}")


async def open_demo_accounts(accounts: Accounts, passwords: Passwords, clock: Clock, file: Path) -> Credentials:
    """Make the accounts (again) so that what ``file`` says is true, and return it: role -> {email, password}."""
    credentials = _kept(file) or {
        role: {"email": f"{role}@demo.nightledger.example", "password": secrets.token_urlsafe(12)} for role in ROLES
    }
    for role in ROLES:
        known = await accounts.by_id(account_id(role))
        password = credentials[role]["password"]
        if known is not None and await passwords.verify(known.password_hash, password):
            continue
        account = Account(
            account_id=account_id(role),
            email=credentials[role]["email"],
            name=f"Demo {role}",
            phone=None,
            locale="en",
            roles=frozenset({role}),
            password_hash=await passwords.hash(password),
            created_at=clock.now(),
        )
        await (accounts.register(account) if known is None else accounts.update(account))
    _keep(file, credentials)
    return credentials


def _keep(file: Path, credentials: Credentials) -> None:
    """Write the file complete or not at all."""
    unfinished = file.with_suffix(".new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(credentials, stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(file)


def _kept(file: Path) -> Credentials | None:
    if not file.exists():
        return None
    kept: Credentials = json.loads(file.read_text(encoding="utf-8"))
    return kept
