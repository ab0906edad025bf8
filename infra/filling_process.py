"""Builds are filled in a process of their own, which has the processor when nobody else wants it.

What is filled there costs those who are served here next to nothing. Its standard input is a socket to us. There it is
told what to do (one line, ``FillOrder``), and says what has become of each build (a line each, ``Outcome``); how far it
is, and where it can be gone on with, it puts on record itself. It ends when we close the socket: so it does not outlive
us, however we end.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from commands.ports import EventStore, Temporary
from projections.builds import Build, ReplayRunning
from projections.filling import Filler, Fillers, GivenUp
from projections.ports import BuildMissing

_LINE_BYTES = 1_000_000
_END_SECONDS = 10.0


class FillOrder(BaseModel):
    """What the process is to do: fill ``builds`` for ``services``, on ``servers``, as ``settings`` say (no secrets)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, Any]
    servers: dict[str, Any]
    services: tuple[str, ...]
    builds: tuple[Build, ...]


class Outcome(BaseModel):
    """What has become of the filling of one build; see Filler for what each result but ``filled`` means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    build: Build
    result: Literal["filled", "given up", "lost", "running", "cut off", "failed"]
    error: str = ""

    def build_or_error(self) -> Build:
        """The build that is filled. Raises what Filler says."""
        match self.result:
            case "filled":
                return self.build
            case "given up":
                raise GivenUp
            case "lost":
                raise BuildMissing(self.build.name)
            case "running":
                raise ReplayRunning(self.error)
            case "cut off":
                raise FillingCutOff(self.error)
            case "failed":
                raise FillingFailed(self.error)


class FillingCutOff(Temporary):
    """A server that the filling process needs is away, or the process was killed: it can be gone on with."""


class FillingFailed(Exception):
    """The filling process says why a build cannot be filled; its log has more."""


class FillingProcess:
    """A Filler. ``command`` is started when all ``builds`` are to be filled or given up, and told ``order`` of them."""

    def __init__(
        self, command: Sequence[str], order: Callable[[Sequence[Build]], FillOrder], builds: Sequence[Build]
    ) -> None:
        self._command = command
        self._order = order
        self._awaited = {build.name for build in builds}
        self._builds: list[Build] = []
        self._outcomes: dict[str, asyncio.Future[Outcome]] = {}
        self._work: asyncio.Task[None] | None = None

    async def fill(self, build: Build) -> Build:
        """See Filler. When nobody waits for it any more the process is ended."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._outcomes[build.name] = outcome
        self._builds.append(build)
        self.give_up(build)
        try:
            return (await outcome).build_or_error()
        finally:
            del self._outcomes[build.name]
            if self._work is not None and not self._outcomes:
                self._work.cancel()
                await asyncio.gather(self._work, return_exceptions=True)

    def give_up(self, build: Build) -> None:
        """See Filler."""
        if build.name in self._awaited:
            self._awaited.remove(build.name)
            if not self._awaited and self._builds:
                names = ", ".join(each.name for each in self._builds)
                self._work = asyncio.create_task(self._run(), name=f"process that fills {names}")

    async def _run(self) -> None:
        """Let the process do its work; whoever still waits when it has ended learns why."""
        try:
            error: Exception = await self._until_the_end()
        except OSError as cannot:
            error = FillingCutOff(f"the process that fills cannot be started: {cannot}")
        except ValueError as unreadable:
            error = FillingFailed(f"what the process that fills has answered cannot be read: {unreadable}")
        for outcome in self._outcomes.values():
            if not outcome.done():
                outcome.set_exception(error)

    async def _until_the_end(self) -> Exception:
        # No pipes: uvloop closes their descriptors twice, and the second time it may be another thread's new file.
        ours, theirs = socket.socketpair()
        answers, orders = await asyncio.open_unix_connection(sock=ours, limit=_LINE_BYTES)
        try:
            process = await asyncio.to_thread(_started, self._command, theirs)
            try:
                await self._converse(answers, orders)
            finally:
                orders.close()
                status = await asyncio.shield(asyncio.to_thread(_end, process))
        finally:
            orders.close()
        if status < 0:
            return FillingCutOff(f"the process that fills was killed by signal {-status}")
        return FillingFailed(f"the process that fills has ended with status {status}; its log says why")

    async def _converse(self, answers: asyncio.StreamReader, orders: asyncio.StreamWriter) -> None:
        """Give the order and hear what becomes of it. Raises ValueError if that cannot be understood."""
        with suppress(ConnectionError):  # the process has ended: its status says more
            orders.write(self._order(self._builds).model_dump_json().encode() + b"\n")
            await orders.drain()
            async for line in answers:
                told = Outcome.model_validate_json(line)
                outcome = self._outcomes.get(told.build.name)
                if outcome is not None and not outcome.done():
                    outcome.set_result(told)


def _started(command: Sequence[str], link: socket.socket) -> subprocess.Popen[bytes]:
    """Start ``command`` with ``link`` as its standard input, which is closed here.

    In a session of its own: a terminal's Ctrl-C is for us, who end it in good order. Not by the loop's own means,
    because they copy all of our page tables, which stops everything here for tens of milliseconds.
    """
    with link:
        return subprocess.Popen(command, stdin=link.fileno(), start_new_session=True)  # noqa: S603 - our own program


def _end(process: subprocess.Popen[bytes]) -> int:
    """Wait until ``process``, whose socket is closed, has ended; kill it if it does not. Returns its status."""
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def fillers_by_length(
    logs: Mapping[str, EventStore], limit: int, here: Fillers, beside: Callable[[Sequence[Build]], Filler]
) -> Fillers:
    """Fill ``here`` from logs that have fewer than ``limit`` events in all, ``beside`` from longer ones.

    To start a process takes a second or two, in which a short log is read.
    """

    async def make(builds: Sequence[Build]) -> Filler:
        heads = await asyncio.gather(*(log.head() for log in logs.values())) if builds else ()
        long = sum(head.notification_id for head in heads) >= limit
        return beside(builds) if builds and long else await here(builds)

    return make
