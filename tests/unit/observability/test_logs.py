"""What is logged says which request it belongs to, in both forms, whoever logs it."""

from __future__ import annotations

import json
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
from infra.logs import configure_logs

configure_logs("info", as_json=AS_JSON)
with logged_with(UUID("{CORRELATION}"), "00-{TRACE}-b7ad6b7169203331-01"):
    structlog.get_logger("ours").warning("ours")
    logging.getLogger("theirs").warning("theirs")
structlog.get_logger("ours").warning("outside")
"""


def logged(*, as_json: bool) -> list[str]:
    """The lines that the program logs; in a process of its own, because logs are configured once for all."""
    program = PROGRAM.replace("AS_JSON", str(as_json))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
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
