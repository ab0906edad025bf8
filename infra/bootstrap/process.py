"""One process of the platform: the services that it runs, on stores that are open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from commands.dispatch import HANDLERS, Dispatcher, merge, of_services
from commands.forgetting import Forgetting
from commands.handling import Dependencies, Handlers
from commands.mailing import Mailer, Mailing
from commands.ports import CommandBus
from commands.tracing import Tracing
from infra.bootstrap.read_models import ReadStores, writers_of
from infra.bootstrap.servers import CONTEXTS
from infra.bootstrap.stores import Stores
from infra.clock import SystemClock, new_id
from infra.eventstore.leadership import leader_lock
from infra.messaging.bus import Bus, LocalBus
from infra.messaging.command_feed import CommandFeed
from infra.messaging.counting import counted, traced
from infra.messaging.delivery import AgainByTimer, CommandDelivery, Dispatch, repeating
from infra.messaging.feeds import Feeds
from infra.messaging.letter_retries import LetterRetries
from infra.messaging.log_tail import LogSources
from infra.messaging.parking import consumer_of
from infra.messaging.stats import Stats
from infra.messaging.timer_loop import TimerLoop
from infra.operating.feed_board import Followed
from infra.operating.retention import Retention
from infra.stores.forgetting import PostgresPersonalTables, PostgresTraces, guests_in
from projections.audit.facts import fact_digest_handlers
from projections.booking_facts import BookingFacts
from projections.booking_pages import BookingPages
from projections.filling import Fillers, fillers_here
from projections.hotel_pages import HotelPages
from projections.read_models import ReadModels
from projections.reports import report_handlers
from sagas.booking import BOOKING_SAGA
from sagas.cancellation import CANCELLATION_SAGA
from sagas.handlers import saga_handlers
from sagas.modification import MODIFICATION_SAGA
from sagas.runtime import SagaRuntime

if TYPE_CHECKING:
    from infra.bootstrap.broker import Broker

COMMANDED = ("inventory", "bookings", "payments")
"""Services that sagas send commands to."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Process:
    """What runs. ``broker`` None: there is none."""

    services: Sequence[str]
    bus: CommandBus
    broker: Broker | None
    stats: Stats
    followed: Sequence[Followed]
    """The feeds that fill no read model, whichever process runs them."""


class PoolLeadership:
    """Roles of one context, by session locks in its PostgreSQL."""

    def __init__(self, stores: Stores, context: str) -> None:
        self._pool = stores.pools[context]
        self._context = context

    @asynccontextmanager
    async def lead(self, role: str) -> AsyncIterator[asyncio.Event]:
        """See Leadership. The lock itself ends the body when it is lost, so the event is never needed."""
        async with leader_lock(self._pool, f"{self._context}: {role}"):
            yield asyncio.Event()


@asynccontextmanager
async def running_process(
    stores: Stores,
    services: Sequence[str],
    rabbitmq_url: str | None,
    fatal: Callable[[str], None],
    tracing: Tracing,
    fillers: Callable[[Fillers], Fillers],
) -> AsyncIterator[Process]:
    """Run ``services`` for as long as the context is entered; ``fatal`` is told what makes going on pointless.

    ``fillers`` decides what fills builds, given what fills them in this process.
    """
    clock, stats = SystemClock(), stores.stats
    own = tuple(context for context in CONTEXTS if context in services)
    async with AsyncExitStack() as stack:
        sagas = SagaRuntime((BOOKING_SAGA, CANCELLATION_SAGA, MODIFICATION_SAGA), stores.logs["bookings"], clock)
        dispatch = traced(counted(_dispatcher(stores, services, sagas).handle, stats), tracing)
        broker = await _broker(stack, rabbitmq_url, fatal, stats, tracing)
        bus = Bus(LocalBus(dispatch, services), await broker.bus(own, dispatch) if broker else None)
        feeds = Feeds(
            stores.logs,
            stores.dead_letters,
            {context: PoolLeadership(stores, context) for context in CONTEXTS},
            broker.sources(stores.logs) if broker else LogSources(stores.logs),
            clock,
            new_id,
            stats,
            controls=stores.controls,
            tracing=tracing,
        )
        stack.push_async_callback(feeds.close)
        starter = _Service(stack, stores, clock, stats, feeds, broker, tracing)
        deliveries = {service: await starter.start(service, dispatch) for service in own}
        if "bookings" in services:
            await feeds.start(sagas, "bookings")
        if "users" in services:
            await feeds.start(_forgetting(stores, dispatch, clock), "users")
        if "notifications" in services and stores.mailer is not None:
            await feeds.start(_mailing(stores, stores.mailer, clock), "notifications")
        writers = writers_of(ReadStores(stores.documents, stores.search, stores.calendars, stores.facts), services)
        read_models = ReadModels(
            writers,
            registries=stores.builds,
            logs=stores.logs,
            feeds=feeds,
            fillers=fillers(fillers_here(writers, registries=stores.builds, logs=stores.logs, clock=clock)),
            clock=clock,
            new_id=new_id,
        )
        stack.push_async_callback(read_models.close)
        await read_models.open()
        in_background(stack, read_models.watch(), "watch of the read models", fatal)
        in_background(stack, feeds.watch(), "watch of the feeds", fatal)
        retries = LetterRetries(stores.dead_letters, feeds, deliveries)
        in_background(stack, retries.watch(), "watch of ordered retries", fatal)
        retention = Retention({context: stores.pools[context] for context in own}, clock, stats)
        in_background(stack, retention.watch(), "retention", fatal)
        yield Process(services, bus, broker, stats, _followed(stores, sagas, broker))


def _followed(stores: Stores, sagas: SagaRuntime, broker: Broker | None) -> Sequence[Followed]:
    feeds = [
        Followed(sagas.name, "bookings", sagas.contexts, sagas.topics),
        Followed(Forgetting.name, "users", Forgetting.contexts, Forgetting.topics),
    ]
    if stores.mailer is not None:
        feeds.append(Followed(Mailing.name, "notifications", Mailing.contexts, Mailing.topics))
    if broker is None:
        feeds += [Followed(consumer_of(each), each, CommandFeed.contexts, CommandFeed.topics) for each in COMMANDED]
    return feeds


def _mailing(stores: Stores, mailer: Mailer, clock: SystemClock) -> Mailing:
    async def name_of(hotel_id: UUID) -> str:
        page = await stores.documents.get(HotelPages.name, str(hotel_id))
        return str(page["name"]) if page and "name" in page else "the hotel"

    def page_of(booking_id: UUID) -> str:
        return f"{stores.pages_url}/bookings/{booking_id}"

    return Mailing(mailer, stores.sent_mails, stores.accounts.person, name_of, page_of, clock)


def _forgetting(stores: Stores, dispatch: Dispatch, clock: SystemClock) -> Forgetting:
    return Forgetting(
        PostgresPersonalTables(stores.pools["users"]),
        guests_in(stores.documents, BookingPages.name),
        [PostgresTraces(stores.pools[context], context) for context in CONTEXTS],
        dispatch,
        clock,
    )


def _dispatcher(stores: Stores, services: Sequence[str], sagas: SagaRuntime) -> Dispatcher:
    dependencies = Dependencies(
        streams=stores.streams, clock=SystemClock(), new_id=new_id, providers={"sandbox": stores.sandbox}
    )
    facts: Handlers = {}
    if stores.facts is not None:
        facts = merge(report_handlers(stores.facts), fact_digest_handlers(stores.facts, BookingFacts.tables))
    return Dispatcher(dependencies, of_services(merge(HANDLERS, saga_handlers(sagas), facts), services))


async def _broker(
    stack: AsyncExitStack, url: str | None, fatal: Callable[[str], None], stats: Stats, tracing: Tracing
) -> Broker | None:
    if url is None:
        return None
    # Loading the client takes a good part of a second, which the embedded default does not need to wait.
    from infra.bootstrap.broker import Broker  # noqa: PLC0415

    return await stack.enter_async_context(Broker(url, fatal, stats, tracing))


@dataclass(frozen=True, slots=True)
class _Service:
    """Starts what each service needs, and sees to it that it is stopped."""

    stack: AsyncExitStack
    stores: Stores
    clock: SystemClock
    stats: Stats
    feeds: Feeds
    broker: Broker | None
    tracing: Tracing

    async def start(self, service: str, dispatch: Dispatch) -> CommandDelivery:
        """The timers of a service, the delivery of what sagas send it (returned), and the relay of its log."""
        stores, letters = self.stores, self.stores.dead_letters[service]

        def wake() -> None:
            timers.wake()

        again = self.broker.again(service) if self.broker else AgainByTimer(stores.logs[service], self.clock, wake)
        delivery = CommandDelivery(service, dispatch, again, letters, self.clock, self.stats)
        timers = TimerLoop(
            service,
            stores.timers[service],
            repeating(dispatch, delivery),
            letters,
            self.clock,
            self.stats,
            tracing=self.tracing,
        )
        await timers.start()
        self.stack.push_async_callback(timers.stop)
        if self.broker is None:
            if service in COMMANDED:
                await self.feeds.start(CommandFeed(delivery), service)
            return delivery
        if service in COMMANDED:
            await self.broker.consume(delivery, self.clock)
        commanded = COMMANDED if service == "bookings" else ()
        await self.broker.relay(stores.logs[service], PoolLeadership(stores, service), self.clock, commanded)
        return delivery


def in_background(
    stack: AsyncExitStack, work: Coroutine[Any, Any, None], name: str, fatal: Callable[[str], None]
) -> None:
    """Run ``work``, which never ends by itself, until the stack is closed."""
    task = asyncio.create_task(work, name=name)

    def ended(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("background work failed", work=name, exc_info=error)
            fatal(f"{name}: {error}")

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    task.add_done_callback(ended)
    stack.push_async_callback(stop)
