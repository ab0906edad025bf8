"""``nightledger projections``: how the read models stand, and their replay."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import typer

from api.cli import replays
from api.cli.host import Host
from api.cli.output import EXIT_FAILED, call, fail, out, show, with_client

_COLUMNS = ("name", "version", "build", "kept", "state", "lag_events", "lag_seconds", "events_per_second", "last_error")
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
Why = Annotated[str, typer.Option(help="Goes on record.")]
Names = Annotated[list[str] | None, typer.Argument(help="Read models.")]


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command group to ``app``."""
    group = typer.Typer(help="How the read models stand, and their replay.", no_args_is_help=True)
    app.add_typer(group, name="projections")

    @group.command("list")
    def list_projections(*, as_json: AsJson = False) -> None:
        """List the read models; exit status 1 if one is not live."""
        with_client(host, lambda client: _list(client, None, as_json=as_json))

    @group.command()
    def status(name: str, *, as_json: AsJson = False) -> None:
        """Show one read model; exit status 1 if it is not live."""
        with_client(host, lambda client: _list(client, name, as_json=as_json))

    @group.command()
    def pause(name: str, *, why: Why = "") -> None:
        """Stop feeding a read model until it is resumed, also over restarts; it serves on as it is."""
        with_client(host, lambda client: _order(client, name, "pause", why))

    @group.command()
    def resume(name: str, *, why: Why = "") -> None:
        """Let a paused read model be fed again."""
        with_client(host, lambda client: _order(client, name, "resume", why))

    @group.command()
    def discard(name: str, *, why: Why = "") -> None:
        """Drop the build that is kept for going back."""
        with_client(host, lambda client: _order(client, name, "discard", why))

    _add_replays(group, host)


def _add_replays(group: typer.Typer, host: Host) -> None:
    @group.command()
    def replay(
        names: Names = None,
        *,
        everything: Annotated[bool, typer.Option("--all", help="Rebuild all.")] = False,
        keep: Annotated[bool, typer.Option("--keep", help="Keep what is replaced, so that it can come back.")] = False,
        why: Why = "",
        as_json: AsJson = False,
    ) -> None:
        """Rebuild read models beside the live ones and swap them in; exit status 1 if one fails."""
        if bool(names) == everything:
            raise typer.BadParameter("name read models, or say --all")
        with_client(host, lambda client: replays.replay(client, names or [], keep=keep, why=why, as_json=as_json))

    @group.command()
    def follow(names: Names = None, *, as_json: AsJson = False) -> None:
        """Follow the replays that are under way; exit status 1 if one fails."""
        with_client(host, lambda client: replays.follow(client, names or [], as_json=as_json))

    @group.command()
    def cancel(names: list[str], *, why: Why = "") -> None:
        """Give up replays that are under way; readers see what they saw before."""
        with_client(host, lambda client: replays.cancel(client, names, why))

    @group.command()
    def back(name: str, *, why: Why = "", as_json: AsJson = False) -> None:
        """Go back to the build that the last replay with --keep has replaced."""
        with_client(host, lambda client: replays.back(client, name, why=why, as_json=as_json))


async def _list(client: httpx.AsyncClient, name: str | None, *, as_json: bool) -> None:
    items: list[dict[str, Any]] = (await call(client, "GET", "/v1/ops/projections"))["items"]
    if name is not None:
        items = [item for item in items if item["name"] == name]
        if not items:
            fail(f"no read model {name!r}")
    show(items, _COLUMNS, as_json=as_json)
    if any(item["state"] != "live" for item in items):
        raise typer.Exit(EXIT_FAILED)


async def _order(client: httpx.AsyncClient, name: str, verb: str, why: str) -> None:
    done = await call(client, "POST", f"/v1/ops/projections/{name}/{verb}", json={"why": why})
    out.print(f"{done['name']} is {done['state']}", highlight=False)
