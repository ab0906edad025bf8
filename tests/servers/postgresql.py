"""PostgreSQL: the distribution's, or whatever is in PATH."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.server import Server, program


def _newest_installed() -> list[str]:
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdecimal()]
    return [str(path) for path in sorted(versions, key=lambda path: int(path.parent.name), reverse=True)]


class PostgreSQL(Server):
    """PostgreSQL on TCP. ``fsync=False`` (fast, safe against SIGKILL but not against loss of power) is for tests."""

    runs_as_root = False

    def __init__(self, directory: Path, *, fsync: bool = False) -> None:
        super().__init__(directory)
        self._fsync = fsync
        self._cluster = directory / "cluster"
        self._bin = Path(program("postgres", *_newest_installed())).parent

    @property
    def url(self) -> str:
        """``postgresql://postgres@127.0.0.1:PORT/postgres``: a superuser, no password."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        """Make the cluster, once."""
        if self._cluster.exists():
            return
        unfinished = self.directory / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            self.as_account([str(self._bin / "initdb"), "-D", str(unfinished), *options]),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.directory,
        )
        unfinished.rename(self._cluster)

    def command(self) -> Sequence[str]:
        """``postgres`` in the foreground, listening on the loopback only."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 300,
            "fsync": "on" if self._fsync else "off",
            "shared_buffers": "128MB",
            "idle_in_transaction_session_timeout": 0,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self._cluster), *options]

    def ready(self) -> bool:
        """What ``pg_ctl --wait`` looks at: the status line of the pid file, written by this very process."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def stop_signal(self) -> signal.Signals:
        """Fast shutdown: sessions are ended, data is written."""
        return signal.SIGINT

    def kill(self) -> None:
        """SIGKILL of the postmaster and of every session: those have process groups of their own."""
        sessions = self._children() if self._process else []
        super().kill()
        for pid in sessions:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it noticed that its postmaster is gone

    def _children(self) -> list[int]:
        try:
            listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except FileNotFoundError:
            return []  # it has ended by itself
        return [int(pid) for pid in listed.split()]
