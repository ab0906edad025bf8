"""The embedded PostgreSQL starts from nothing, survives every kind of death, and is taken over by the next platform."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import asyncpg
import pytest

from infra.embedded.errors import EmbeddedFailed
from infra.embedded.postgres import EmbeddedPostgres
from tests.integration.embedded.platform import Platform


async def run(server: EmbeddedPostgres, query: str) -> object:
    connection = await asyncpg.connect(server.url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def keep_a_row(server: EmbeddedPostgres) -> None:
    await run(server, "create table kept as select 42 as answer")


async def has_the_row(server: EmbeddedPostgres) -> bool:
    return await run(server, "select answer from kept") == 42


def end(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    descriptor = os.pidfd_open(pid)
    os.kill(pid, how)
    select.select([descriptor], [], [])
    os.close(descriptor)


async def test_data_survive_a_stop(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "postgres")
    with server:
        await keep_a_row(server)
    assert server.pid is None
    with server:
        assert await has_the_row(server)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("autovacuum", "on"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("server_encoding", "UTF8"),
    ],
)
async def test_the_settings_that_safety_rests_on(embedded_postgres_url: str, setting: str, value: str) -> None:
    connection = await asyncpg.connect(embedded_postgres_url)
    try:
        assert await connection.fetchval(f"show {setting}") == value
    finally:
        await connection.close()


async def test_data_survive_the_death_of_the_server(directory: Path) -> None:
    first = EmbeddedPostgres(directory / "postgres")
    first.start()
    await keep_a_row(first)
    assert first.pid
    end(first.pid)
    first.stop()
    with EmbeddedPostgres(directory / "postgres") as second:
        assert await has_the_row(second)


async def test_the_next_platform_takes_over_what_a_killed_one_left_running(directory: Path) -> None:
    platform = Platform("postgres", directory / "postgres")
    platform.kill()
    with EmbeddedPostgres(directory / "postgres") as server:
        assert server.pid == platform.server_pid
        await keep_a_row(server)
        assert await has_the_row(server)


async def test_a_start_waits_for_the_sessions_of_a_killed_server(directory: Path) -> None:
    """The server dies, but a session of it is stopped and so lives on: starting beside it would ruin the data."""
    first = EmbeddedPostgres(directory / "postgres")
    first.start()
    connection = await asyncpg.connect(first.url)
    session = await connection.fetchval("select pg_backend_pid()")
    os.kill(session, signal.SIGSTOP)
    try:
        assert first.pid
        end(first.pid)
        first.stop()
        second = EmbeddedPostgres(directory / "postgres", start_seconds=0.5)
        with pytest.raises(EmbeddedFailed, match="earlier run"):
            second.start()
    finally:
        os.kill(session, signal.SIGCONT)
        connection.terminate()
    with EmbeddedPostgres(directory / "postgres") as third:
        assert await run(third, "select 1") == 1


async def test_a_pid_file_that_names_a_stranger_by_now_is_no_hindrance(directory: Path) -> None:
    with EmbeddedPostgres(directory / "postgres") as server:
        await keep_a_row(server)
        assert server.pid
        pid_file = directory / "postgres" / "cluster" / "postmaster.pid"
        left = pid_file.read_text()
        end(server.pid)
    pid_file.write_text("\n".join([str(os.getpid()), *left.splitlines()[1:]]) + "\n")
    with EmbeddedPostgres(directory / "postgres") as server:
        assert await has_the_row(server)


async def test_a_half_made_cluster_is_made_anew(directory: Path) -> None:
    unfinished = directory / "postgres" / "unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(directory / "postgres") as server:
        assert await run(server, "select 1") == 1
    assert not unfinished.exists()


async def test_a_path_too_long_for_a_socket(directory: Path) -> None:
    server = EmbeddedPostgres(directory / ("long" * 40) / "postgres")
    with server:
        await keep_a_row(server)
        assert str(directory) not in server.url
    with server:
        assert await has_the_row(server)


def test_a_failure_quotes_the_log(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "postgres")
    with server:
        pass
    with (directory / "postgres" / "cluster" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedFailed, match="no_such_setting"):
        server.start()
