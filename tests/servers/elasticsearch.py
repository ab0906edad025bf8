"""Elasticsearch: one node in a plain JVM (elasticsearch_node/EsNode.java) from the jars of Maven Central."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.servers import provision
from tests.servers.server import Server, ServerMissing, program


class Elasticsearch(Server):
    """A single node on HTTP, ``heap_megabytes`` of heap."""

    def __init__(self, directory: Path, *, heap_megabytes: int = 384) -> None:
        super().__init__(directory)
        self._heap = heap_megabytes

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Link the modules that were built; the home folder itself is this node's. Raises ServerMissing."""
        built = provision.elasticsearch_home()
        if not built.exists():
            raise ServerMissing(f"{built} is not built; 'make servers' builds it")
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        for part in ("modules", "plugins"):
            (home / part).unlink(missing_ok=True)
            (home / part).symlink_to(built / part)

    def command(self) -> Sequence[str]:
        """``java`` with options for a quick start rather than a fast steady state."""
        built = provision.elasticsearch_home()
        return [
            program("java"),
            f"-Xms{self._heap}m",
            f"-Xmx{self._heap}m",
            *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
            *("-Djava.awt.headless=true", "-Dfile.encoding=UTF-8"),
            *("-cp", f"{built / 'classes'}:{built / 'server'}/*"),
            *("EsNode", str(self.directory / "home"), str(self.port)),
        ]

    def ready(self) -> bool:
        """Whether the cluster has recovered its indices."""
        url = f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=5s"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the URL is the server's own
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
