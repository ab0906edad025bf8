"""The process that fills builds, as those who wait for it see it: what it answers, and that it never outlives them."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from infra.filling_process import FillingCutOff, FillingFailed, FillingProcess, FillOrder, fillers_by_length
from projections.builds import Build, ReplayRunning
from projections.filling import Filler, GivenUp
from projections.ports import BuildMissing
from tests.e2e.stories import until
from tests.unit.replaying.logs import log_of

ANSWERS = """
    def answer(build, result, error=""):
        say(json.dumps({"build": build, "result": result, "error": error}))
    def say(text):
        link.sendall(text.encode() + b"\\n")
"""


def build(number: int) -> Build:
    return Build(
        name=f"pages_{number}",
        projection="pages",
        version=1,
        state="building",
        replay_id=UUID(int=number),
        created_at=dt.datetime(2026, 7, 1, tzinfo=dt.UTC),
    )


ONE, TWO = build(1), build(2)


def order(builds: Sequence[Build]) -> FillOrder:
    return FillOrder(settings={"data_dir": "here"}, servers={}, services=("hotels",), builds=tuple(builds))


def process(script: str, *builds: Build) -> FillingProcess:
    """One that does what ``script`` says with the builds of its order, by name in ``builds``."""
    begin = "import json, os, signal, socket, sys\norder = json.loads(sys.stdin.readline())\n"
    begin += "link = socket.socket(fileno=os.dup(0))\n"
    named = 'builds = {build["name"]: build for build in order["builds"]}\n'
    program = begin + named + textwrap.dedent(ANSWERS) + textwrap.dedent(script)
    return FillingProcess((sys.executable, "-c", program), order, builds or (ONE,))


async def test_builds_come_back_as_the_process_has_filled_them() -> None:
    filler = process(
        """
        assert order["services"] == ["hotels"] and order["settings"] == {"data_dir": "here"}
        for build in builds.values():
            answer(build | {"events_done": 7}, "filled")
        """,
        ONE,
        TWO,
    )
    filled = await asyncio.gather(filler.fill(ONE), filler.fill(TWO))
    assert list(filled) == [each.model_copy(update={"events_done": 7}) for each in (ONE, TWO)]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("given up", GivenUp),
        ("lost", BuildMissing),
        ("running", ReplayRunning),
        ("cut off", FillingCutOff),
        ("failed", FillingFailed),
    ],
)
async def test_what_else_may_become_of_a_build_is_raised(result: str, expected: type[Exception]) -> None:
    filler = process(f'answer(builds["pages_1"], "{result}", "pages_1 and why"); sys.stdin.read()')
    with pytest.raises(expected, match="pages_1" if expected is not GivenUp else None):
        await filler.fill(ONE)


async def test_one_that_has_failed_does_not_disturb_another() -> None:
    filler = process('answer(builds["pages_1"], "failed", "why"); answer(builds["pages_2"], "filled")', ONE, TWO)
    failed, filled = await asyncio.gather(filler.fill(ONE), filler.fill(TWO), return_exceptions=True)
    assert isinstance(failed, FillingFailed)
    assert filled == TWO


async def test_a_process_that_is_killed_is_no_failure_of_the_replay() -> None:
    with pytest.raises(FillingCutOff, match="killed by signal 9"):
        await process("os.kill(os.getpid(), signal.SIGKILL)").fill(ONE)


async def test_a_process_that_ends_by_itself_without_an_answer_is_one() -> None:
    with pytest.raises(FillingFailed, match="status 3"):
        await process("sys.exit(3)").fill(ONE)


async def test_one_that_ends_before_it_has_read_its_order_is_one_as_well() -> None:
    with pytest.raises(FillingFailed, match="status 4"):
        await FillingProcess((sys.executable, "-c", "import os; os._exit(4)"), order, (ONE,)).fill(ONE)


@pytest.mark.parametrize("answer", ['"nonsense"', '"{}"', '"x" * 2_000_000'])
async def test_an_answer_that_cannot_be_read_is_one_too(answer: str) -> None:
    with pytest.raises(FillingFailed, match="cannot be read"):
        await process(f"say({answer}); sys.stdin.read()").fill(ONE)


async def test_a_program_that_is_not_there_is_waited_for() -> None:
    with pytest.raises(FillingCutOff, match="cannot be started"):
        await FillingProcess(("/nowhere/python",), order, (ONE,)).fill(ONE)


async def test_it_is_started_when_each_build_is_to_be_filled_or_given_up(tmp_path: Path) -> None:
    started = tmp_path / "started"
    filler = process(
        f'open("{started}", "w").write(",".join(builds)); [answer(each, "filled") for each in builds.values()]',
        ONE,
        TWO,
    )
    filling = asyncio.create_task(filler.fill(ONE))
    await asyncio.sleep(0)
    assert not started.exists()
    filler.give_up(TWO)
    assert await filling == ONE
    assert started.read_text() == "pages_1"


async def test_when_nobody_waits_any_more_it_is_told_to_end(tmp_path: Path) -> None:
    pid, ended = tmp_path / "pid", tmp_path / "ended"
    script = f"""
        open("{pid}.new", "w").write(str(os.getpid())); os.rename("{pid}.new", "{pid}")
        sys.stdin.read()
        open("{ended}", "w").close()
    """
    filling = asyncio.create_task(process(script).fill(ONE))

    async def begun() -> bool:
        return pid.exists()

    await until(begun)
    filling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await filling
    assert ended.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


class Named:
    """A Filler that says who it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def fill(self, build: Build) -> Build:
        raise NotImplementedError

    def give_up(self, build: Build) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(("events", "who"), [((0, 0), "here"), ((60, 39), "here"), ((60, 40), "beside")])
async def test_long_logs_are_read_by_a_process_of_their_own(events: tuple[int, int], who: str) -> None:
    async def here(_: Sequence[Build]) -> Filler:
        return Named("here")

    logs = {context: log_of(length) for context, length in zip(("a", "b"), events, strict=True)}
    make = fillers_by_length(logs, 100, here, lambda _: Named("beside"))
    chosen = await make((ONE,))
    assert isinstance(chosen, Named)
    assert chosen.name == who
    nothing_to_fill = await make(())
    assert isinstance(nothing_to_fill, Named)
    assert nothing_to_fill.name == "here"
