"""``nightledger actions``: what operators ordered."""

from __future__ import annotations

from typing import Annotated

import httpx
import typer

from api.cli.host import Host
from api.cli.output import call, show, with_client

_COLUMNS = ("at", "actor", "action", "target", "why", "outcome")


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command group to ``app``."""
    group = typer.Typer(help="What operators ordered: who, what, when and why.", no_args_is_help=True)
    app.add_typer(group, name="actions")

    @group.callback()
    def actions() -> None:
        """What operators ordered: who, what, when and why."""

    @group.command("list")
    def list_actions(
        *,
        limit: Annotated[int, typer.Option("-n", min=1, max=200, help="How many at most.")] = 50,
        as_json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False,
    ) -> None:
        """List them, newest first."""
        with_client(host, lambda client: _list(client, limit, as_json=as_json))


async def _list(client: httpx.AsyncClient, limit: int, *, as_json: bool) -> None:
    items = (await call(client, "GET", "/v1/ops/actions", params={"limit": limit}))["items"]
    show(items, _COLUMNS, as_json=as_json)
