"""The program ``nightledger``: runs the platform, or finds the one that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import httpx

from api.cli.host import CannotStart, ServeOptions
from api.cli.main import command_line
from infra.bootstrap.local import LocalAccess, client_of
from infra.observability.logs import configure_logs
from infra.settings import BadSetting, Settings, load_settings


def main() -> None:
    """Run the command line."""
    command_line(NightledgerHost(), version("nightledger"))()


class NightledgerHost:
    """See ``api.cli.host.Host``.

    Settings are read when a command needs them, so that ``--help`` never fails; the platform is loaded when it has to
    run in this process, so that a command that only asks a running one answers at once.
    """

    @property
    def data_dir(self) -> Path:
        """Where the platform of this machine keeps its data."""
        return _settings().data_dir

    def serve(self, options: ServeOptions) -> None:
        """Run until SIGINT or SIGTERM. Raises CannotStart."""
        from infra.bootstrap.serving import serve  # noqa: PLC0415 - see the class

        settings = _settings()
        if options.port is not None:
            settings = settings.model_copy(update={"port": options.port})
        configure_logs(settings.log_level, as_json=settings.log_json)
        serve(settings, options.services, demo=options.demo)

    async def migrate(self) -> tuple[str, ...]:
        """Bring every schema up to date. Raises CannotStart."""
        from infra.bootstrap.serving import migrated  # noqa: PLC0415 - see the class

        return await migrated(_settings())

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client of the running platform, or of one that runs in this process meanwhile. Raises CannotStart."""
        settings = _settings()
        if settings.url:
            token = settings.token.get_secret_value() if settings.token else ""
            async with client_of(settings.url, token) as client:
                yield client
            return
        access = LocalAccess(settings.data_dir)
        server = access.read()
        if server is not None and await server.answers():
            async with client_of(server.url, server.token, latest=access.latest_token) as client:
                yield client
            return
        from infra.bootstrap.serving import in_this_process  # noqa: PLC0415 - see the class

        configure_logs("warning", as_json=settings.log_json)
        async with in_this_process(settings) as client:
            yield client


def _settings() -> Settings:
    try:
        return load_settings()
    except BadSetting as error:
        raise CannotStart(str(error)) from error
