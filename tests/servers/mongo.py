"""MongoDB's wire protocol: FerretDB's embeddable package (mongowire/main.go) over SQLite files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from tests.servers import provision
from tests.servers.server import Server, ServerMissing, answers


class MongoWire(Server):
    """A durable server that speaks MongoDB's protocol."""

    @property
    def url(self) -> str:
        """``mongodb://127.0.0.1:PORT/``."""
        return f"mongodb://127.0.0.1:{self.port}/"

    def prepare(self) -> None:
        """Make the folder of the SQLite files."""
        (self.directory / "data").mkdir(exist_ok=True)

    def command(self) -> Sequence[str]:
        """``mongowire`` in the foreground. Raises ServerMissing."""
        binary = provision.mongowire_binary()
        if not binary.exists():
            raise ServerMissing(f"{binary} is not built; 'make servers' builds it")
        return [str(binary), f"127.0.0.1:{self.port}", "sqlite", "file:data/"]

    def forget(self) -> None:
        """Delete everything; only while it does not run."""
        shutil.rmtree(self.directory / "data")

    def ready(self) -> bool:
        """Whether it accepts connections."""
        return answers(self.port, b"", b"")
