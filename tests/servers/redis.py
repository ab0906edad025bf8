"""Redis: the distribution's."""

from __future__ import annotations

from collections.abc import Sequence

from tests.servers.server import Server, answers, program


class Redis(Server):
    """Redis on TCP, with an append-only file, so that a kill loses nothing that was answered."""

    appends = "yes"

    @property
    def url(self) -> str:
        """``redis://127.0.0.1:PORT/0``."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        """``redis-server`` in the foreground on the loopback."""
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.directory, "save": ""}
        options["appendonly"] = self.appends
        return [
            program("redis-server", "/usr/bin"),
            *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        ]

    def ready(self) -> bool:
        """Whether it answers PING: no longer loading."""
        return answers(self.port, b"PING\r\n", b"+PONG")


class SnapshotRedis(Redis):
    """Without an append-only file, as Redis is by default: a kill loses what came after the last ``SAVE``."""

    appends = "no"
