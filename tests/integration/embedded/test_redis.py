"""The embedded Redis loses nothing that it has answered, and is taken over by the next platform."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import redis

from infra.embedded.redis import EmbeddedRedis
from tests.integration.embedded.platform import Platform


def put(server: EmbeddedRedis, value: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", value)


def got(server: EmbeddedRedis) -> object:
    with redis.Redis.from_url(server.url) as client:
        return client.get("kept")


def test_data_survive_a_stop(directory: Path) -> None:
    server = EmbeddedRedis(directory / "redis")
    with server:
        put(server, "a")
    assert server.pid is None
    with server:
        assert got(server) == b"a"


def test_data_survive_the_death_of_the_server(directory: Path) -> None:
    server = EmbeddedRedis(directory / "redis")
    server.start()
    put(server, "b")
    assert server.pid
    descriptor = os.pidfd_open(server.pid)
    os.kill(server.pid, signal.SIGKILL)
    select.select([descriptor], [], [])
    os.close(descriptor)
    server.stop()
    with EmbeddedRedis(directory / "redis") as second:
        assert got(second) == b"b"


def test_the_next_platform_takes_over_what_a_killed_one_left_running(directory: Path) -> None:
    platform = Platform("redis", directory / "redis")
    platform.kill()
    with EmbeddedRedis(directory / "redis") as server:
        assert server.pid == platform.server_pid
        put(server, "c")
        assert got(server) == b"c"


def test_a_pid_file_that_names_a_stranger_by_now_is_no_hindrance(directory: Path) -> None:
    server = EmbeddedRedis(directory / "redis")
    with server:
        put(server, "d")
    (directory / "redis" / "data" / "redis.pid").write_text(f"{os.getpid()}\n")
    with server:
        assert server.pid != os.getpid()
        assert got(server) == b"d"


def test_a_path_too_long_for_a_socket(directory: Path) -> None:
    with EmbeddedRedis(directory / ("long" * 40) / "redis") as server:
        put(server, "e")
        assert got(server) == b"e"
        assert str(directory) not in server.url
