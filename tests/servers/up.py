"""``make run-real``: the real servers, and each Nightledger service in its own process, until Ctrl-C."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infra.embedded.data_dir import DataDir
from infra.embedded.errors import EmbeddedError
from infra.settings import SERVICES
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.mongo import MongoWire
from tests.servers.postgresql import PostgreSQL
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.servers.server import Server, ServerFailed, ServerMissing, program

_CHECK_SECONDS = 0.2
_STOP_SECONDS = 30.0


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(text, flush=True)  # noqa: T201 - this is a command


@contextmanager
def real_servers(directory: Path) -> Iterator[Mapping[str, str]]:
    """Run all servers with their data below ``directory``. Yields the settings that point Nightledger at them."""
    servers: Mapping[str, Server] = {
        "NIGHTLEDGER_POSTGRES_URL": PostgreSQL(directory / "postgres", fsync=True),
        "NIGHTLEDGER_RABBITMQ_URL": RabbitMQ(directory / "rabbitmq"),
        "NIGHTLEDGER_REDIS_URL": Redis(directory / "redis"),
        "NIGHTLEDGER_MONGO_URL": MongoWire(directory / "mongo"),
        "NIGHTLEDGER_ELASTICSEARCH_URL": Elasticsearch(directory / "elasticsearch"),
    }
    with ThreadPoolExecutor(len(servers)) as pool:
        for server in servers.values():
            server.ends_with_starter = True
        try:
            for starting in [pool.submit(server.start) for server in servers.values()]:
                starting.result()
            yield {variable: server.url for variable, server in servers.items()}
        finally:
            for stopping in [pool.submit(server.stop) for server in servers.values()]:
                stopping.result()


@contextmanager
def services(settings: Mapping[str, str], logs: Path) -> Iterator[Mapping[str, subprocess.Popen[bytes]]]:
    """Run ``nightledger serve NAME`` for every service, each in a process of its own; SIGTERM to all at the end."""
    logs.mkdir(exist_ok=True)
    nightledger = str(Path(sys.executable).with_name("nightledger"))
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in SERVICES:
            options = ["--demo"] if name == "gateway" else []
            with (logs / f"{name}.log").open("ab") as output:
                running[name] = subprocess.Popen(
                    [program("setpriv"), "--pdeathsig=TERM", nightledger, "serve", name, *options],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=settings,
                    start_new_session=True,
                )
        yield running
    finally:
        for process in running.values():
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def up(directory: Path) -> int:
    """Start everything, print how to try it, wait for Ctrl-C. Returns the exit code: 1 if a service ended by itself."""
    interrupted, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for how in (signal.SIGINT, signal.SIGTERM):
        signal.signal(how, lambda *_: None)
    try:
        with ExitStack() as stack:
            stack.enter_context(DataDir(directory))
            say(f"starting PostgreSQL, RabbitMQ, Redis, Elasticsearch and the MongoDB wire server in {directory} ...")
            urls = stack.enter_context(real_servers(directory))
            settings = {**os.environ, **urls, "NIGHTLEDGER_DATA_DIR": str(directory / "platform")}
            say(f"starting {len(SERVICES)} services and the demo hotels; logs in {directory / 'logs'} ...")
            processes = stack.enter_context(services(settings, directory / "logs"))
            ended = _wait_for(processes, interrupted, urls, directory)
            say("stopping ...")
    except (EmbeddedError, ServerFailed, ServerMissing) as failure:
        print(f"run-real: {failure}", file=sys.stderr)  # noqa: T201 - this is a command
        return 1
    return 1 if ended else 0


def _wait_for(
    processes: Mapping[str, subprocess.Popen[bytes]], interrupted: int, urls: Mapping[str, str], directory: Path
) -> bool:
    """Wait until Ctrl-C or until a service ends by itself. Returns whether the latter happened."""
    logs = directory / "logs"
    watched = {os.pidfd_open(process.pid): name for name, process in processes.items()}
    host = os.environ.get("NIGHTLEDGER_HOST", "127.0.0.1")
    base = f"http://{host}:{os.environ.get('NIGHTLEDGER_PORT', '8000')}"
    explained = False
    try:
        while True:
            ready, _, _ = select.select([interrupted, *watched], [], [], None if explained else _CHECK_SECONDS)
            for name in (watched[descriptor] for descriptor in ready if descriptor in watched):
                say(f"the service {name} has ended; the end of {logs / name}.log:")
                say((logs / f"{name}.log").read_text(errors="replace")[-3000:])
                return True
            if ready:
                return False
            if _answers(f"{base}/health/ready"):
                explained = True
                _explain(base, urls, directory)
    finally:
        for descriptor in watched:
            os.close(descriptor)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own service
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _explain(base: str, urls: Mapping[str, str], directory: Path) -> None:
    say("\nNightledger runs on real servers, each service in its own process:")
    for variable, url in urls.items():
        say(f"  {variable}={url}")
    say("  NIGHTLEDGER_CLICKHOUSE_URL is not set: no ClickHouse package is to be had here, so the process of the")
    say("  analytics service owns the ClickHouse engine itself (chdb). 'docker compose up' brings the real server.")
    say(f"\nLogs: {directory / 'logs'}\nTry:\n  curl '{base}/v1/hotels?city=Lisbon'\n  open {base}/docs")
    say(f"  NIGHTLEDGER_DATA_DIR={directory / 'platform'} .venv/bin/nightledger projections list")
    say(f"Demo accounts: {directory / 'platform' / 'demo-accounts.json'}\nCtrl-C stops everything.")
