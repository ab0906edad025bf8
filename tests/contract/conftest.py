"""A messaging of each kind: straight from the log, and over RabbitMQ."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.messaging import (
    Messaging,
    Way,
    fresh_database,
    open_messaging,
)


@pytest.fixture(params=["log", "rabbitmq"])
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


@pytest.fixture
def amqp(way: Way, request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("rabbitmq_vhost") if way == "rabbitmq" else ""


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[str]:
    async with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
async def messaging(way: Way, database: str, amqp: str) -> AsyncIterator[Messaging]:
    async with open_messaging(way, database, amqp) as opened:
        yield opened
