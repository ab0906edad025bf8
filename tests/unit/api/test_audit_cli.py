"""``nightledger audit``: what it shows, and its exit status."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
import typer
from typer.testing import CliRunner

from api.cli import audit
from api.cli.host import ServeOptions
from api.http.app import create_app
from commands.accounts import Account
from projections.audit.records import Check
from tests.fakes import NOW
from tests.unit.api.conftest import SETTINGS
from tests.unit.api.fakes import Memory
from tests.unit.api.test_audits import WRONG


class MemoryHost:
    """Connects to a platform in memory, as an operator."""

    data_dir = Path("/nowhere")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def serve(self, options: ServeOptions) -> None:
        """See Host."""

    async def migrate(self) -> tuple[str, ...]:
        """See Host."""
        return ()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[httpx.AsyncClient]:
        """See Host."""
        platform = self._memory.platform
        account = Account(
            account_id=platform.new_id(),
            email=f"{uuid4().hex}@example.com",
            name="Ada",
            phone=None,
            locale=None,
            roles=frozenset({"operator"}),
            password_hash="plain:x",
            created_at=NOW,
        )
        await self._memory.accounts.register(account)
        token = (await platform.tokens.issue(account)).access_token
        app = create_app(platform, SETTINGS)
        transport = httpx.ASGITransport(cast("Any", app))
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            app.lifespan(),
            httpx.AsyncClient(base_url="http://nightledger", headers=headers, transport=transport) as client,
        ):
            yield client


@pytest.fixture
def run(memory: Memory) -> Any:
    app = typer.Typer()
    app.callback()(lambda: None)
    audit.add_to(app, MemoryHost(memory))
    return lambda *options: CliRunner().invoke(app, ["audit", *options])


def test_a_clean_audit(memory: Memory, run: Any) -> None:
    done = run("--from", "2026-01-01", "--to", "2026-02-01T12:30+01:00", "--full")
    assert done.exit_code == 0, done.output
    assert "streams" in done.stdout
    assert "holds" in done.stdout
    speed = r"3 events read in 0\.0 s \(\d+ events/s\), judged by 1 rules in 0\.0 s: no violations"
    assert re.search(speed, done.stdout)
    [asked] = memory.auditor.asked
    assert (asked.full, asked.fix) == (True, False)
    assert (asked.first, asked.last) == (
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2026, 2, 1, 11, 30, tzinfo=dt.UTC),
    )


def test_times_may_be_said_as_how_long_ago(memory: Memory, run: Any) -> None:
    before = dt.datetime.now(dt.UTC)
    assert run("--from", "90m").exit_code == 0
    [asked] = memory.auditor.asked
    assert asked.first is not None
    assert before - dt.timedelta(minutes=90) <= asked.first <= dt.datetime.now(dt.UTC) - dt.timedelta(minutes=90)
    refused = run("--from", "yesterday")
    assert refused.exit_code == 2
    assert "is no time" in refused.stderr


def test_violations_are_shown_with_their_events(memory: Memory, run: Any) -> None:
    memory.auditor.checks = (WRONG,)
    done = run()
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    for told in ("VIOLATED", "status is pending", "bookings.v1.BookingConfirmed", "and 2 more"):
        assert told in done.stdout
    done = run("--json")
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert json.loads(done.stdout.splitlines()[-1])["checks"][0]["violations"][0]["detail"] == "status is pending"


def test_what_could_not_be_checked_is_no_success(memory: Memory, run: Any) -> None:
    memory.auditor.checks = (Check(name="read_model:hotel_search", about="", checked=0, skipped="it is away"),)
    done = run()
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert "not checked: it is away" in done.stdout


def test_an_audit_that_fails(memory: Memory, run: Any) -> None:
    memory.auditor.error = OSError("the log is away")
    done = run()
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert "the log is away" in done.stderr
