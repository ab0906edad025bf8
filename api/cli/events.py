"""``nightledger events``: what the log says, stream by stream, flow by flow, or as it happens."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer
from rich.text import Text
from rich.tree import Tree

from api.cli.host import Host
from api.cli.output import call, out, print_json, show, with_client
from api.cli.stories import about, time_of_day

CONTEXTS = ("users", "hotels", "inventory", "bookings", "payments", "reviews")
_WAIT_SECONDS = 20
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines.")]


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command group to ``app``."""
    group = typer.Typer(help="What the log says.", no_args_is_help=True)
    app.add_typer(group, name="events")

    @group.command()
    def tail(
        contexts: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(CONTEXTS)}; all if none.")] = None,
        *,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
        limit: Annotated[int, typer.Option("-n", min=0, max=1000, help="How many of the newest to begin with.")] = 20,
        as_json: AsJson = False,
    ) -> None:
        """Show the newest events, and with --follow those that happen, as they happen."""
        with_client(host, lambda client: _tail(client, contexts or CONTEXTS, limit, follow=follow, as_json=as_json))

    @group.command("show")
    def show_stream(stream_id: UUID, *, as_json: AsJson = False) -> None:
        """Show all events of one stream: what, when, who, why, and what caused them."""
        with_client(host, lambda client: _stream(client, stream_id, as_json=as_json))

    @group.command()
    def trace(correlation: UUID, *, as_json: AsJson = False) -> None:
        """Draw everything that followed from one request, across all services, as a tree with times."""
        with_client(host, lambda client: _trace(client, correlation, as_json=as_json))


async def _tail(client: httpx.AsyncClient, contexts: Sequence[str], limit: int, *, follow: bool, as_json: bool) -> None:
    newest = [
        await call(client, "GET", f"/v1/ops/logs/{context}", params={"limit": max(1, limit)}) for context in contexts
    ]
    items = sorted((item for page in newest for item in page["items"]), key=lambda item: item["recorded_at"])
    _print_events(items[max(0, len(items) - limit) :], as_json=as_json)
    if not follow:
        return
    following = zip(contexts, newest, strict=True)
    await asyncio.gather(*(_follow(client, context, page["position"], as_json=as_json) for context, page in following))


async def _follow(client: httpx.AsyncClient, context: str, position: str, *, as_json: bool) -> None:
    """Show what is appended to one log after ``position``, for ever."""
    while True:
        parameters = {"after": position, "wait": _WAIT_SECONDS}
        page = await call(client, "GET", f"/v1/ops/logs/{context}", params=parameters, timeout=2 * _WAIT_SECONDS)
        _print_events(page["items"], as_json=as_json)
        position = page["position"]


def _print_events(items: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    for item in items:
        if as_json:
            print_json(item)
            continue
        what = f"{item['type']} {about(item['what'])}"
        when = f"{item['recorded_at'][:10]} {time_of_day(item['recorded_at'])}"
        place = f"{item['stream_id']} {item['version']:>4}"
        out.print(f"{when}  {place}  {what:64}  {item['actor']}", highlight=False, markup=False, soft_wrap=True)


async def _stream(client: httpx.AsyncClient, stream_id: UUID, *, as_json: bool) -> None:
    items = (await call(client, "GET", f"/v1/ops/streams/{stream_id}"))["items"]
    if as_json:
        show(items, (), as_json=True)
        return
    for item in items:
        out.print(f"[bold]{item['version']:4} {item['type']}[/bold]  {item['at']}  by {item['actor']}", highlight=False)
        out.print(f"     why: {item['why']}", highlight=False, markup=False)
        cause = f"{item['cause'] or 'what was not looked up,'} {item['caused_by']}" if item["caused_by"] else "-"
        out.print(f"     caused by {cause}, correlation {item['correlation_id']}", highlight=False)
        out.print(f"     {item['what']}", highlight=False, markup=False)


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
    begun = dt.datetime.fromisoformat(items[0]["recorded_at"])
    tree = Tree(_headline(correlation, items, begun))
    _grow(tree, None, children, begun)
    out.print(tree, highlight=False)


def _headline(correlation: UUID, items: Sequence[dict[str, Any]], begun: dt.datetime) -> Text:
    """What the tree is of: how much, where, when, and how long it took."""
    traces = "".join(f", trace {trace}" for trace in dict.fromkeys(item["trace_id"] for item in items) if trace)
    contexts = ", ".join(dict.fromkeys(item["context"] for item in items))
    took = dt.datetime.fromisoformat(items[-1]["recorded_at"]) - begun
    return Text(
        f"correlation {correlation}{traces}: {len(items)} events of {contexts} since {begun:%Y-%m-%d %H:%M:%S} UTC,"
        f" {_milliseconds(took)} ms in all"
    )


def _grow(
    branch: Tree, cause: str | None, children: dict[str | None, list[dict[str, Any]]], begun: dt.datetime
) -> None:
    for item in children.pop(cause, []):
        after = _milliseconds(dt.datetime.fromisoformat(item["recorded_at"]) - begun)
        label = Text(f"{time_of_day(item['recorded_at'])} {f'+{after}':>6} ms  ")
        label.append(item["type"], "bold").append(f" {about(item['what'])}").append(f"  {item['actor']}", "dim")
        twig = branch.add(label)
        for identity in (item["event_id"], item["command_id"]):
            if identity:
                _grow(twig, identity, children, begun)


def _milliseconds(duration: dt.timedelta) -> int:
    return round(duration / dt.timedelta(milliseconds=1))
