"""How the command line speaks: tables and bars for people, JSON lines for machines, exit status 1 for failures."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from api.cli.host import CannotStart, Host

out = Console() if sys.stdout.isatty() else Console(width=1_000, soft_wrap=True)
err = Console(stderr=True)
EXIT_FAILED = 1
_WHOLE = frozenset({"name", "build", "group", "state", "at"})
"""Columns whose values are there to be copied, or are nothing when they are cut."""
_RED = ("paused", "failed", "waiting", "down", "quarantined")
"""Words of states that are wrong: those of sagas, and the platform's own for feeds (``FeedStatus.is_red``).

The platform is not loaded for them: commands answer at once.
"""


def complain(message: str) -> None:
    """Say what went wrong, word for word: errors are full of brackets, which are no markup."""
    err.print(message, style="red", highlight=False, markup=False, soft_wrap=True)


def fail(message: str) -> NoReturn:
    """Say what went wrong and end with exit status 1."""
    complain(message)
    raise typer.Exit(EXIT_FAILED)


def with_client(host: Host, work: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run ``work`` with a client of the platform; problems end with one clear line and exit status 1."""

    async def run() -> None:
        ended: Exception | None = None
        async with host.connect() as client:
            try:
                await work(client)
            except (typer.Exit, httpx.HTTPError) as error:
                ended = error  # a platform that runs in this process would wrap it in a group on its way out
        if ended is not None:
            raise ended

    try:
        asyncio.run(run())
    except CannotStart as error:
        fail(str(error))
    except httpx.HTTPError as error:
        fail(f"the platform did not answer: {str(error) or type(error).__name__}")


async def call(client: httpx.AsyncClient, method: str, path: str, **request: Any) -> Any:
    """The JSON answer; a problem document ends the command with its detail."""
    answer = await client.request(method, path, **request)
    if answer.is_error:
        fail(explained(answer))
    return answer.json()


def explained(answer: httpx.Response) -> str:
    """The problem in one line."""
    try:
        problem = answer.json()
        return f"{answer.status_code} {problem.get('title', '')}: {problem.get('detail', '')}"
    except ValueError:
        return f"{answer.status_code} {answer.text[:200]}"


def show(items: Sequence[Mapping[str, Any]], columns: Iterable[str], *, as_json: bool) -> None:
    """Items as a table, or one JSON document a line."""
    if as_json:
        for item in items:
            print_json(item)
        return
    table = Table(box=None, pad_edge=False)
    names = tuple(columns)
    for name in names:
        table.add_column(name.replace("_", " "), no_wrap=name.endswith("_id") or name in _WHOLE)
    for item in items:
        table.add_row(*(_cell(item.get(name)) for name in names))
    out.print(table)


def print_json(item: Any) -> None:
    """One line of JSON on standard output."""
    out.out(json.dumps(item, default=str, ensure_ascii=False), highlight=False)


def progress_bar() -> Progress:
    """A bar with count, time and time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
    )


def _cell(value: Any) -> Text:
    if value is None:
        return Text("-")
    if isinstance(value, Mapping):
        return Text(", ".join(f"{name}: {each}" for name, each in value.items()) or "-")
    if isinstance(value, list):
        return Text(", ".join(map(str, value)))
    return Text(f"{value:.1f}" if isinstance(value, float) else str(value), "red" if value in _RED else "")
