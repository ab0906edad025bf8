"""Who the embedded servers run as: ourselves or, if we are root, an unprivileged account that exists already.

No account is created and nothing outside a server's own directory changes its owner or mode. Where the account may
not walk down to the programs or the data (a checkout under /root), the server is given the one capability that lets
it, and nothing else of root's power.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.errors import NoAccount

_NAMES = ("nobody", "daemon")
_ROOT = 0

_WALKING = ((2, "dac_read_search"), (1, "dac_override"))
"""Capabilities (bit, name) that let a process pass closed directories, the weaker first: containers often lack it."""


@dataclass(frozen=True)
class Account:
    """A user and group by number, whether or not they have names."""

    uid: int
    gid: int

    def owns(self, path: Path) -> bool:
        """Whether ``path`` belongs to this user."""
        return path.lstat().st_uid == self.uid

    def give(self, path: Path) -> None:
        """Make ``path`` this user's. For what we made ourselves, inside a server's directory."""
        if os.geteuid() != self.uid:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def may_reach(self, path: Path) -> bool:
        """Whether this user may pass every directory above ``path``."""
        return all(self._may_pass(parent.stat()) for parent in path.resolve().parents)

    def _may_pass(self, found: os.stat_result) -> bool:
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def unprivileged_account() -> Account:
    """The first of ``nobody`` and ``daemon`` that exists. Raises NoAccount."""
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise NoAccount(f"root needs an account to run servers as: neither {' nor '.join(_NAMES)} exists")


def account_for(data: Path) -> Account:
    """Who runs the server of ``data``: ourselves; as root the owner of existing data, or else ``nobody``."""
    if os.geteuid() != _ROOT:
        return Account(os.geteuid(), os.getegid())
    if data.exists():
        found = data.stat()
        if found.st_uid != _ROOT:
            return Account(found.st_uid, found.st_gid)
    return unprivileged_account()


def command_as(account: Account, command: Iterable[str], *, reaching: Iterable[Path]) -> list[str]:
    """``command`` so that it runs as ``account`` and gets to the paths ``reaching``. Raises NoAccount."""
    if account.uid == os.geteuid():
        return list(command)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise NoAccount("root needs setpriv (Debian: apt-get install util-linux) to run servers as another account")
    capabilities = "-all" if all(account.may_reach(path) for path in reaching) else f"-all,+{_walking_capability()}"
    return [
        setpriv,
        f"--reuid={account.uid}",
        f"--regid={account.gid}",
        "--clear-groups",
        "--no-new-privs",
        f"--inh-caps={capabilities}",
        f"--ambient-caps={capabilities}",
        *command,
    ]


def _walking_capability() -> str:
    status = Path("/proc/self/status").read_text()
    permitted = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapPrm:")), 16)
    for bit, name in _WALKING:
        if permitted & (1 << bit):
            return name
    raise NoAccount(
        "the data directory or the programs lie below a directory that only root may pass, and this container "
        "withholds the capability to pass it; set NIGHTLEDGER_DATA_DIR to a directory that everybody may pass"
    )
