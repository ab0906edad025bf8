"""How a process ends that cannot stop in good order."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running import RunningPlatform

pytestmark = pytest.mark.xdist_group("e2e-embedded")

HANGS_WHEN_IT_STOPS = """
import asyncio, os, signal, sys
from contextlib import asynccontextmanager
from pathlib import Path
from infra.bootstrap import serving
from infra.settings import Settings

@asynccontextmanager
async def started(*_):
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
    yield None
    await lock_that_nobody_frees()

async def lock_that_nobody_frees():
    await asyncio.Event().wait()

serving.started = started
serving._PATIENCE_SECONDS = 0.2
serving.check_separable = lambda *_: None
serving.serve(Settings(data_dir=Path(sys.argv[1])), ("analytics",), demo=False)
"""


def test_a_process_that_does_not_stop_in_time_is_broken_off_and_says_what_it_waits_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HANGS_WHEN_IT_STOPS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "broken off" in done.stdout
    assert "lock_that_nobody_frees" in done.stdout


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    platform = RunningPlatform(tmp_path / "data")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", platform.port))
        taken.listen()
        done = platform.run("serve", check=False)
    assert done.returncode == 1, done.stdout
    assert f"NIGHTLEDGER_PORT: cannot listen on 127.0.0.1:{platform.port}; is it in use?" in done.stderr
