"""One shared server per test run: started by the first test that needs it, stopped when the run ends.

Pytest (with xdist: its controller) owns a run folder; its path and the owner's process id are in the environment,
which workers inherit. The first to ask for a server starts ``python -m tests.servers hold NAME`` under a file lock;
that process keeps the server until the owner ends, however it ends, so that nothing is left running.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from infra.embedded.postgres import EmbeddedPostgres
from infra.embedded.redis import EmbeddedRedis
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.mongo import MongoWire
from tests.servers.postgresql import PostgreSQL
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.servers.server import Server, ServerFailed

_RUN = "NIGHTLEDGER_TEST_RUN"

SERVERS: Mapping[str, Callable[[Path], Server | EmbeddedPostgres | EmbeddedRedis]] = {
    "postgres": PostgreSQL,
    "rabbitmq": RabbitMQ,
    "redis": Redis,
    "mongo": MongoWire,
    "elasticsearch": Elasticsearch,
    "embedded_postgres": EmbeddedPostgres,
    "embedded_redis": EmbeddedRedis,
}
"""Every server that tests can share."""


def open_run() -> bool:
    """Make the run folder, unless this process belongs to a run already. Returns whether it was made here."""
    if _RUN in os.environ:
        return False
    os.environ[_RUN] = f"{os.getpid()}:{tempfile.mkdtemp(prefix='nightledger-run-')}"
    return True


def close_run() -> None:
    """Stop the run's servers, wait for them, remove the run folder. For the process that made it."""
    _, _, folder = os.environ.pop(_RUN).partition(":")
    holders = [int(path.read_text()) for path in Path(folder).glob("*.holder")]
    for pid in holders:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    for pid in holders:
        wait_for_end(pid)
    shutil.rmtree(folder, ignore_errors=True)


def wait_for_end(pid: int) -> None:
    """Wait until the process with this id has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([descriptor], [], [])
    finally:
        os.close(descriptor)


def shared(name: str, group: str = "") -> Mapping[str, str]:
    """The URLs (``url``, for RabbitMQ also ``management_url``) of the run's server of that name, one per ``group``.

    ``NIGHTLEDGER_TEST_<NAME>_URL`` names a server that is there already instead. Raises ServerFailed.
    """
    variable = f"NIGHTLEDGER_TEST_{name.upper()}_URL"
    if variable in os.environ:
        management = os.environ.get("NIGHTLEDGER_TEST_RABBITMQ_MANAGEMENT_URL", "")
        return {"url": os.environ[variable], "management_url": management}
    owner, _, folder = os.environ[_RUN].partition(":")
    key = f"{name}{group}"
    urls = Path(folder, f"{key}.json")
    with Path(folder, f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not urls.exists():
            _start_holder(name, key, owner, Path(folder))
    answer: Mapping[str, str] = json.loads(urls.read_text())
    return answer


def _start_holder(name: str, key: str, owner: str, folder: Path) -> None:
    root = Path(__file__).parent.parent.parent
    with Path(folder, f"{key}.log").open("wb") as log:
        holder = subprocess.Popen(
            [sys.executable, "-m", "tests.servers", "hold", name, owner],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=root,
            start_new_session=True,
        )
    if holder.stdout is None:
        raise ServerFailed("the holder has no standard output")
    with holder.stdout as answer:
        line = answer.readline()
    if not line:
        holder.wait()
        raise ServerFailed(Path(folder, f"{key}.log").read_text(errors="replace")[-4000:])
    holder.returncode = 0  # it outlives this worker on purpose; the run's owner stops it
    Path(folder, f"{key}.holder").write_text(str(holder.pid))
    Path(folder, f"{key}.json").write_bytes(line)


def hold(name: str, owner: int) -> None:
    """Run a server until process ``owner`` ends or SIGTERM comes; print its URLs as a line of JSON when it is ready."""
    alive = os.pidfd_open(owner)
    told_to_stop, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, lambda *_: None)
    directory = Path(tempfile.mkdtemp(prefix=f"nightledger-{name}-"))
    server = SERVERS[name](directory)
    if isinstance(server, Server):
        server.ends_with_starter = True
    try:
        server.start()
        urls = {"url": server.url}
        if isinstance(server, RabbitMQ):
            urls["management_url"] = server.management_url
        print(json.dumps(urls), flush=True)  # noqa: T201 - the answer to the starter
        select.select([alive, told_to_stop], [], [])
    finally:
        if isinstance(server, Server):
            server.kill()  # nobody needs the data of a test run: a shutdown in good order would only take its time
        else:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)
