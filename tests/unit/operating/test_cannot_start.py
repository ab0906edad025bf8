"""What keeps the platform from starting is said in one line that names it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from api.cli.host import CannotStart
from infra.bootstrap.serving import _starting, migrated
from infra.eventstore.errors import LogOfAnotherServer
from infra.settings import Settings


async def test_a_postgresql_that_is_not_there() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql://127.0.0.1:{nobody.getsockname()[1]}/nightledger"
        with pytest.raises(
            CannotStart, match=r"^NIGHTLEDGER_POSTGRES_URL: PostgreSQL does not let us in: ConnectionRefused"
        ):
            await migrated(Settings(postgres_url=url, redis_url="redis://127.0.0.1:1"))


async def test_a_data_directory_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(CannotStart) as refused:
        await migrated(Settings(data_dir=file / "data"))
    assert str(file) in str(refused.value)
    assert "POSTGRES" not in str(refused.value)


def test_a_log_that_a_dump_has_brought_to_another_server() -> None:
    with pytest.raises(CannotStart, match="pg_resetwal"), _starting():
        raise LogOfAnotherServer("bookings", 4_000_000_000, 700)
