"""What all servers have in common: own directory, own port, start, stop, kill, restart with the data kept."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from infra.embedded.account import command_as, unprivileged_account

START_SECONDS = 90.0
STOP_SECONDS = 30.0
_POLL_SECONDS = 0.02


class ServerMissing(Exception):
    """A program that a server needs is not installed. The text says which command installs it."""


class ServerFailed(Exception):
    """A server did not start. The text ends with the last lines of its log."""


def program(name: str, *places: str) -> str:
    """The path of an installed program, looked for in ``places`` first. Raises ServerMissing."""
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise ServerMissing(f"{name} is not installed; 'make servers' installs it")
    return found


def free_port() -> int:
    """A TCP port on the loopback that nobody listens on, below the range that outgoing connections take theirs from."""
    for port in random.SystemRandom().sample(range(20000, 32000), 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerFailed("no free TCP port between 20000 and 32000")


def answers(port: int, send: bytes, expect: bytes) -> bool:
    """Whether the server on ``port`` answers ``send`` with something that starts with ``expect``."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            if send:
                connection.sendall(send)
            return not expect or connection.recv(max(len(expect), 64)).startswith(expect)
    except OSError:
        return False


class Server(ABC):
    """One server in ``directory`` (made if absent), which keeps its data when it is stopped, killed and started again.

    The port, and so the URL, stay the same over restarts. Usable as a context manager.
    """

    runs_as_root = True
    """False for a program that refuses to: then a root user's server runs as an unprivileged account."""

    ends_with_starter = False
    """True for a server that gets its stop signal when the thread that starts it ends, even by SIGKILL."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._account = None if self.runs_as_root or os.geteuid() != 0 else unprivileged_account()
        if self._account:
            self._account.give(directory)

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The command line that runs the server in the foreground."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether the server takes work now."""

    def environment(self) -> Mapping[str, str]:
        """What the server's environment has beyond ours."""
        return {}

    def prepare(self) -> None:  # noqa: B027 - most servers need nothing made
        """Make what the server needs before it starts; called before every start."""

    @property
    def log(self) -> Path:
        """Everything that the server printed."""
        return self.directory / "server.log"

    @property
    def pid(self) -> int:
        """The process id. Raises ServerFailed if the server does not run."""
        if self._process is None:
            raise ServerFailed(f"{type(self).__name__} in {self.directory} does not run")
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it takes work. Raises ServerMissing, ServerFailed."""
        self.prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.as_account(self.tied(self.command())),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment()},
                cwd=self.directory,
                start_new_session=True,
            )
        self._wait_until_ready(self._process)

    def tied(self, command: Sequence[str]) -> list[str]:
        """``command``, which ends with its starter if the server does."""
        if not self.ends_with_starter:
            return list(command)
        return [program("setpriv"), f"--pdeathsig={self.stop_signal().name.removeprefix('SIG')}", *command]

    def as_account(self, command: Sequence[str]) -> list[str]:
        """``command``, run by the unprivileged account if root's server needs one."""
        if self._account is None:
            return list(command)
        return command_as(self._account, command, reaching=(self.directory / "data", Path(command[0])))

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = self.log.read_text(errors="replace")[-3000:]
                raise ServerFailed(f"{type(self).__name__} did not start; the end of its log:\n{tail}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ask the server to stop and wait until it has. Does nothing if it does not run."""
        self._end(self.stop_signal())

    def stop_signal(self) -> signal.Signals:
        """The signal by which the server shuts down in good order."""
        return signal.SIGTERM

    def kill(self) -> None:
        """End all of the server's processes with SIGKILL, as a loss of power would. Does nothing if it does not run."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if how is signal.SIGKILL:
            self._signal_group(process, how)
            process.wait()
            return
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal_group(process, signal.SIGKILL)
            process.wait()

    @staticmethod
    def _signal_group(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            return  # the last process of the group has ended by itself

    def restart(self) -> None:
        """Stop in good order and start again on the same port with the same data."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
