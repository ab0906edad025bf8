"""``nightledger events``: what the log says, stream by stream, flow by flow, or as it happens."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer
from rich.tree import Tree

from api.cli.host import Host
from api.cli.output import call, out, print_json, show, with_client

_COLUMNS = ("at", "context", "stream_id", "version", "type", "actor")
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines.")]


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command group to ``app``."""
    group = typer.Typer(help="What the log says.", no_args_is_help=True)
    app.add_typer(group, name="events")

    @group.command()
    def tail(
        context: Annotated[str, typer.Argument(help="users, hotels, inventory, bookings or payments.")],
        *,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
        limit: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many of the newest to begin with.")] = 20,
        as_json: AsJson = False,
    ) -> None:
        """Show the newest events of a context."""
        with_client(host, lambda client: _tail(client, context, limit, follow=follow, as_json=as_json))

    @group.command("show")
    def show_stream(stream_id: UUID, *, as_json: AsJson = False) -> None:
        """Show all events of one stream, with who caused them and why."""
        with_client(host, lambda client: _stream(client, stream_id, as_json=as_json))

    @group.command()
    def trace(correlation: UUID, *, as_json: AsJson = False) -> None:
        """Draw everything that followed from one request, across all services, as a tree."""
        with_client(host, lambda client: _trace(client, correlation, as_json=as_json))


async def _tail(client: httpx.AsyncClient, context: str, limit: int, *, follow: bool, as_json: bool) -> None:
    path = f"/v1/ops/logs/{context}"
    page = await call(client, "GET", path, params={"limit": limit})
    while True:
        if page["items"]:
            show(page["items"], _COLUMNS, as_json=as_json)
        if not follow:
            return
        page = await call(client, "GET", path, params={"after": page["position"], "wait": 20}, timeout=40)


async def _stream(client: httpx.AsyncClient, stream_id: UUID, *, as_json: bool) -> None:
    items = (await call(client, "GET", f"/v1/ops/streams/{stream_id}"))["items"]
    if as_json:
        show(items, (), as_json=True)
        return
    for item in items:
        out.print(f"[bold]{item['version']:4} {item['type']}[/bold]  {item['at']}  by {item['actor']}", highlight=False)
        out.print(f"     caused by {item['caused_by'] or '-'}, correlation {item['correlation_id']}", highlight=False)
        out.print(f"     {item['what']}", highlight=False)


async def _trace(client: httpx.AsyncClient, correlation: UUID, *, as_json: bool) -> None:
    items: list[dict[str, Any]] = (await call(client, "GET", f"/v1/ops/traces/{correlation}"))["items"]
    if as_json:
        for item in items:
            print_json(item)
        return
    known = {item["event_id"] for item in items} | {item["command_id"] for item in items if item["command_id"]}
    children: defaultdict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        children[item["caused_by"] if item["caused_by"] in known else None].append(item)
    tree = Tree(f"correlation {correlation}")
    _grow(tree, None, children)
    out.print(tree, highlight=False)


def _grow(branch: Tree, cause: str | None, children: dict[str | None, list[dict[str, Any]]]) -> None:
    for item in children.pop(cause, []):
        twig = branch.add(f"{item['recorded_at']}  [bold]{item['type']}[/bold]  {item['actor']}")
        for identity in (item["event_id"], item["command_id"]):
            if identity:
                _grow(twig, identity, children)
