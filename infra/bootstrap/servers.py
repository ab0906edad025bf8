"""Which servers the platform runs on: those that settings name, and embedded ones for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from infra.embedded.data_dir import DataDir
from infra.embedded.postgres import EmbeddedPostgres
from infra.embedded.redis import EmbeddedRedis
from infra.settings import SERVICES, BadSetting, Settings

CONTEXTS = ("users", "hotels", "inventory", "bookings", "payments", "reviews", "notifications", "analytics")
"""Each has a PostgreSQL schema of its own; the last two have no events, only checkpoints and records of builds."""


@dataclass(frozen=True, slots=True)
class Servers:
    """URLs; ``postgres`` by context. None: the part runs inside this process."""

    postgres: Mapping[str, str]
    redis: str
    rabbitmq: str | None
    mongo: str | None
    elasticsearch: str | None
    clickhouse: str | None


def check_separable(settings: Settings, services: Sequence[str]) -> None:
    """Raise BadSetting if some services are to run alone on servers that are embedded in one process."""
    if set(services) == set(SERVICES):
        return
    needed = {
        "POSTGRES_URL": all(settings.postgres_url_of(context) for context in CONTEXTS),
        "RABBITMQ_URL": settings.rabbitmq_url,
        "REDIS_URL": settings.redis_url,
        "MONGO_URL": settings.mongo_url,
        "ELASTICSEARCH_URL": settings.elasticsearch_url,
    }
    missing = [f"NIGHTLEDGER_{name}" for name, url in needed.items() if not url]
    if missing:
        raise BadSetting(
            f"{missing[0]}: must be set to run services in processes of their own; without it run all in one "
            "process (nightledger serve)"
        )


@asynccontextmanager
async def running_servers(settings: Settings) -> AsyncIterator[Servers]:
    """Start what is embedded, for as long as the context is entered."""
    async with AsyncExitStack() as stack:
        urls = {context: settings.postgres_url_of(context) for context in CONTEXTS}
        embedded_postgres = not all(urls.values())
        if embedded_postgres or settings.redis_url is None:
            stack.enter_context(DataDir(settings.data_dir))
        if embedded_postgres:
            postgres = EmbeddedPostgres(settings.data_dir / "postgres")
            await asyncio.to_thread(postgres.start)
            stack.push_async_callback(asyncio.to_thread, postgres.stop)
            urls = {context: url or postgres.url for context, url in urls.items()}
        redis_url = settings.redis_url
        if redis_url is None:
            redis = EmbeddedRedis(settings.data_dir / "redis")
            await asyncio.to_thread(redis.start)
            stack.push_async_callback(asyncio.to_thread, redis.stop)
            redis_url = redis.url
        yield Servers(
            postgres={context: url for context, url in urls.items() if url},
            redis=redis_url,
            rabbitmq=settings.rabbitmq_url,
            mongo=settings.mongo_url,
            elasticsearch=settings.elasticsearch_url,
            clickhouse=settings.clickhouse_url,
        )
