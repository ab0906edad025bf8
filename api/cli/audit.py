"""``nightledger audit``: prove that the books balance."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Any

import httpx
import typer
from rich.progress import Progress

from api.cli.host import Host
from api.cli.output import EXIT_FAILED, call, fail, out, print_json, progress_bar, show, with_client
from api.cli.replays import say_why, watched
from api.cli.times import FORMS, METAVAR, moment

READ_MODEL = "read_model:"
_COLUMNS = ("name", "checked", "violations", "result")
_POLL_SECONDS = 0.3
Time = dt.datetime | None


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command to ``app``."""

    @app.command()
    def audit(
        first: Annotated[Time, typer.Option("--from", parser=moment, metavar=METAVAR, help=f"Since. {FORMS}")] = None,
        last: Annotated[Time, typer.Option("--to", parser=moment, metavar=METAVAR, help="Before.")] = None,
        *,
        fix: Annotated[bool, typer.Option("--fix", help="Rebuild read models that differ from the log.")] = False,
        full: Annotated[bool, typer.Option("--full", help="Compare every document, not a sample.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False,
    ) -> None:
        """Check rooms, holds, money, refunds, sagas, streams and read models against the log.

        With --from and --to what happened then is judged; all of the log is read in any case, as what is so depends on
        what was before. Read models are compared as they are now, where something happened to them then.

        Exit status 1 if anything is wrong, or could not be checked. What --fix has repaired is not wrong any more.
        """
        wanted = {"full": full, "fix": fix}
        times = {"from": first, "to": last}
        body = wanted | {name: time.isoformat() for name, time in times.items() if time is not None}
        with_client(host, lambda client: _audit(client, body, as_json=as_json))


async def _audit(client: httpx.AsyncClient, body: dict[str, Any], *, as_json: bool) -> None:
    audit_id = (await call(client, "POST", "/v1/ops/audits", json=body))["audit_id"]
    with progress_bar() as bar:
        audit = await _ended(client, audit_id, bar)
        repaired = await _repaired(client, audit["replays"], bar)
    if as_json:
        print_json(audit | {"repaired": sorted(repaired)})
    elif audit["state"] != "failed":
        _report(audit, repaired)
    if audit["state"] == "failed":
        fail(f"the audit failed: {audit['error']}")
    if any(_wrong(check, repaired) for check in audit["checks"]):
        raise typer.Exit(EXIT_FAILED)


async def _ended(client: httpx.AsyncClient, audit_id: str, bar: Progress) -> dict[str, Any]:
    task = bar.add_task("events", total=None, rate="")
    while True:
        audit: dict[str, Any] = await call(client, "GET", f"/v1/ops/audits/{audit_id}")
        rate = f"{audit['events_per_second']:.0f} events/s"
        bar.update(task, completed=audit["events_done"], total=audit["events_total"] or None, rate=rate)
        if audit["state"] != "running":
            return audit
        await asyncio.sleep(_POLL_SECONDS)


async def _repaired(client: httpx.AsyncClient, replays: dict[str, str], bar: Progress) -> set[str]:
    """Names of the read models whose replay has ended well; of others it is said why."""
    watching = (watched(client, f"replay of {name}", replay_id, bar) for name, replay_id in replays.items())
    done = set()
    for replay in await asyncio.gather(*watching):
        if replay["state"] == "live":
            done.add(replay["projection"])
        else:
            say_why(replay)
    return done


def _wrong(check: dict[str, Any], repaired: set[str]) -> bool:
    if check["skipped"] is not None:
        return True
    return bool(check["violations"]) and check["name"].removeprefix(READ_MODEL) not in repaired


def _report(audit: dict[str, Any], repaired: set[str]) -> None:
    rows = [
        check | {"violations": len(check["violations"]) + check["unlisted"], "result": _result(check, repaired)}
        for check in audit["checks"]
    ]
    show(rows, _COLUMNS, as_json=False)
    for check in audit["checks"]:
        for note in check["noted"]:
            out.print(f"\n{check['name']}: {note['detail']}", highlight=False, style="yellow")
        for violation in check["violations"]:
            out.print(f"\n{check['name']}: {violation['detail']}", highlight=False, style="red")
            for event in violation["events"]:
                out.print(
                    f"  {event['at']}  {event['type']}  {event['context']} {event['stream_id']} version"
                    f" {event['version']}  by {event['actor']}",
                    highlight=False,
                )
        if check["unlisted"]:
            out.print(f"\n{check['name']}: and {check['unlisted']} more", highlight=False, style="red")
    _sum_up(audit)


def _sum_up(audit: dict[str, Any]) -> None:
    """How much was checked, and how fast."""
    began, ended = (dt.datetime.fromisoformat(audit[name]) for name in ("asked_at", "finished_at"))
    seconds = (ended - began).total_seconds()
    out.print(
        f"\n{audit['events_done']} events read in {audit['reading_seconds']:.1f} s"
        f" ({audit['events_per_second']:.0f} events/s), judged by {len(audit['checks'])} rules in {seconds:.1f} s:"
        f" {audit['violations'] or 'no'} violation{'s' * (audit['violations'] != 1)}",
        highlight=False,
    )


def _result(check: dict[str, Any], repaired: set[str]) -> str:
    if check["skipped"] is not None:
        return f"not checked: {check['skipped']}"
    if not check["violations"]:
        return "holds"
    return "repaired" if check["name"].removeprefix(READ_MODEL) in repaired else "VIOLATED"
