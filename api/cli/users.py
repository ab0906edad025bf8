"""``nightledger users``: accounts that operators make for others."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import httpx
import typer

from api.cli.host import Host
from api.cli.output import call, out, print_json, with_client


class RoleName(StrEnum):
    """What an account may be made for: ``commands.accounts.ROLES``."""

    GUEST = "guest"
    HOTELIER = "hotelier"
    OPERATOR = "operator"
    ANALYST = "analyst"
    ADMIN = "admin"


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command group to ``app``."""
    group = typer.Typer(help="Accounts that operators make for others.", no_args_is_help=True)
    app.add_typer(group, name="users")

    @group.callback()
    def users() -> None:
        """Accounts that operators make for others."""

    @group.command("create")
    def create_user(
        email: str,
        *,
        role: Annotated[list[RoleName], typer.Option(help="May be repeated.")],
        name: Annotated[str, typer.Option(help="What the person is called; by default the address.")] = "",
        why: Annotated[str, typer.Option(help="Goes on record.")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False,
    ) -> None:
        """Make an account, with a password that is made up and shown this once."""
        body = {"email": email, "name": name or email, "roles": role, "why": why}
        with_client(host, lambda client: _create(client, body, as_json=as_json))


async def _create(client: httpx.AsyncClient, body: Mapping[str, object], *, as_json: bool) -> None:
    made = await call(client, "POST", "/v1/ops/users", json=body)
    if as_json:
        print_json(made)
        return
    out.print(f"user     {made['user_id']} ({', '.join(made['roles'])})", highlight=False, markup=False)
    out.print(f"password {made['password']}", highlight=False, markup=False)
