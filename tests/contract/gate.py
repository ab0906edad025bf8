"""A relay before a server that a test can shut: to its clients the server is then gone, and later back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit


class Gate:
    """Relays TCP from ``url`` (the given URL with another port) to the server of the given URL.

    The server may also listen on a PostgreSQL socket in a directory, ``postgresql://USER@/DATABASE?host=DIRECTORY``.
    """

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        directories = parse_qs(self._target.query).get("host")
        self._socket = f"{directories[0]}/.s.PGSQL.{self._target.port or 5432}" if directories else None
        self._server: asyncio.Server | None = None
        self._port = 0
        self._connections = set[asyncio.StreamWriter]()
        self._relays = set[asyncio.Task[None]]()

    @property
    def url(self) -> str:
        """Where clients connect."""
        user, at, _ = self._target.netloc.rpartition("@")
        query = "" if self._socket else self._target.query
        return urlunsplit(self._target._replace(netloc=f"{user}{at}127.0.0.1:{self._port}", query=query))

    async def open(self) -> None:
        """Let connections through, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Cut all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self._connections:
            connection.transport.abort()
        self._connections.clear()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.create_task(self._relay(reader, writer))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            there_reader, there_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        self._connections.add(there_writer)
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._socket is not None:
            return await asyncio.open_unix_connection(self._socket)
        return await asyncio.open_connection(self._target.hostname, self._target.port)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
    sink.close()
