"""Server processes that outlive a killed platform and are taken over by the next one."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.embedded.errors import EmbeddedFailed

_POLL_SECONDS = 0.01
_LOG_LIMIT_BYTES = 10_000_000
_LOG_TAIL_BYTES = 2_000


class ServerProcess:
    """A running server: our child, or one that an earlier platform left behind."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._child = child
        self._descriptor = os.pidfd_open(pid)

    @classmethod
    def launch(cls, command: Sequence[str], log: Path, lock: int) -> ServerProcess:
        """Start ``command`` in its own session (a terminal's Ctrl-C is for the platform), its output added to ``log``.

        The server inherits ``lock`` (see ``find_or_lock``); ours is closed.
        """
        with log.open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 - the command is ours
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=clean_environment(),
                cwd="/",
                start_new_session=True,
                pass_fds=(lock,),
            )
        os.close(lock)
        return cls(child.pid, child)

    @classmethod
    def find(cls, pid: int, program: str, argument: str) -> ServerProcess | None:
        """The running process ``pid``, if it is ``program`` started with ``argument``; None for any other program.

        A process id in a file may have been given to a stranger since; the command line tells.
        """
        try:
            process = cls(pid)
        except (ProcessLookupError, OverflowError):
            return None
        words = command_line(pid)
        if words and Path(words[0]).name == program and argument in words:
            return process
        process.forget()
        return None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended_within(0)

    def _ended_within(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def stop(self, *signals: tuple[signal.Signals, float]) -> None:
        """Send each signal in turn and wait so many seconds for the end; SIGKILL if all of them fail."""
        for how, seconds in (*signals, (signal.SIGKILL, 60.0)):
            if self.running:
                signal.pidfd_send_signal(self._descriptor, how)
            if self._ended_within(seconds):
                break
        self.forget()

    def forget(self) -> None:
        """Let go of the process without ending it; an ended child is reaped."""
        if self._child is not None and not self.running:
            self._child.wait()
        os.close(self._descriptor)


def find_or_lock(directory: Path, find: Callable[[], ServerProcess | None], seconds: float) -> ServerProcess | int:
    """The server that runs in ``directory`` already, or else the descriptor of a lock on it for the next one.

    Servers and their helpers inherit the lock and keep it as long as one of them lives. So a free lock proves that
    nothing is left, and a taken one means to wait: for the server to show itself through ``find``, or for its end.
    Raises EmbeddedFailed if neither happens within ``seconds``.
    """
    lock = os.open(directory / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = find()
            if process is not None:
                os.close(lock)
                return process
            if time.monotonic() > deadline:
                os.close(lock)
                raise EmbeddedFailed(f"a process of an earlier run holds {directory}/server.lock; end it") from None
            time.sleep(_POLL_SECONDS)
        else:
            return lock


def clean_environment() -> dict[str, str]:
    """What servers get: no PG* or other variable of the person who started us, and messages in English."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def command_line(pid: int) -> list[str]:
    """The words of a process's command line; none if it has ended."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [word.decode(errors="replace") for word in raw.split(b"\0") if word]


def wait_until(condition: Callable[[], bool], process: ServerProcess, seconds: float, log: Path) -> None:
    """Wait for ``condition``. Raises EmbeddedFailed if the process ends first or the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if not process.running:
            raise EmbeddedFailed(f"the server ended while it started; the end of {log}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise EmbeddedFailed(f"the server was not ready after {seconds:g} s; the end of {log}:\n{tail(log)}")
        time.sleep(_POLL_SECONDS)


def tail(log: Path) -> str:
    """The last lines of a log."""
    with log.open("rb") as lines:
        lines.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
        return lines.read().decode(errors="replace").strip()


def trim(log: Path) -> None:
    """Put a log that has grown large aside, over the one that was put aside before."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".old"))
