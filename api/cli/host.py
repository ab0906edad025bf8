"""What the command line needs from the composition: to run the platform, or to find the one that runs."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx


class CannotStart(Exception):
    """The platform cannot start as it is set up. The text is one line that says what to change."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """``services`` empty: all. ``demo``: seed the demo hotels and accounts. ``port`` None: as the settings say."""

    services: tuple[str, ...] = ()
    port: int | None = None
    demo: bool = False


class Host(Protocol):
    """Made by ``infra.bootstrap``."""

    @property
    def data_dir(self) -> Path:
        """Where the platform of this machine keeps its data."""
        ...

    def serve(self, options: ServeOptions) -> None:
        """Run until told to stop. Raises CannotStart."""
        ...

    async def migrate(self) -> tuple[str, ...]:
        """Bring every store up to date; returns what was made. Raises CannotStart."""
        ...

    def connect(self) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """A client of the running platform's API, with an operator's token.

        Where none runs on this data directory, the platform is started in this process for as long as it is needed.
        Raises CannotStart.
        """
        ...
