"""A stand-in for the platform: a process that starts an embedded server and can be killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys
from pathlib import Path
from infra.embedded.data_dir import DataDir
from infra.embedded.postgres import EmbeddedPostgres
from infra.embedded.redis import EmbeddedRedis

kind, directory = sys.argv[1], Path(sys.argv[2])
thing = {"postgres": EmbeddedPostgres, "redis": EmbeddedRedis, "data_dir": DataDir}[kind](directory)
thing.__enter__()
print(getattr(thing, "pid", 0), flush=True)
sys.stdin.read()
"""


class Platform:
    """A process that has started ``kind`` ("postgres", "redis", "data_dir") on ``directory``."""

    def __init__(self, kind: str, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, kind, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.server_pid = int(self._process.stdout.readline())
        """The process id of the server that it started."""
        self.pid = self._process.pid

    def kill(self) -> None:
        """SIGKILL, as by a lack of memory."""
        self._process.kill()
        self._process.communicate()
