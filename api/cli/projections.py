"""``nightledger projections``: how the read models stand, and their replay."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import httpx
import typer

from api.cli.host import Host
from api.cli.output import EXIT_FAILED, call, err, fail, out, print_json, progress_bar, show, with_client

_COLUMNS = ("name", "version", "build", "state", "lag_events", "lag_seconds", "events_per_second", "last_error")
_POLL_SECONDS = 0.3
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
Why = Annotated[str, typer.Option(help="Goes on record.")]


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
    def replay(
        names: Annotated[list[str] | None, typer.Argument(help="Read models to rebuild.")] = None,
        *,
        everything: Annotated[bool, typer.Option("--all", help="Rebuild all.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Rebuild read models beside the live ones and swap them in; exit status 1 if one fails."""
        if bool(names) == everything:
            raise typer.BadParameter("name read models, or say --all")
        with_client(host, lambda client: _replay(client, names or [], as_json=as_json))


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


async def _replay(client: httpx.AsyncClient, names: list[str], *, as_json: bool) -> None:
    if not names:
        names = [item["name"] for item in (await call(client, "GET", "/v1/ops/projections"))["items"]]
    replays = {name: (await call(client, "POST", f"/v1/ops/projections/{name}/replay"))["replay_id"] for name in names}
    with progress_bar() as bar:
        ended = await asyncio.gather(*(_watch(client, name, replay, bar) for name, replay in replays.items()))
    for replay in ended:
        if as_json:
            print_json(replay)
        elif replay["state"] == "failed":
            err.print(f"[red]{replay['projection']}: {replay['error']}[/red]", highlight=False)
    if any(replay["state"] == "failed" for replay in ended):
        raise typer.Exit(EXIT_FAILED)


async def _watch(client: httpx.AsyncClient, name: str, replay_id: str, bar: Any) -> dict[str, Any]:
    task = bar.add_task(name, total=None, rate="")
    while True:
        replay: dict[str, Any] = await call(client, "GET", f"/v1/ops/replays/{replay_id}")
        rate = f"{replay['events_per_second']:.0f} events/s"
        bar.update(task, completed=replay["events_done"], total=replay["events_total"] or None, rate=rate)
        if replay["state"] != "building":
            return replay
        await asyncio.sleep(_POLL_SECONDS)
