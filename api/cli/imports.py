"""``nightledger import``: bring real bookings onto the record."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.progress import Progress, TaskID

from api.cli.host import Host
from api.cli.output import call, err, fail, out, print_json, progress_bar, with_client
from api.imports.rows import BrokenRow, ImportedBooking, NotTheDataset, allotments, read_rows

BATCH = 250
"""Rows per request: small enough for a lively bar, large enough to share commits."""
IN_FLIGHT = 2


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command group to ``app``."""
    group = typer.Typer(help="Bring real bookings onto the record.", no_args_is_help=True)
    app.add_typer(group, name="import")

    @group.callback()
    def imports() -> None:
        """Bring real bookings onto the record."""

    @group.command("hotel-bookings")
    def hotel_bookings(
        file: Annotated[Path, typer.Argument(help="The dataset: a CSV file, or a ZIP that holds it.")],
        limit: Annotated[int | None, typer.Option(min=1, help="Only the first rows of the file.")] = None,
        *,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document for machines.")] = False,
    ) -> None:
        """Import the "Hotel booking demand" dataset; can be stopped and started again."""
        try:
            rows = list(read_rows(file))
        except NotTheDataset as error:
            fail(str(error))
        run = _Import(rows, limit)
        with_client(host, run.send)
        run.report(as_json=as_json)


class _Import:
    """One run of the import: what was read, and what became of it."""

    def __init__(self, rows: Sequence[ImportedBooking | BrokenRow], limit: int | None) -> None:
        self._all = [row for row in rows if isinstance(row, ImportedBooking)]
        wanted = rows if limit is None else rows[:limit]
        self._wanted = [row for row in wanted if isinstance(row, ImportedBooking)]
        self._broken = [row for row in wanted if isinstance(row, BrokenRow)]
        self._outcomes: Counter[str] = Counter()
        self._seconds = 0.0

    async def send(self, client: httpx.AsyncClient) -> None:
        """Open the hotels with room for the whole file, then send the wanted rows in batches."""
        started = time.monotonic()
        rooms = [[hotel, kind, count] for (hotel, kind), count in allotments(self._all).items()]
        await call(client, "POST", "/v1/ops/imports/hotels", json={"allotments": rooms}, timeout=None)
        batches = iter(self._wanted)
        with progress_bar() as bar:
            task = bar.add_task("bookings", total=len(self._wanted), rate="")
            slots = asyncio.Semaphore(IN_FLIGHT)
            try:
                async with asyncio.TaskGroup() as group:
                    while batch := list(islice(batches, BATCH)):
                        await slots.acquire()
                        group.create_task(self._send(client, batch, slots, (bar, task, started)))
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from failures  # the first says what the others say
        self._seconds = time.monotonic() - started

    async def _send(
        self,
        client: httpx.AsyncClient,
        batch: Sequence[ImportedBooking],
        slots: asyncio.Semaphore,
        shown: tuple[Progress, TaskID, float],
    ) -> None:
        try:
            body = {"bookings": [row.model_dump(mode="json") for row in batch]}
            answer = await call(client, "POST", "/v1/ops/imports/bookings", json=body, timeout=None)
            self._outcomes.update(answer["outcomes"])
        finally:
            slots.release()
        bar, task, started = shown
        rate = self._outcomes.total() / (time.monotonic() - started)
        bar.update(task, advance=len(batch), rate=f"{rate:.0f} bookings/s")

    def report(self, *, as_json: bool) -> None:
        """Say what became of the rows; broken ones with line and reason."""
        if as_json:
            broken = [{"line": row.line, "reason": row.reason} for row in self._broken]
            print_json({"outcomes": dict(self._outcomes), "broken": broken, "seconds": round(self._seconds, 1)})
            return
        for row in self._broken:
            err.print(f"line {row.line}: {row.reason}", highlight=False, markup=False)
        for outcome, count in sorted(self._outcomes.items()):
            out.print(f"{count:8} {outcome}", highlight=False)
        out.print(f"{len(self._broken):8} broken rows skipped", highlight=False)
        out.print(f"in {self._seconds:.0f} s", highlight=False)
