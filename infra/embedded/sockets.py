"""Where a server's Unix socket lies: in its own directory or, where that path is too long, in the temporary one."""

from __future__ import annotations

import hashlib
import stat
import tempfile
from pathlib import Path

from infra.embedded.account import Account
from infra.embedded.errors import EmbeddedFailed

_PATH_LIMIT_BYTES = 107
"""The kernel's limit for the path of a Unix socket."""


def socket_directory(directory: Path, socket_name: str, account: Account) -> Path:
    """A directory for ``socket_name`` that only ``account`` (and root) may enter, the same one at every start.

    Raises EmbeddedFailed if somebody else has put something in its place.
    """
    own = directory / "socket"
    if len(bytes(own / socket_name)) <= _PATH_LIMIT_BYTES:
        return _private(own, account)
    digest = hashlib.sha256(bytes(directory)).hexdigest()[:16]
    return _private(Path(tempfile.gettempdir(), f"nightledger-{digest}"), account)


def leave_socket_directory(directory: Path, sockets: Path) -> None:
    """Remove ``sockets`` if it lies in the temporary directory: for a server of ``directory`` that has stopped."""
    if directory not in (sockets, sockets.parent) and not any(sockets.iterdir()):
        sockets.rmdir()


def _private(path: Path, account: Account) -> Path:
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077 or not account.owns(path):
            raise EmbeddedFailed(f"{path} is not a private directory of user {account.uid}; remove it") from None
    else:
        account.give(path)
    return path
