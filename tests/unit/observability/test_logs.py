"""What is logged says which request it belongs to, in both forms, whoever logs it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

CORRELATION = "00000000-0000-0000-0000-00000000002a"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PROGRAM = f"""
import logging
from uuid import UUID
import structlog
from commands.tracing import logged_with
from infra.observability.logs import configure_logs

configure_logs("info", as_json=AS_JSON)
with logged_with(UUID("{CORRELATION}"), "00-{TRACE}-b7ad6b7169203331-01"):
    structlog.get_logger("ours").warning("ours")
    logging.getLogger("theirs").warning("theirs")
structlog.get_logger("ours").warning("outside")
"""


def program(*, as_json: bool) -> list[str]:
    """What logs three lines; a process of its own, because logs are configured once for all."""
    return [sys.executable, "-c", PROGRAM.replace("AS_JSON", str(as_json))]


def logged(*, as_json: bool) -> list[str]:
    """The lines that the program logs."""
    done = subprocess.run(program(as_json=as_json), capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_lines_of_json_bear_correlation_and_trace() -> None:
    ours, theirs, outside = (json.loads(line) for line in logged(as_json=True))
    for line, event in ((ours, "ours"), (theirs, "theirs")):
        assert (line["event"], line["correlation_id"], line["trace_id"]) == (event, CORRELATION, TRACE)
    assert "correlation_id" not in outside


@pytest.mark.parametrize("part", [CORRELATION, TRACE])
def test_lines_for_people_bear_them_too(part: str) -> None:
    ours, theirs, outside = logged(as_json=False)
    assert part in ours
    assert part in theirs
    assert part not in outside


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_line_is_one_write_so_that_processes_may_share_a_file(unbuffered: str) -> None:
    """A datagram socket shows where one write ends and the next begins."""
    reader, stderr = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with reader, stderr:
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        subprocess.run(program(as_json=True), stderr=stderr.fileno(), check=True, env=environment)
        reader.setblocking(False)
        written = [reader.recv(65536).decode() for _ in range(3)]
        with pytest.raises(BlockingIOError):
            reader.recv(65536)
    assert [json.loads(line)["event"] for line in written] == ["ours", "theirs", "outside"]
    assert all(line.endswith("\n") for line in written)
