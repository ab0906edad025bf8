"""The platform in this process: served over HTTP, or for as long as one command needs it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from types import AsyncGeneratorType, CoroutineType
from typing import Any, cast

import asyncpg
import httpx
import structlog
import uvicorn
import uvloop
from prometheus_client import start_http_server

from api.cli.host import CannotStart
from api.demo.seed import Demo
from api.http.app import create_app
from api.http.settings import HttpSettings, Limits
from commands.ports import ServiceUnavailable
from infra.bootstrap.interpreter import collect_less_often, share_with_threads
from infra.bootstrap.local import LocalAccess, client_of, local_operator
from infra.bootstrap.platform import Started, started
from infra.bootstrap.servers import check_separable, running_servers
from infra.bootstrap.stores import migrate_all, open_pools
from infra.embedded.errors import EmbeddedError
from infra.eventstore.errors import LogOfAnotherServer, PostgresAway
from infra.settings import SERVICES, BadSetting, Settings, check_services

log = structlog.get_logger(__name__)
_LOOK_AGAIN_SECONDS = 0.5
_PATIENCE_SECONDS = 25.0
"""What is stopped in good order is stopped by then; whoever supervises processes kills them soon after."""
_NO_LIMITS = Limits(logins=1_000_000, commands=1_000_000)


def serve(settings: Settings, services: tuple[str, ...], *, demo: bool) -> None:
    """Run ``services`` (none named: all) until SIGINT or SIGTERM. Raises CannotStart."""
    with _starting():
        chosen = check_services(services)
        check_separable(settings, chosen)
        failure = uvloop.run(_Serving(settings, chosen, demo=demo).run())
    if failure:
        raise CannotStart(failure)


async def migrated(settings: Settings) -> tuple[str, ...]:
    """Bring every schema up to date. Raises CannotStart."""
    with _starting():
        async with running_servers(settings) as servers, open_pools(servers) as pools:
            return await migrate_all(pools)


@asynccontextmanager
async def in_this_process(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a platform that runs in this process for as long as the context is entered. Raises CannotStart."""
    async with AsyncExitStack() as stack:
        with _starting():
            running = await stack.enter_async_context(started(settings, SERVICES, _log_failure))
        app = create_app(running.platform, HttpSettings(limits=_NO_LIMITS), running.tracing)
        await stack.enter_async_context(app.lifespan())
        tokens = await local_operator(running.platform)
        transport = httpx.ASGITransport(cast("Any", app))  # the two spell the types of ASGI differently
        yield await stack.enter_async_context(client_of("http://nightledger", tokens.access_token, transport))


class _Server(uvicorn.Server):
    """Leaves the signals to us: after uvicorn has stopped, the stores have to be closed in good order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Serving:
    """One run of ``nightledger serve``."""

    def __init__(self, settings: Settings, services: tuple[str, ...], *, demo: bool) -> None:
        self._settings = settings
        self._services = services
        self._demo = demo
        self._stopped = asyncio.Event()
        self._failure = ""

    async def run(self) -> str:
        """Run until stopped; returns why it had to stop by itself, empty if it was asked to."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop_soon)
        async with started(self._settings, self._services, self._fatal) as running:
            log.info("started", services=list(self._services))
            collect_less_often()
            share_with_threads()
            if "gateway" in self._services:
                await self._serve_http(running)
            else:
                with _metrics(self._settings, running):
                    await self._stopped.wait()
        return self._failure

    def _fatal(self, reason: str) -> None:
        self._failure = reason
        self._stop_soon()

    def _stop_soon(self) -> None:
        if not self._stopped.is_set():
            self._stopped.set()
            asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, _break_off)

    async def _serve_http(self, running: Started) -> None:
        settings = self._settings
        http = HttpSettings() if settings.rate_limits else HttpSettings(limits=_NO_LIMITS)
        if self._demo:
            running.operations.starting.add("demo")
        config = uvicorn.Config(
            create_app(running.platform, http, running.tracing),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            # Limits are per address, and anybody can write X-Forwarded-For: only known proxies are believed.
            proxy_headers=settings.trusted_proxies is not None,
            forwarded_allow_ips=settings.trusted_proxies or "",
            timeout_graceful_shutdown=5,
            # Longer than clients keep idle connections, or they send on one that is just being closed.
            timeout_keep_alive=75,
            backlog=2048,
        )
        server = _Server(config)
        url = f"http://{settings.host}:{settings.port}"
        background = [
            asyncio.create_task(LocalAccess(settings.data_dir).keep(running.platform, url), name="local access"),
            *([asyncio.create_task(self._seed(running, url), name="demo")] if self._demo else []),
        ]
        for task in background:
            task.add_done_callback(self._ended)
        stopping = asyncio.create_task(self._stop(server))
        try:
            with suppress(SystemExit):  # by which uvicorn says that it cannot listen
                await server.serve()
            if not self._stopped.is_set():
                self._fatal(f"NIGHTLEDGER_PORT: cannot listen on {settings.host}:{settings.port}; is it in use?")
        finally:
            for task in (stopping, *background):
                task.cancel()
            await asyncio.gather(stopping, *background, return_exceptions=True)

    async def _stop(self, server: uvicorn.Server) -> None:
        await self._stopped.wait()
        server.should_exit = True

    async def _seed(self, running: Started, url: str) -> None:
        demo = Demo(running.platform)
        while not await _seeded(demo):  # noqa: ASYNC110 - nothing announces that a service has come
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        running.operations.starting.discard("demo")
        print(demo.what_to_try(url), flush=True)  # noqa: T201 - this is what the person at the terminal waits for

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", work=task.get_name(), exc_info=error)
            self._fatal(f"{task.get_name()}: {error}")


def _break_off() -> None:
    """End this process as a kill would, which loses nothing, and say what it was waiting for."""
    waiting = {task.get_name(): _where(task) for task in asyncio.all_tasks()}
    log.critical("broken off: what runs here did not stop in time", seconds=_PATIENCE_SECONDS, waiting=waiting)
    os._exit(1)


def _where(task: asyncio.Task[Any]) -> str:
    """The coroutines that ``task`` is in, the innermost last."""
    found: list[str] = []
    awaited: object = task.get_coro()
    while awaited is not None:
        if isinstance(awaited, CoroutineType | AsyncGeneratorType):
            found.append(awaited.__qualname__)
            awaited = awaited.cr_await if isinstance(awaited, CoroutineType) else awaited.ag_await
        else:  # a step of an asynchronous generator knows that one, but only the garbage collector is told
            awaited = next((each for each in gc.get_referents(awaited) if isinstance(each, AsyncGeneratorType)), None)
    return " > ".join(found)


async def _seeded(demo: Demo) -> bool:
    """Seed as far as possible. Processes start in any order: False while one that takes part is not there yet."""
    try:
        async for _ in demo.seed():
            pass
    except ServiceUnavailable as error:
        log.info("the demo waits", error=error.detail)
        return False
    return True


@contextmanager
def _metrics(settings: Settings, running: Started) -> Iterator[None]:
    """Serve the numbers of a process that has no gateway, if it is said where. Raises BadSetting if that cannot be."""
    host, port = settings.host, settings.metrics_port
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host, running.operations.registry)
    except OSError as error:
        message = f"NIGHTLEDGER_METRICS_PORT: cannot listen on {host}:{port}; is it in use? ({error})"
        raise BadSetting(message) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _starting() -> Iterator[None]:
    """Turn what can go wrong at the start into one clear line."""
    try:
        yield
    except (PostgresAway, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotStart(f"NIGHTLEDGER_POSTGRES_URL: PostgreSQL does not let us in: {error}") from error
    except (BadSetting, EmbeddedError, LogOfAnotherServer) as error:
        raise CannotStart(str(error)) from error
    except OSError as error:  # tells itself which file it is about, but not always in words
        raise CannotStart(f"{type(error).__name__}: {error}") from error


def _log_failure(reason: str) -> None:
    """All that a platform can do that runs for one command: what the command asks for fails, or is late."""
    log.error("the platform in this process does not work", reason=reason)
