"""The command line. Everything but ``serve`` and ``migrate`` goes over the HTTP API, as an operator."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from api.cli import actions, audit, clients, dead_letters, demo, events, imports, keys, projections, sagas, users
from api.cli.host import CannotStart, Host, ServeOptions
from api.cli.output import fail, out


def command_line(host: Host, version: str) -> typer.Typer:
    """The application ``nightledger``, over ``host``."""
    app = typer.Typer(
        name="nightledger",
        help="A hotel booking platform in which every night sold is on the record.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )

    @app.command()
    def serve(
        services: Annotated[list[str] | None, typer.Argument(help="Services to run; all if none is named.")] = None,
        port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the gateway.")] = None,
        *,
        with_demo: Annotated[bool, typer.Option("--demo", help="Seed demo hotels and accounts.")] = False,
    ) -> None:
        """Run the platform, or some of its services, until stopped."""
        try:
            host.serve(ServeOptions(tuple(services or ()), port, with_demo))
        except CannotStart as error:
            fail(str(error))

    @app.command()
    def migrate() -> None:
        """Create or update the schemas of all stores."""
        try:
            for line in asyncio.run(host.migrate()):
                out.print(line, highlight=False)
        except CannotStart as error:
            fail(str(error))

    @app.command("version")
    def show_version() -> None:
        """Print the version."""
        out.print(version, highlight=False)

    demo.add_to(app, host)
    imports.add_to(app, host)
    projections.add_to(app, host)
    dead_letters.add_to(app, host)
    sagas.add_to(app, host)
    actions.add_to(app, host)
    events.add_to(app, host)
    audit.add_to(app, host)
    users.add_to(app, host)
    clients.add_to(app, host)
    keys.add_to(app, host)
    return app
