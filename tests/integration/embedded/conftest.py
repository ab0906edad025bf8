"""Directories for embedded servers: short ones (pytest's own are near the limit of a socket's path)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def directory() -> Iterator[Path]:
    """A new directory that everybody may pass."""
    path = Path(tempfile.mkdtemp(prefix="nl-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
