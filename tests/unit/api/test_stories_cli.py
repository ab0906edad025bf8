"""How the command line tells what happened: the newest events, a flow as a tree, a saga's story; letters by time."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from api.cli.main import command_line
from sagas.booking import BOOKING_SAGA
from tests.fakes import NOW
from tests.unit.api.conftest import book, offer_token, ok, open_hotel, world_of
from tests.unit.api.fakes import Memory
from tests.unit.api.test_audit_cli import MemoryHost
from tests.unit.api.test_operating import letter


async def _booked(memory: Memory) -> UUID:
    async with world_of(memory) as world:
        hotel = await open_hotel(await world.as_("hotelier"))
        guest = await world.as_("guest")
        booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    return UUID(booking["booking_id"])


@pytest.fixture
def booking_id(memory: Memory) -> UUID:
    """A confirmed booking."""
    return asyncio.run(_booked(memory))


@pytest.fixture
def run(memory: Memory) -> Any:
    app = command_line(MemoryHost(memory), "0")
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_the_newest_events_of_all_contexts_in_their_order(run: Any, booking_id: UUID) -> None:
    lines = [line for line in run("events", "tail", "-n", "1000").stdout.splitlines() if ".v1." in line]
    assert any(f"{booking_id}    1  bookings.v1.BookingRequested" in line for line in lines)
    assert any(re.search(r"bookings\.v1\.SagaCommandIssued inventory\.HoldRooms +saga:booking", line) for line in lines)
    assert any("bookings.v1.SagaReacted confirmed (finished)" in line for line in lines)
    assert {"hotels.v1.HotelOpened", "inventory.v1.RoomsHeld", "payments.v1.PaymentCaptured"} <= {
        word for line in lines for word in line.split()
    }
    assert len([line for line in run("events", "tail", "-n", "3").stdout.splitlines() if ".v1." in line]) == 3
    done = run("events", "tail", "bookings", "--json", "-n", "1")
    assert json.loads(done.stdout.splitlines()[-1])["context"] == "bookings"
    assert run("events", "tail", "nothing").exit_code == 1


def test_a_flow_is_a_tree_with_times(run: Any, memory: Memory, booking_id: UUID) -> None:
    correlation = memory.fakes.streams["bookings"].log[0].metadata.correlation_id
    done = run("events", "trace", str(correlation))
    lines = [line for line in done.stdout.splitlines() if "debug" not in line]
    assert re.search(rf"correlation {correlation}.*: \d+ events of [a-z, ]+ since 2026-", lines[0])
    depth = {
        line.split(" ms  ")[1].split("  ")[0].strip(): line.index(" ms  ") for line in lines[1:] if " ms  " in line
    }
    told = (
        "bookings.v1.BookingRequested",
        "bookings.v1.SagaCommandIssued inventory.HoldRooms",
        "inventory.v1.RoomsHeld",
        "bookings.v1.SagaCommandIssued payments.AuthorisePayment",
        "payments.v1.PaymentAuthorised",
    )
    depths = [depth[each] for each in told]
    assert depths == sorted(set(depths)), "each follows from the one before"
    assert str(booking_id) not in done.stdout, "identifiers are for those who ask for a stream"


def test_means_of_payment_are_masked_for_operators(run: Any, booking_id: UUID) -> None:
    shown = run("events", "show", str(booking_id)).stdout
    assert "'payment_token': '***'" in shown
    assert "tok_ok" not in shown


def test_a_saga_tells_what_it_asked_for_and_what_came_of_it(run: Any, booking_id: UUID) -> None:
    done = run("sagas", "show", str(BOOKING_SAGA.saga_id(booking_id)))
    lines = done.stdout.splitlines()
    assert "status       finished" in lines
    issued = next(number for number, line in enumerate(lines) if "SagaCommandIssued payments.CapturePayment" in line)
    captured = next(number for number, line in enumerate(lines) if "payments.v1.PaymentCaptured" in line)
    assert issued < captured


@pytest.mark.parametrize(
    ("marks", "found"),
    [
        (("--since", "2026-06-01T13:00Z"), 1),
        (("--until", "2026-06-01T15:00+02:00"), 1),
        (("--since", "2026-06-01", "--until", "2026-06-02"), 2),
        (("--since", "1s"), 0),
    ],
)
def test_letters_are_found_by_time(run: Any, memory: Memory, marks: tuple[str, ...], found: int) -> None:
    later = letter(2, parked_at=NOW + dt.timedelta(hours=2))
    memory.letters.letters += [letter(1), later]
    done = run("dead-letters", "list", "--json", *marks)
    assert len([line for line in done.stdout.splitlines() if line.startswith("{")]) == found
    assert done.exit_code == (1 if found else 0)
    dry = run("dead-letters", "discard", "--dry-run", *marks)
    assert f"{found} letters of {found} streams would be touched" in dry.stdout
    assert len(memory.letters.letters) == 2


def test_a_time_that_is_none_is_refused(run: Any) -> None:
    done = run("dead-letters", "list", "--since", "soon")
    assert done.exit_code == 2
    assert "is no time" in done.stderr
