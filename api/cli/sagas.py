"""``nightledger sagas``: where they stand, what they have done, and what to do about those that do not get on."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer

from api.cli.host import Host
from api.cli.output import EXIT_FAILED, call, out, print_json, show, with_client
from api.cli.stories import about, time_of_day

_COLUMNS = ("saga_id", "saga", "subject_id", "step", "status", "age_seconds", "deadline", "attempts", "note")
_PAGE = 200
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
Limit = Annotated[int, typer.Option("-n", min=1, help="How many at most.")]
Why = Annotated[str, typer.Option(help="Goes on record.")]


class State(StrEnum):
    """What sagas can be asked for by."""

    RUNNING = "running"
    STUCK = "stuck"
    QUARANTINED = "quarantined"
    FINISHED = "finished"


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command group to ``app``."""
    group = typer.Typer(help="Where sagas stand, and what to do about those that do not get on.", no_args_is_help=True)
    app.add_typer(group, name="sagas")

    @group.command("list")
    def list_sagas(*, state: State | None = None, limit: Limit = 50, as_json: AsJson = False) -> None:
        """List sagas, those first that have waited longest."""
        with_client(host, lambda client: _list(client, state, limit, as_json=as_json))

    @group.command()
    def stuck(*, limit: Limit = 50, as_json: AsJson = False) -> None:
        """List sagas that are stuck or quarantined; exit status 1 if there are any."""
        with_client(host, lambda client: _troubled(client, limit, as_json=as_json))

    @group.command("show")
    def show_saga(saga_id: UUID, *, as_json: AsJson = False) -> None:
        """Show one saga, and the story of its booking across all services."""
        with_client(host, lambda client: _show(client, saga_id, as_json=as_json))

    @group.command()
    def retry(saga_id: UUID, *, why: Why = "", as_json: AsJson = False) -> None:
        """Tell a quarantined saga again what it failed on, or a stuck one that its time is up."""
        with_client(host, lambda client: _order(client, saga_id, "retry", why, as_json=as_json))

    @group.command()
    def compensate(saga_id: UUID, *, why: Why = "", as_json: AsJson = False) -> None:
        """Let a saga give back everything that it has taken."""
        with_client(host, lambda client: _order(client, saga_id, "compensate", why, as_json=as_json))


async def _found(client: httpx.AsyncClient, state: State | None, limit: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {} if state is None else {"state": state.value}
    while len(items) < limit:
        page = await call(client, "GET", "/v1/ops/sagas", params=parameters | {"limit": min(_PAGE, limit - len(items))})
        items += page["items"]
        if page["next_cursor"] is None:
            break
        parameters["cursor"] = page["next_cursor"]
    return items


async def _list(client: httpx.AsyncClient, state: State | None, limit: int, *, as_json: bool) -> None:
    show(await _found(client, state, limit), _COLUMNS, as_json=as_json)


async def _troubled(client: httpx.AsyncClient, limit: int, *, as_json: bool) -> None:
    items = [*await _found(client, State.STUCK, limit), *await _found(client, State.QUARANTINED, limit)]
    show(items, _COLUMNS, as_json=as_json)
    if items:
        raise typer.Exit(EXIT_FAILED)


async def _show(client: httpx.AsyncClient, saga_id: UUID, *, as_json: bool) -> None:
    saga = await call(client, "GET", f"/v1/ops/sagas/{saga_id}")
    if as_json:
        print_json(saga)
        return
    for name in _COLUMNS:
        out.print(f"{name.replace('_', ' '):12} {saga[name]}", highlight=False, markup=False)
    out.print()
    _tell(saga["timeline"])


def _tell(timeline: list[dict[str, Any]]) -> None:
    """The story, day by day: when, what, who, why."""
    day = ""
    for item in timeline:
        if item["recorded_at"][:10] != day:
            day = item["recorded_at"][:10]
            out.print(day, highlight=False, style="bold")
        what = f"{item['what']} {about(item['details'])}"
        line = f"  {time_of_day(item['recorded_at'])}  {what:64}  {item['who']:24}  {item['why']}"
        out.print(line, highlight=False, markup=False, soft_wrap=True)


async def _order(client: httpx.AsyncClient, saga_id: UUID, verb: str, why: str, *, as_json: bool) -> None:
    saga = await call(client, "POST", f"/v1/ops/sagas/{saga_id}/{verb}", json={"why": why})
    if as_json:
        print_json(saga)
    else:
        out.print(f"saga {saga['saga_id']} is {saga['status']} ({saga['step']})", highlight=False)
    if saga["status"] == "quarantined":
        raise typer.Exit(EXIT_FAILED)
