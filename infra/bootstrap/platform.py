"""From settings to a running platform."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from api.platform import Platform
from commands.tracing import Tracing
from infra.bootstrap.filling import fillers_of
from infra.bootstrap.observing import running_tracing
from infra.bootstrap.process import COMMANDED, Process, in_background, running_process
from infra.bootstrap.read_models import projections_of_all
from infra.bootstrap.servers import CONTEXTS, running_servers
from infra.bootstrap.stores import Stores, migrate_all, open_pools, open_stores
from infra.clock import SystemClock, new_id
from infra.eventstore.audits import PostgresAudits
from infra.messaging.queues import QueueDepth
from infra.operating.feed_board import FeedBoard
from infra.operating.monitor import Depths, Monitor
from infra.operating.operations import Ping, PlatformOperations
from infra.security.offers import FernetOffers
from infra.security.passwords import Argon2Passwords
from infra.security.tokens import TokenService
from infra.settings import Settings
from infra.stores.parquet import parquet_of
from projections.audit.auditor import Audited, Auditor
from projections.audit.audits import Audits
from projections.hotel_search import HotelSearch
from projections.projection import DocumentProjection
from projections.replay_orders import ReplayOrders

Fatal = Callable[[str], None]
"""Told what makes going on pointless."""


@dataclass(frozen=True, slots=True)
class Started:
    """A platform together with what only the composition may touch."""

    platform: Platform
    operations: PlatformOperations
    tracing: Tracing


@asynccontextmanager
async def started(settings: Settings, services: Sequence[str], fatal: Fatal) -> AsyncIterator[Started]:
    """Run ``services`` on the servers that ``settings`` name, for as long as the context is entered."""
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(running_tracing(settings, services))
        servers = await stack.enter_async_context(running_servers(settings))
        pools = await stack.enter_async_context(open_pools(servers))
        await migrate_all(pools)
        with_facts = "analytics" in services
        stores = await stack.enter_async_context(open_stores(settings, servers, pools, with_facts=with_facts))
        fillers = fillers_of(settings, servers, services, stores.logs)
        process = await stack.enter_async_context(
            running_process(stores, services, servers.rabbitmq, fatal, tracing, fillers)
        )
        board = _board(stores, process)
        monitor = Monitor(
            board=board,
            desks=stores.dead_letters,
            documents=stores.documents,
            pools=tuple(dict.fromkeys(pools.values())),
            clock=SystemClock(),
            depths=_depths(process),
        )
        if "gateway" in services:
            in_background(stack, monitor.watch(), "monitor", fatal)
        operations = _operations(stores, process, board, monitor)
        platform = _platform(settings, stores, process, operations)
        stack.push_async_callback(platform.audits.close)
        yield Started(platform, operations, tracing)


def _platform(settings: Settings, stores: Stores, process: Process, operations: PlatformOperations) -> Platform:
    clock = SystemClock()
    return Platform(
        version=version("nightledger"),
        data_dir=settings.data_dir,
        demo_hotels=settings.demo_hotels,
        services=process.services,
        clock=clock,
        new_id=new_id,
        bus=process.bus,
        logs=stores.logs,
        streams=stores.streams,
        dead_letters=stores.dead_letters,
        actions=stores.actions,
        builds=stores.builds,
        replays=ReplayOrders(projections_of_all(), stores.builds, new_id),
        projections=projections_of_all(),
        documents=stores.documents,
        search=stores.search,
        calendars=stores.calendars,
        accounts=stores.accounts,
        tokens=TokenService(stores.accounts, clock, new_id, issuer=settings.issuer),
        passwords=Argon2Passwords(),
        offers=FernetOffers(stores.accounts, clock, new_id),
        parquet=parquet_of,
        limiter=stores.limiter,
        operations=operations,
        audits=_audits(stores, process),
    )


def _audits(stores: Stores, process: Process) -> Audits:
    clock, projections = SystemClock(), projections_of_all()
    documents = [each.name for each in projections if isinstance(each, DocumentProjection)]
    audited = Audited(
        logs=stores.logs,
        projections=projections,
        stores=dict.fromkeys(documents, stores.documents) | {HotelSearch.name: stores.search},
        calendars=stores.calendars,
        builds=stores.builds,
        bus=process.bus,
    )
    records = PostgresAudits(stores.pools["analytics"], "analytics")
    replays = ReplayOrders(projections, stores.builds, new_id)
    return Audits(Auditor(audited, clock, new_id), records, projections, replays, clock, new_id)


def _depths(process: Process) -> Depths | None:
    broker = process.broker
    if broker is None:
        return None

    async def depths(feeds: Mapping[str, Sequence[str]]) -> Mapping[str, QueueDepth]:
        return await broker.depths(feeds, COMMANDED, CONTEXTS)

    return depths


def _board(stores: Stores, process: Process) -> FeedBoard:
    return FeedBoard(
        logs=stores.logs,
        builds=stores.builds,
        controls=stores.controls,
        desks=stores.dead_letters,
        projections=projections_of_all(),
        feeds=process.followed,
        relays=CONTEXTS if process.broker else (),
        clock=SystemClock(),
    )


def _operations(stores: Stores, process: Process, board: FeedBoard, monitor: Monitor) -> PlatformOperations:
    pings: dict[str, Ping] = {f"postgres {context}": _ping_of(stores, context) for context in CONTEXTS}
    pings |= {"documents": stores.documents.ping, "search": stores.search.ping, "redis": stores.redis.ping}
    return PlatformOperations(
        pings=pings,
        broker=process.broker,
        board=board,
        monitor=monitor,
        builds=stores.builds,
        controls=stores.controls,
        projections=projections_of_all(),
        stats=process.stats,
        clock=SystemClock(),
        asyncapi=_asyncapi,
    )


@cache
def _asyncapi() -> Mapping[str, Any]:
    # The generator loads the client of RabbitMQ; nobody waits for that at the start.
    from infra.messaging.asyncapi import asyncapi_document  # noqa: PLC0415

    feeds = {projection.name: projection.contexts for projection in projections_of_all()}
    return asyncapi_document(CONTEXTS, COMMANDED, feeds, version("nightledger"))


def _ping_of(stores: Stores, context: str) -> Ping:
    async def ping() -> None:
        await stores.pools[context].fetchval("SELECT 1")

    return ping
