"""The platform as a user runs it: processes of ``nightledger serve``, spoken to over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx

NIGHTLEDGER = Path(sys.executable).with_name("nightledger")
READY_SECONDS = 60
CHECK_SECONDS = 0.1


class RunningPlatform:
    """One or more processes on one data directory; ``groups`` are the services of each (one empty group: all)."""

    logs: ClassVar[list[Path]] = []
    """Of every platform that there has been."""

    def __init__(
        self, data_dir: Path, settings: Mapping[str, str] | None = None, groups: Sequence[Sequence[str]] = ((),)
    ) -> None:
        self.data_dir = data_dir
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLEDGER_")}
        # A process that may not keep what it has compiled compiles all of it again: three seconds at each start.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment |= {
            "NIGHTLEDGER_DATA_DIR": str(data_dir),
            "NIGHTLEDGER_PORT": str(self.port),
            "NIGHTLEDGER_RATE_LIMITS": "false",
            "NIGHTLEDGER_DEMO_HOTELS": "3",
            # As if there were much to replay; and soon, because all processors are busy with tests.
            "NIGHTLEDGER_REPLAY_PROCESS_FROM": "1",
            "NIGHTLEDGER_REPLAY_PRIORITY": "normal",
            **(settings or {}),
        }
        self.arguments: tuple[str, ...] = ()
        self._groups = groups
        self._processes: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.logs.append(self.log)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it is ready. ``arguments`` go to the process with the gateway."""
        for group in self._groups:
            self._launch(tuple(group))
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def start_process(self, service: str) -> None:
        """Start the process that ``service`` runs in, alone; does not wait."""
        self._launch(self._group_of(service))

    def kill_process(self, service: str) -> None:
        """SIGKILL the process that ``service`` runs in, alone."""
        process = self._processes.pop(self._group_of(service))
        process.kill()
        process.wait()

    def filling_processes(self, service: str) -> list[int]:
        """Process ids of those that fill builds for the process that ``service`` runs in."""
        parent = self._processes[self._group_of(service)].pid
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                status, command = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
                if int(status.rpartition(")")[2].split()[1]) == parent and b"infra.bootstrap.filling" in command:
                    found.append(int(folder.name))
        return found

    def ended(self) -> list[str]:
        """Processes that have ended by themselves, by their services."""
        return [" ".join(group) for group, process in self._processes.items() if process.poll() is not None]

    def _group_of(self, service: str) -> tuple[str, ...]:
        return next(tuple(group) for group in self._groups if service in group or not group)

    def _launch(self, group: tuple[str, ...]) -> None:
        with self.log.open("ab") as log:
            self._processes[group] = subprocess.Popen(
                self._command(group), env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def _command(self, group: Sequence[str]) -> list[str]:
        arguments = self.arguments if not group or "gateway" in group else ()
        return [str(NIGHTLEDGER), "serve", *group, *arguments]

    def wait_until_ready(self) -> None:
        """Return when ``/health/ready`` says so; fail with the log if a process ends or it takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            ended = self.ended()
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"not ready ({ended=}):\n{self.log.read_text()[-6000:]}")
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=5).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass  # not listening yet: the deadline above bounds it
            time.sleep(CHECK_SECONDS)

    def kill(self) -> None:
        """SIGKILL every process of ours at once."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()

    def stop(self) -> None:
        """Ask every process to stop; fail if one has to be killed."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        try:
            for process in self._processes.values():
                process.wait(timeout=30)
        finally:
            self.kill()

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``nightledger`` with the same settings."""
        done = subprocess.run(
            [NIGHTLEDGER, *arguments], env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def demo_account(self, role: str) -> dict[str, str]:
        """E-mail and password of a demo account."""
        accounts: dict[str, dict[str, str]] = json.loads((self.data_dir / "demo-accounts.json").read_text())
        return accounts[role]

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        """An HTTP client, with a bearer token if given."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        limits = httpx.Limits(max_connections=256)
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60, limits=limits)

    async def login(self, role: str) -> httpx.AsyncClient:
        """A client that is logged in as a demo account."""
        async with self.client() as anonymous:
            answer = await anonymous.post("/v1/auth/login", json=self.demo_account(role))
        return self.client(ok(answer)["access_token"])


def is_running(pid: int) -> bool:
    """Whether there is a process ``pid``, and it has not ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def ok(answer: httpx.Response, *expected: int) -> Any:
    """The JSON of a successful answer; fails with the whole answer otherwise."""
    wanted = expected or (200, 201, 202)
    assert answer.status_code in wanted, (
        f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    )
    return answer.json()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
