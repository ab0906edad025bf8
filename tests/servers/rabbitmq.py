"""RabbitMQ: the distribution's, each instance with its own node name, data and Erlang port mapper."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.servers import fresh_name
from tests.servers.server import Server, ServerFailed, answers, free_port, program

_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01\x00\x00"


class RabbitMQ(Server):
    """RabbitMQ on TCP with the management plugin, user ``guest``."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        # The node's name is part of its data, so it must be the same whenever it runs in this directory.
        self._name = f"n{hashlib.sha256(bytes(directory.absolute())).hexdigest()[:12]}@localhost"
        self._distribution_port = free_port()
        self._mapper_port = free_port()
        self.management_port = free_port()
        self._mapper: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """``amqp://guest:guest@127.0.0.1:PORT/``: the virtual host ``/``."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def management_url(self) -> str:
        """The root of the management API, with the password in it."""
        return f"http://guest:guest@127.0.0.1:{self.management_port}"

    def environment(self) -> Mapping[str, str]:
        """Everything that would otherwise be shared with other nodes of this machine."""
        return {
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_LOG_BASE": str(self.directory / "logs"),
            "RABBITMQ_LOGS": "-",
            # Makes the script become the Erlang process, so that signals and process ids are the server's own.
            "RABBITMQ_ALLOW_INPUT": "yes",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            "RABBITMQ_PID_FILE": str(self.directory / "node.pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "absent-rabbitmq-env.conf"),
        }

    def prepare(self) -> None:
        """Write the configuration and start the port mapper, which the node would else leave running behind it."""
        (self.directory / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self.directory / "rabbitmq.conf").write_text(
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.management_port}\n"
            "log.console = true\nlog.console.level = warning\ndisk_free_limit.absolute = 50MB\n"
        )
        if self._mapper is None:
            self._mapper = subprocess.Popen(
                self.tied([program("epmd"), "-port", str(self._mapper_port), "-address", "127.0.0.1"]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.directory,
                start_new_session=True,
            )

    def command(self) -> Sequence[str]:
        """The server script itself: the one in /usr/sbin changes the user and insists on being root."""
        return [program("rabbitmq-server", "/usr/lib/rabbitmq/bin")]

    def ready(self) -> bool:
        """Whether AMQP clients are greeted and the management API answers."""
        if not answers(self.port, _AMQP_HEADER, _METHOD_FRAME):
            return False
        try:
            call_management(self.management_url, "GET", "/api/overview")
        except (OSError, urllib.error.URLError):
            return False
        return True

    def stop(self) -> None:
        """Stop the node, then its port mapper."""
        super().stop()
        self._end_mapper()

    def kill(self) -> None:
        """SIGKILL of the node; its port mapper goes too."""
        super().kill()
        self._end_mapper()

    def _end_mapper(self) -> None:
        mapper, self._mapper = self._mapper, None
        if mapper is not None:
            mapper.kill()
            mapper.wait()

    def purge(self, *beginnings: str) -> None:
        """Throw away what waits in the queues whose names begin so. Raises ServerFailed if there are none."""
        queues = call_management(self.management_url, "GET", "/api/queues/%2F")
        names = [queue["name"] for queue in queues if queue["name"].startswith(beginnings)]
        if not names:
            raise ServerFailed(f"there is no queue whose name begins with one of {beginnings}")
        for name in names:
            call_management(self.management_url, "DELETE", f"/api/queues/%2F/{quote(name)}/contents")

    def create_vhost(self) -> str:
        """Make a fresh virtual host. Returns its AMQP URL."""
        return create_vhost(self.url, self.management_url, fresh_name())


def call_management(management_url: str, method: str, path: str, body: object = None) -> Any:
    """Call the management API. Returns the answer's JSON, None if it is empty. Raises URLError."""
    parts = urlsplit(management_url)
    secret = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    request = urllib.request.Request(
        f"http://{parts.hostname}:{parts.port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Basic {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        text = answer.read()
    return json.loads(text) if text else None


def create_vhost(url: str, management_url: str, name: str) -> str:
    """Make the virtual host ``name`` on the server. Returns its AMQP URL."""
    call_management(management_url, "PUT", f"/api/vhosts/{name}")
    return f"{url.rstrip('/')}/{quote(name)}"


def delete_vhost(vhost_url: str, management_url: str) -> None:
    """Remove a virtual host with all that is in it."""
    call_management(management_url, "DELETE", f"/api/vhosts/{urlsplit(vhost_url).path.strip('/')}")
