"""``nightledger keys``: what tokens are signed and offers are sealed with."""

from __future__ import annotations

from typing import Annotated

import httpx
import typer

from api.cli.host import Host
from api.cli.output import call, out, print_json, with_client


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command group to ``app``."""
    group = typer.Typer(help="What tokens are signed and offers are sealed with.", no_args_is_help=True)
    app.add_typer(group, name="keys")

    @group.callback()
    def keys() -> None:
        """What tokens are signed and offers are sealed with."""

    @group.command()
    def rotate(
        *,
        why: Annotated[str, typer.Option(help="Goes on record.")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False,
    ) -> None:
        """Use new keys from now on. What the old ones have signed or sealed is good until it expires."""
        with_client(host, lambda client: _rotate(client, why, as_json=as_json))


async def _rotate(client: httpx.AsyncClient, why: str, *, as_json: bool) -> None:
    rotated = await call(client, "POST", "/v1/ops/keys/rotate", json={"why": why})
    if as_json:
        print_json(rotated)
        return
    for kind in ("access", "offer"):
        out.print(f"{kind:6} {rotated[f'{kind}_key_id']}", highlight=False, markup=False)
