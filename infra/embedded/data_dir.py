"""The data directory of one platform: one owner at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from infra.embedded.errors import DataDirInUse


class DataDir:
    """``path`` (made if absent) held by this process.

    The hold is a lock that the kernel gives back when the process ends, however it ends, so there is no stale state
    to clean up. Usable as a context manager.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    def acquire(self) -> None:
        """Take the directory. Raises DataDirInUse, which names the process that has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise DataDirInUse(
                f"{self.path} is in use by a running Nightledger (process {owner}); "
                "stop it, or set NIGHTLEDGER_DATA_DIR to another directory"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def release(self) -> None:
        """Give the directory back. Does nothing if it is not held."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
