"""``nightledger dead-letters``: what could not be handled, by what went wrong, and what to do about it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import typer

from api.cli.host import Host
from api.cli.output import EXIT_FAILED, call, err, out, print_json, show, with_client
from api.cli.times import FORMS, METAVAR, moment

_GROUPS = ("group", "type", "frame", "count", "behind", "first_at", "last_at", "consumers", "error")
_LETTERS = ("letter_id", "consumer", "topic", "group", "attempts", "behind", "parked_at", "error")
_OUTCOMES = ("handled", "failed_again", "failed_anew", "waiting", "gone", "pending", "discarded")
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
Ids = Annotated[list[UUID] | None, typer.Argument(help="Ids of letters.", show_default=False)]
Group = Annotated[str | None, typer.Option(help="Those of one failure, as the list names it.")]
Consumer = Annotated[str | None, typer.Option(help="Those of a feed, or of commands:SERVICE.")]
Kind = Annotated[str | None, typer.Option("--type", help="Those with this type of error, or of message.")]
Stream = Annotated[UUID | None, typer.Option(help="All of one stream.")]
Since = Annotated[
    dt.datetime | None,
    typer.Option(
        "--since", parser=moment, metavar=METAVAR, help=f"Those that failed first at that time or later. {FORMS}"
    ),
]
Until = Annotated[
    dt.datetime | None, typer.Option("--until", parser=moment, metavar=METAVAR, help="Those that failed first before.")
]
Every = Annotated[bool, typer.Option("--all", help="All letters.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be touched.")]
Why = Annotated[str, typer.Option(help="Goes on record.")]


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command group to ``app``."""
    group = typer.Typer(help="What could not be handled, and what to do about it.", no_args_is_help=True)
    app.add_typer(group, name="dead-letters")

    @group.command("list")
    def list_letters(
        *,
        group: Group = None,
        consumer: Consumer = None,
        kind: Kind = None,
        stream: Stream = None,
        since: Since = None,
        until: Until = None,
        letters: Annotated[bool, typer.Option("--letters", help="Letter by letter.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """List failures, or the letters that have some marks; exit status 1 if there are any."""
        marks = _marks(None, group, consumer, kind, stream, since, until)
        with_client(host, lambda client: _list(client, marks, letters=letters or bool(marks), as_json=as_json))

    @group.command("show")
    def show_letter(letter_id: UUID, *, as_json: AsJson = False) -> None:
        """Show one letter with its message (for admins) and traceback."""
        with_client(host, lambda client: _show(client, letter_id, as_json=as_json))

    _add_action(group, host, "retry", "Hand letters to their consumers again, events by whole streams in order.")
    _add_action(group, host, "discard", "Give letters up; those that wait behind them stay and can be retried.")


def _add_action(app: typer.Typer, host: Host, verb: Literal["retry", "discard"], text: str) -> None:
    """Both take the same marks and tell the same of what they did."""

    @app.command(verb, help=f"{text} Exit status 1 if not all of it worked.")
    def act(
        ids: Ids = None,
        *,
        group: Group = None,
        consumer: Consumer = None,
        kind: Kind = None,
        stream: Stream = None,
        since: Since = None,
        until: Until = None,
        everything: Every = False,
        dry_run: DryRun = False,
        why: Why = "",
        as_json: AsJson = False,
    ) -> None:
        marks = _marks(ids, group, consumer, kind, stream, since, until)
        if bool(marks) == everything:
            raise typer.BadParameter("name letters by ids or marks, or say --all")
        body = marks | {"all": everything, "dry_run": dry_run, "why": why}
        with_client(host, lambda client: _act(client, verb, body, as_json=as_json))


def _marks(
    ids: list[UUID] | None,
    group: str | None,
    consumer: str | None,
    kind: str | None,
    stream: UUID | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
) -> dict[str, Any]:
    """The marks that are given, as the API names them."""
    marks = {
        "ids": [str(each) for each in ids or ()],
        "group": group,
        "consumer": consumer,
        "type": kind,
        "stream_id": str(stream) if stream else None,
        "newer_than": since.isoformat() if since else None,
        "older_than": until.isoformat() if until else None,
    }
    return {name: value for name, value in marks.items() if value}


async def _list(client: httpx.AsyncClient, marks: dict[str, Any], *, letters: bool, as_json: bool) -> None:
    path = "/v1/ops/dead-letters" if letters else "/v1/ops/dead-letters/groups"
    parameters = marks | {"limit": 200} if letters else {}
    items: list[dict[str, Any]] = (await call(client, "GET", path, params=parameters))["items"]
    show(items, _LETTERS if letters else _GROUPS, as_json=as_json)
    if items:
        raise typer.Exit(EXIT_FAILED)


async def _show(client: httpx.AsyncClient, letter_id: UUID, *, as_json: bool) -> None:
    letter = await call(client, "GET", f"/v1/ops/dead-letters/{letter_id}")
    if as_json:
        print_json(letter)
        return
    traceback = letter.pop("traceback")
    for name, value in letter.items():
        out.print(f"{name:10} {value}", highlight=False, markup=False)
    out.print(traceback, highlight=False, markup=False)


async def _act(client: httpx.AsyncClient, verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    done: dict[str, Any] = await call(client, "POST", f"/v1/ops/dead-letters/{verb}", json=body, timeout=60)
    if as_json:
        print_json(done)
    else:
        would = "would be touched" if done["dry_run"] else "touched"
        out.print(f"{done['selected']} letters of {done['streams']} streams {would}", highlight=False)
        for outcome in _OUTCOMES:
            if done[outcome]:
                out.print(f"{done[outcome]:8} {outcome.replace('_', ' ')}", highlight=False)
        for failure in done["failures"]:
            told = f"{failure['letter_id']} {failure['outcome']}: {failure['error']}"
            err.print(told, highlight=False, markup=False, soft_wrap=True)
    if any(done[outcome] for outcome in ("failed_again", "failed_anew", "waiting", "pending")):
        raise typer.Exit(EXIT_FAILED)
