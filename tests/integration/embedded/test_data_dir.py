"""One platform at a time on a data directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.embedded.data_dir import DataDir
from infra.embedded.errors import DataDirInUse
from tests.integration.embedded.platform import Platform


def test_a_second_owner_is_refused_with_one_clear_line(directory: Path) -> None:
    platform = Platform("data_dir", directory)
    try:
        with pytest.raises(DataDirInUse) as refused:
            DataDir(directory).acquire()
    finally:
        platform.kill()
    assert str(directory) in str(refused.value)
    assert f"process {platform.pid}" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_killed_owner_holds_nothing(directory: Path) -> None:
    Platform("data_dir", directory).kill()
    with DataDir(directory) as held:
        assert held.path == directory


def test_a_released_directory_can_be_taken_again(directory: Path) -> None:
    data = DataDir(directory)
    for _ in range(2):
        with data, pytest.raises(DataDirInUse):
            DataDir(directory).acquire()
