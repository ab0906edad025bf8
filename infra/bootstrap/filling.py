"""The process that fills builds: how it is started, and what it does (``python -m infra.bootstrap.filling``)."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict

import structlog
import uvloop

from commands.ports import EventStore
from infra.bootstrap.interpreter import collect_less_often, take_priority
from infra.bootstrap.read_models import ReadStores, writers_of
from infra.bootstrap.servers import CONTEXTS, Servers
from infra.bootstrap.stores import (
    calendars_of,
    documents_of,
    fact_target_of,
    open_pools,
    redis_of,
    search_of,
)
from infra.clock import SystemClock
from infra.eventstore.builds import PostgresBuilds
from infra.eventstore.errors import SERVER_AWAY
from infra.eventstore.store import PostgresEventStore
from infra.filling_process import FillingProcess, FillOrder, Outcome, fillers_by_length
from infra.observability.logs import configure_logs
from infra.settings import Settings
from projections.booking_facts import BookingFacts
from projections.builds import Build, ReplayRunning
from projections.filling import Filler, Fillers, GivenUp, fillers_here
from projections.ports import BuildMissing
from projections.replay import CUT_OFF
from projections.writers import FactFiller, FillWriter

_COMMAND = (sys.executable, "-m", "infra.bootstrap.filling")
_CONNECTIONS = 16

log = structlog.get_logger(__name__)


def fillers_of(
    settings: Settings, servers: Servers, services: Sequence[str], logs: Mapping[str, EventStore]
) -> Callable[[Fillers], Fillers]:
    """Given what fills builds here, what fills them here or, from long logs, in a process of their own."""

    def order(builds: Sequence[Build]) -> FillOrder:
        told = settings.model_dump(mode="json", exclude={"token"})
        return FillOrder(settings=told, servers=asdict(servers), services=tuple(services), builds=tuple(builds))

    def beside(builds: Sequence[Build]) -> Filler:
        return FillingProcess(_COMMAND, order, builds)

    return lambda here: fillers_by_length(logs, settings.replay_process_from, here, beside)


@asynccontextmanager
async def _fillers(order: FillOrder, settings: Settings) -> AsyncIterator[Fillers]:
    servers = Servers(**order.servers)
    async with AsyncExitStack() as stack:
        pools = await stack.enter_async_context(open_pools(servers, _CONNECTIONS))
        logs = {context: PostgresEventStore(pools[context], context) for context in CONTEXTS}
        for each in logs.values():
            stack.push_async_callback(each.close)
        redis = redis_of(servers)
        stack.push_async_callback(redis.aclose)
        documents, search = documents_of(settings, servers, pools), search_of(settings, servers)
        for store in (documents, search):
            await store.open()
            stack.push_async_callback(store.close)
        stores = ReadStores(documents, search, calendars_of(settings, redis))
        writers: list[FillWriter] = [*writers_of(stores, order.services)]
        writers.append(FactFiller(BookingFacts(), fact_target_of(settings, servers)))
        registries = {context: PostgresBuilds(pools[context], context) for context in CONTEXTS}
        yield fillers_here(writers, registries=registries, logs=logs, clock=SystemClock())


async def _outcome(filler: Filler, build: Build) -> Outcome:
    try:
        return Outcome(build=await filler.fill(build), result="filled")
    except GivenUp:
        return Outcome(build=build, result="given up")
    except BuildMissing:
        return Outcome(build=build, result="lost")
    except ReplayRunning as error:
        return Outcome(build=build, result="running", error=str(error))
    except CUT_OFF as error:
        return Outcome(build=build, result="cut off", error=f"{type(error).__name__}: {error}")
    except Exception as error:
        log.exception("a build cannot be filled", build=build.name)
        return Outcome(build=build, result="failed", error=str(error))
    finally:
        filler.give_up(build)


async def _fill(order: FillOrder, settings: Settings, answers: asyncio.StreamWriter) -> None:
    def answer(outcome: Outcome) -> None:
        answers.write(outcome.model_dump_json().encode() + b"\n")

    async def fill(filler: Filler, build: Build) -> None:
        answer(await _outcome(filler, build))

    try:
        async with _fillers(order, settings) as fillers:
            filler = await fillers(order.builds)
            async with asyncio.TaskGroup() as group:
                for build in order.builds:
                    group.create_task(fill(filler, build), name=f"fill {build.name}")
    except (*CUT_OFF, *SERVER_AWAY) as error:  # while stores were opened; what has an answer already ignores this one
        for build in order.builds:
            answer(Outcome(build=build, result="cut off", error=f"{type(error).__name__}: {error}"))


async def _while_wanted(order: FillOrder, settings: Settings, link: socket.socket) -> None:
    """Do what is ordered until it is done, or until whoever has ordered it has closed the other end of ``link``."""
    orders, answers = await asyncio.open_unix_connection(sock=link)
    work = asyncio.create_task(_fill(order, settings, answers))
    alone = asyncio.create_task(orders.read())
    await asyncio.wait([work, alone], return_when=asyncio.FIRST_COMPLETED)
    alone.cancel()
    if not work.done():
        work.cancel()
    await asyncio.wait([work])
    answers.close()
    with suppress(ConnectionError):
        await answers.wait_closed()
    if not work.cancelled():
        work.result()


def main() -> None:
    """Fill what standard input says; see ``infra.filling_process``."""
    link = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    order = FillOrder.model_validate_json(sys.stdin.buffer.readline())
    settings = Settings(**order.settings)
    take_priority(settings.replay_priority)
    # Standard output may be that of a command whose answer is read by a program: nothing else may get into it.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    configure_logs("warning", as_json=settings.log_json)
    collect_less_often()
    uvloop.run(_while_wanted(order, settings, link))


if __name__ == "__main__":
    main()
