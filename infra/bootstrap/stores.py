"""Every store of one process, opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from redis.asyncio import BlockingConnectionPool, Redis

from domain.shared import topics
from infra.bootstrap.servers import CONTEXTS, Servers
from infra.eventstore.builds import PostgresBuilds
from infra.eventstore.errors import PostgresAway
from infra.eventstore.group_commit import Observe
from infra.eventstore.letter_desk import PostgresLetterDesk
from infra.eventstore.operating import PostgresActionLog, PostgresFeedControls
from infra.eventstore.pool import create_pool
from infra.eventstore.schema import migrate
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.streams import AggregateStreams
from infra.eventstore.timers import PostgresTimers
from infra.messaging.stats import SIZES, Stats
from infra.providers.sandbox import SandboxProvider
from infra.providers.smtp import SmtpMailer
from infra.settings import Settings
from infra.stores.accounts import PostgresAccounts
from infra.stores.fact_rows import SpooledFacts
from infra.stores.facts import ClickHouseFacts
from infra.stores.pg_documents import PostgresDocuments
from infra.stores.redis_calendar import RedisCalendars
from infra.stores.redis_limits import RedisLimiter
from infra.stores.sent_mails import PostgresSentMails
from infra.stores.tantivy_search import TantivyHotels

if TYPE_CHECKING:
    from infra.stores.elasticsearch import ElasticsearchHotels
    from infra.stores.mongo import MongoDocuments

CONNECTIONS_PER_POOL = 64
"""Feeds, relays and listeners keep a connection each; what is left serves commands and queries."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that keeps something. Mappings are by context. ``facts`` None: another process owns them."""

    pools: Mapping[str, asyncpg.Pool]
    logs: Mapping[str, PostgresEventStore]
    streams: Mapping[str, AggregateStreams]
    timers: Mapping[str, PostgresTimers]
    dead_letters: Mapping[str, PostgresLetterDesk]
    controls: Mapping[str, PostgresFeedControls]
    actions: PostgresActionLog
    stats: Stats
    builds: Mapping[str, PostgresBuilds]
    documents: MongoDocuments | PostgresDocuments
    search: ElasticsearchHotels | TantivyHotels
    calendars: RedisCalendars
    facts: ClickHouseFacts | None
    limiter: RedisLimiter
    redis: Redis
    accounts: PostgresAccounts
    sandbox: SandboxProvider
    mailer: SmtpMailer | None
    pages_url: str
    sent_mails: PostgresSentMails


async def migrate_all(pools: Mapping[str, asyncpg.Pool]) -> tuple[str, ...]:
    """Bring every schema up to date; returns what was looked after. Safe when several processes do it at once."""
    topics.check()
    for context in CONTEXTS:
        await migrate(pools[context], context)
    await PostgresAccounts(pools["users"]).migrate()
    await SandboxProvider(pools["payments"]).migrate()
    await PostgresSentMails(pools["notifications"]).migrate()
    return tuple(f"schema {context}: up to date" for context in CONTEXTS)


@asynccontextmanager
async def open_pools(
    servers: Servers, connections: int = CONNECTIONS_PER_POOL
) -> AsyncIterator[Mapping[str, asyncpg.Pool]]:
    """One pool per database, by context. Raises PostgresAway, or what asyncpg raises if it is not let in."""
    async with AsyncExitStack() as stack:
        by_url = {}
        for url in dict.fromkeys(servers.postgres.values()):
            try:
                by_url[url] = await create_pool(url, max_size=connections)
            except OSError as error:
                raise PostgresAway(f"{type(error).__name__}: {error}") from error
            stack.push_async_callback(_close, by_url[url])
        yield {context: by_url[url] for context, url in servers.postgres.items()}


@asynccontextmanager
async def open_stores(
    settings: Settings, servers: Servers, pools: Mapping[str, asyncpg.Pool], *, with_facts: bool
) -> AsyncIterator[Stores]:
    """Open adapters on ``servers``; ``with_facts``: this process owns the embedded analytics engine if there is one."""
    async with AsyncExitStack() as stack:
        stats = Stats()
        logs = {context: PostgresEventStore(pools[context], context, _observe(stats, context)) for context in CONTEXTS}
        for log in logs.values():
            await stack.enter_async_context(log)
        streams = {context: AggregateStreams(log) for context, log in logs.items()}
        for stream in streams.values():
            stack.push_async_callback(stream.close)
        redis = redis_of(servers)
        stack.push_async_callback(redis.aclose)
        documents = documents_of(settings, servers, pools)
        search = search_of(settings, servers)
        facts = _facts(settings, servers) if with_facts or servers.clickhouse else None
        for store in (documents, search):
            await store.open()
            stack.push_async_callback(store.close)
        if facts is not None:
            stack.push_async_callback(facts.close)
        yield Stores(
            pools=pools,
            logs=logs,
            streams=streams,
            timers={context: PostgresTimers(pools[context], context) for context in CONTEXTS},
            dead_letters={context: PostgresLetterDesk(pools[context], context) for context in CONTEXTS},
            controls={context: PostgresFeedControls(pools[context], context) for context in CONTEXTS},
            actions=PostgresActionLog(pools["users"], "users"),
            stats=stats,
            builds={context: PostgresBuilds(pools[context], context) for context in CONTEXTS},
            documents=documents,
            search=search,
            calendars=calendars_of(settings, redis),
            facts=facts,
            limiter=limiter_of(settings, redis, stats),
            redis=redis,
            accounts=PostgresAccounts(pools["users"]),
            sandbox=SandboxProvider(pools["payments"]),
            mailer=SmtpMailer(settings.smtp_url, settings.mail_from) if settings.smtp_url else None,
            pages_url=settings.pages_url,
            sent_mails=PostgresSentMails(pools["notifications"]),
        )


def _observe(stats: Stats, context: str) -> Observe:
    def observe(commits: int, events: int, seconds: float) -> None:
        stats.observe("append_seconds", seconds, context=context)
        stats.observe("append_batch_commits", commits, SIZES, context=context)
        if events:
            stats.observe("append_batch_events", events, SIZES, context=context)

    return observe


def redis_of(servers: Servers) -> Redis:
    """A client of Redis."""
    # Whoever finds every connection in use waits for one, instead of failing in the middle of a rush.
    connections = BlockingConnectionPool.from_url(
        servers.redis, max_connections=64, timeout=5, socket_timeout=5, socket_connect_timeout=2
    )
    return Redis.from_pool(connections)


def calendars_of(settings: Settings, redis: Redis) -> RedisCalendars:
    """Where calendars are."""
    return RedisCalendars(redis, f"{settings.namespace}:calendars")


def limiter_of(settings: Settings, redis: Redis, stats: Stats) -> RedisLimiter:
    """What limits rates."""
    return RedisLimiter(redis, lambda: stats.count("rate_limits_unavailable"), f"{settings.namespace}:limits")


def documents_of(
    settings: Settings, servers: Servers, pools: Mapping[str, asyncpg.Pool]
) -> MongoDocuments | PostgresDocuments:
    """Where documents are, to be opened."""
    if servers.mongo:
        # Loading this client and the next takes seconds, which the embedded default does not need to wait.
        from infra.stores.mongo import MongoDocuments  # noqa: PLC0415

        return MongoDocuments(servers.mongo, settings.namespace)
    return PostgresDocuments(pools["bookings"])


def search_of(settings: Settings, servers: Servers) -> ElasticsearchHotels | TantivyHotels:
    """Where hotels are searched, to be opened."""
    if servers.elasticsearch:
        from infra.stores.elasticsearch import ElasticsearchHotels  # noqa: PLC0415

        return ElasticsearchHotels(servers.elasticsearch, f"{settings.namespace}-")
    return TantivyHotels(settings.data_dir / "search")


def fact_target_of(settings: Settings, servers: Servers) -> ClickHouseFacts | SpooledFacts:
    """Where a process that does not own the embedded analytics engine writes facts."""
    return _facts(settings, servers) if servers.clickhouse else SpooledFacts(_spool(settings))


def _facts(settings: Settings, servers: Servers) -> ClickHouseFacts:
    if servers.clickhouse:
        return ClickHouseFacts.remote(servers.clickhouse, settings.namespace)
    return ClickHouseFacts.embedded(settings.data_dir / "analytics", settings.namespace, spool=_spool(settings))


def _spool(settings: Settings) -> Path:
    return settings.data_dir / "analytics-fills"


async def _close(pool: asyncpg.Pool) -> None:
    """Close a pool, or cut what does not end by itself."""
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()
