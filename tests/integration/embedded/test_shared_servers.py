"""The fixtures give servers that work and that the whole run shares."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path

import aio_pika
import asyncpg
import motor.motor_asyncio
import pytest
import redis.asyncio

from tests.servers.postgresql import PostgreSQL
from tests.servers.server import ServerFailed, ServerMissing, program


@pytest.mark.parametrize("fixture", ["postgres_url", "embedded_postgres_url"])
async def test_postgres_takes_connections(fixture: str, request: pytest.FixtureRequest) -> None:
    connection = await asyncpg.connect(request.getfixturevalue(fixture))
    try:
        assert await connection.fetchval("select 1") == 1
    finally:
        await connection.close()


@pytest.mark.parametrize("fixture", ["redis_url", "embedded_redis_url"])
async def test_redis_keeps_a_value(fixture: str, request: pytest.FixtureRequest, fresh_name: Callable[[], str]) -> None:
    key = fresh_name()
    async with redis.asyncio.Redis.from_url(request.getfixturevalue(fixture)) as client:
        await client.set(key, "kept")
        assert await client.getdel(key) == b"kept"


async def test_rabbitmq_gives_each_test_a_virtual_host(rabbitmq_vhost: str) -> None:
    async with await aio_pika.connect(rabbitmq_vhost) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("q", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(b"hello"), routing_key="q")
        message = await queue.get(timeout=10)
        assert message.body == b"hello"
        await message.ack()


async def test_mongo_keeps_a_document(mongo_url: str, fresh_name: Callable[[], str]) -> None:
    client: motor.motor_asyncio.AsyncIOMotorClient[dict[str, object]] = motor.motor_asyncio.AsyncIOMotorClient(
        mongo_url
    )
    name = fresh_name()
    try:
        await client[name]["c"].insert_one({"_id": 1, "kept": True})
        assert await client[name]["c"].find_one({"_id": 1}) == {"_id": 1, "kept": True}
        await client.drop_database(name)
    finally:
        client.close()


def test_elasticsearch_answers(elasticsearch_url: str) -> None:
    with urllib.request.urlopen(elasticsearch_url, timeout=10) as answer:  # noqa: S310 - our own server
        assert b"You Know, for Search" in answer.read()


def test_a_program_that_is_missing_names_the_command_that_installs_it() -> None:
    with pytest.raises(ServerMissing, match="no-such-server is not installed; 'make servers' installs it"):
        program("no-such-server")


def test_a_server_that_does_not_start_tells_why(directory: Path) -> None:
    server = PostgreSQL(directory / "postgres")
    with server:
        pass
    with (directory / "postgres" / "cluster" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(ServerFailed, match="no_such_setting"):
        server.start()
    server.kill()
