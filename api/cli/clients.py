"""``nightledger clients``: machines that use the API in their own name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import httpx
import typer

from api.cli.host import Host
from api.cli.output import call, out, print_json, show, with_client
from api.cli.users import RoleName

_COLUMNS = ("client_id", "name", "roles", "created_at", "revoked")


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command group to ``app``."""
    group = typer.Typer(help="Machines that use the API in their own name.", no_args_is_help=True)
    app.add_typer(group, name="clients")

    @group.command("create")
    def create_client(
        name: str,
        *,
        role: Annotated[list[RoleName], typer.Option(help="May be repeated.")],
        why: Annotated[str, typer.Option(help="Goes on record.")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False,
    ) -> None:
        """Let a machine in, by an id and a secret that is shown this once."""
        body = {"name": name, "roles": role, "why": why}
        with_client(host, lambda client: _create(client, body, as_json=as_json))

    @group.command("list")
    def list_clients(*, as_json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False) -> None:
        """List them, newest first, also those that are let in no more."""
        with_client(host, lambda client: _list(client, as_json=as_json))

    @group.command("revoke")
    def revoke_client(client_id: UUID, *, why: Annotated[str, typer.Option(help="Goes on record.")] = "") -> None:
        """Let a machine in no more; its tokens end at once."""
        with_client(host, lambda client: _revoke(client, client_id, why))


async def _create(client: httpx.AsyncClient, body: Mapping[str, object], *, as_json: bool) -> None:
    made = await call(client, "POST", "/v1/ops/clients", json=body)
    if as_json:
        print_json(made)
        return
    out.print(f"client {made['client_id']} ({', '.join(made['roles'])})", highlight=False, markup=False)
    out.print(f"secret {made['client_secret']}", highlight=False, markup=False)


async def _list(client: httpx.AsyncClient, *, as_json: bool) -> None:
    show((await call(client, "GET", "/v1/ops/clients"))["items"], _COLUMNS, as_json=as_json)


async def _revoke(client: httpx.AsyncClient, client_id: UUID, why: str) -> None:
    revoked = await call(client, "POST", f"/v1/ops/clients/{client_id}/revoke", json={"why": why})
    out.print(f"client {revoked['client_id']} is let in no more", highlight=False, markup=False)
