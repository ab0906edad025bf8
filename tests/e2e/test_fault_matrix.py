"""Each store goes away under load and returns, each process is killed during a replay, read models are deleted.

After every fault the platform comes back by itself: every booking is final, nothing lags, and a full audit finds
nothing. Servers are killed, not stopped, so what they had acknowledged and not kept is lost as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

import httpx
import psycopg
import pytest
from redis import Redis

from tests.e2e.conftest import SEPARATE_PROCESSES
from tests.e2e.guests import Guests, works
from tests.e2e.running import RunningPlatform, is_running, ok
from tests.e2e.stories import until, until_nothing
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.mongo import MongoWire
from tests.servers.postgresql import PostgreSQL
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import SnapshotRedis
from tests.servers.server import Server

pytestmark = pytest.mark.xdist_group("e2e-faults")

OUTAGE_SECONDS = 20.0
RECOVERY_SECONDS = 120.0
NAMESPACE = "faults"
REPLAYED = {"inventory": "calendars", "bookings": "booking_pages", "analytics": "booking_facts"}
"""A read model of each process that feeds any, by the service that feeds it."""


@dataclass(frozen=True)
class World:
    """The platform and the servers that it runs on."""

    platform: RunningPlatform
    postgres: PostgreSQL
    rabbitmq: RabbitMQ
    redis: SnapshotRedis
    mongo: MongoWire
    elasticsearch: Elasticsearch

    async def parts(self) -> dict[str, str]:
        """What readiness says of the parts that are not up."""
        async with self.platform.client() as client:
            answer = await client.get("/health/ready")
        return {each["part"]: each["state"] for each in answer.json()["parts"] if each["state"] != "up"}

    async def is_well(self) -> bool:
        """Whether readiness finds nothing wrong."""
        return not await self.parts()

    async def names(self, *parts: str) -> None:
        """Wait until readiness says what is wrong."""

        async def named() -> bool:
            wrong = await self.parts()
            return all(any(name.startswith(part) for name in wrong) for part in parts)

        await until(named, seconds=45, every=0.5)

    async def recovers(self, guests: Guests) -> None:
        """The guests leave; then everything has an end, nothing lags, and the audit finds nothing, all by itself."""
        await guests.leave()
        assert not [each for each in guests.heard if not each.is_excused and each.status], guests.tally()
        await until(guests.all_final, seconds=RECOVERY_SECONDS, every=0.5)
        async with await self.platform.login("operator") as operator:
            await until_nothing(lambda: _lagging(operator), seconds=RECOVERY_SECONDS, every=0.3)
            audit = await asyncio.to_thread(self.platform.run, "audit", "--full", "--json", check=False)
            checks = json.loads(audit.stdout)["checks"]
            assert not [each for each in checks if each["violations"] or each["skipped"]]
            assert audit.returncode == 0
            assert not ok(await operator.get("/v1/ops/dead-letters"))["items"]
        assert not self.platform.ended()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("faults")
    servers = (
        PostgreSQL(folder / "postgres"),
        RabbitMQ(folder / "rabbitmq"),
        SnapshotRedis(folder / "redis"),
        MongoWire(folder / "mongo"),
        Elasticsearch(folder / "elasticsearch"),
    )
    names = ("POSTGRES_URL", "RABBITMQ_URL", "REDIS_URL", "MONGO_URL", "ELASTICSEARCH_URL")
    settings = {f"NIGHTLEDGER_{name}": server.url for name, server in zip(names, servers, strict=True)}
    platform = RunningPlatform(folder / "data", settings | {"NIGHTLEDGER_NAMESPACE": NAMESPACE}, SEPARATE_PROCESSES)
    platform.arguments = ("--demo",)
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.kill)
        with ThreadPoolExecutor(len(servers)) as pool:
            for starting in [pool.submit(server.start) for server in servers]:
                starting.result()
        stack.enter_context(platform)
        yield World(platform, *servers)


async def test_redis_elasticsearch_and_analytics_go_away_and_redis_comes_back_older(world: World) -> None:
    """None of the three has to do with another: they are away at the same time."""
    async with Guests(world.platform) as guests:
        with Redis.from_url(world.redis.url) as redis:
            redis.save()
        await guests.have_booked(3)
        async with _Outage(world.redis, world.elasticsearch) as outage:
            await asyncio.to_thread(world.platform.kill_process, "analytics")
            since = len(guests.heard)
            await world.names("redis", "search", "feed booking_facts")
            await outage.lasts()
            works(guests, since, ("hotel", "list", "booking", "book", "cancel"))
        world.platform.start_process("analytics")
        await world.recovers(guests)
    assert "feed_set_back" in world.platform.log.read_text()


async def test_mongodb_goes_away_and_comes_back(world: World) -> None:
    async with Guests(world.platform) as guests:
        async with _Outage(world.mongo) as outage:
            since = len(guests.heard)
            await world.names("documents")
            await outage.lasts()
            works(guests, since, ("search", "booking", "book", "cancel"))
        await world.recovers(guests)


async def test_rabbitmq_goes_away_and_comes_back_with_empty_queues(world: World) -> None:
    async with Guests(world.platform) as guests:
        async with _Outage(world.rabbitmq) as outage:
            since = len(guests.heard)
            await world.names("rabbitmq")
            await outage.lasts()
            works(guests, since, ("search", "rooms", "hotel", "list", "booking"))
        await asyncio.to_thread(world.rabbitmq.purge, "feed.", "commands.")
        await world.recovers(guests)


async def test_postgresql_goes_away_and_comes_back(world: World) -> None:
    async with Guests(world.platform) as guests:
        async with _Outage(world.postgres) as outage:
            since = len(guests.heard)
            await world.names("postgres bookings")
            await outage.lasts()
            works(guests, since, ("search", "rooms", "hotel"))
        await world.recovers(guests)


async def test_every_process_is_killed_while_it_replays(world: World) -> None:
    """The gateway, which feeds nothing, while the others do."""
    async with Guests(world.platform) as guests:
        async with await world.platform.login("operator") as operator:
            replays = await asyncio.gather(
                *(_killed_while_replaying(world, operator, *each) for each in REPLAYED.items())
            )
        world.platform.kill_process("gateway")
        for service in ("gateway", *REPLAYED):
            world.platform.start_process(service)
        await asyncio.to_thread(world.platform.wait_until_ready)
        async with await world.platform.login("operator") as operator:

            async def ended() -> bool:
                states = [await _state(operator, replay_id) for replay_id in replays]
                assert "failed" not in states
                return set(states) == {"live"}

            await until(ended, seconds=RECOVERY_SECONDS, every=0.3)
        await world.recovers(guests)


async def test_processes_that_only_fill_are_killed_and_the_replays_go_on(world: World) -> None:
    async with Guests(world.platform) as guests, await world.platform.login("operator") as operator:

        async def filling_is_killed(service: str, projection: str) -> str:
            async with _held_up_replay(world, operator, service, projection) as replay_id:
                (pid,) = world.platform.filling_processes(service)
                os.kill(pid, signal.SIGKILL)
            return replay_id

        replays = await asyncio.gather(*(filling_is_killed(*each) for each in REPLAYED.items()))

        async def ended() -> bool:
            return {await _state(operator, replay_id) for replay_id in replays} == {"live"}

        await until(ended, seconds=RECOVERY_SECONDS, every=0.3)
        await world.recovers(guests)
    assert world.platform.log.read_text().count("killed by signal 9") == len(REPLAYED)


async def test_read_models_that_are_deleted_whole_come_back(world: World) -> None:
    async with Guests(world.platform) as guests:
        await asyncio.to_thread(_delete_read_models, world)

        async def rebuilt() -> bool:
            tally = guests.tally(len(guests.heard) - 12)
            return all(tally[asked, 200] and not tally[asked, 404] for asked in ("search", "rooms", "hotel"))

        await until(rebuilt, seconds=RECOVERY_SECONDS, every=0.3)
        await world.recovers(guests)
    # Of all that has happened here nothing is left to complain of.
    await until(world.is_well, seconds=RECOVERY_SECONDS, every=0.5)


class _Outage:
    """Servers that are killed when it is entered and started again when it is left."""

    def __init__(self, *servers: Server) -> None:
        self._servers = servers
        self._ends_at = time.monotonic() + OUTAGE_SECONDS

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(asyncio.to_thread(server.kill) for server in self._servers))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in self._servers))

    async def lasts(self) -> None:
        """Wait until it has lasted long enough: how long it lasts is what is tested."""
        await asyncio.sleep(self._ends_at - time.monotonic())


async def _lagging(operator: httpx.AsyncClient) -> list[object]:
    answer = await operator.get("/v1/ops/projections")
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return [answer.json()]
    return [each for each in ok(answer)["items"] if each["state"] != "live" or each["lag_events"]]


async def _killed_while_replaying(world: World, operator: httpx.AsyncClient, service: str, projection: str) -> str:
    """SIGKILL the process of ``service`` in the middle of a replay; returns that one's id."""
    async with _held_up_replay(world, operator, service, projection) as replay_id:
        filling = world.platform.filling_processes(service)
        assert filling
        await asyncio.to_thread(world.platform.kill_process, service)

        async def is_over() -> bool:
            return not any(is_running(pid) for pid in filling)

        await until(is_over)
    assert await _state(operator, replay_id) == "building"
    return replay_id


@asynccontextmanager
async def _held_up_replay(
    world: World, operator: httpx.AsyncClient, service: str, projection: str
) -> AsyncIterator[str]:
    """Order a replay, and hold it up when it puts on record what it has written first; its id.

    It has not ended then, whatever its speed: what holds it up is connected before it is ordered.
    """
    async with await psycopg.AsyncConnection.connect(world.postgres.url) as holder:
        answer = await operator.post(f"/v1/ops/projections/{projection}/replay")
        replay_id: str = ok(answer, 202)["replay_id"]
        build = f"SELECT name FROM {service}.builds WHERE replay_id = %s FOR UPDATE"  # noqa: S608 - a name of ours
        await holder.execute(build, (replay_id,))

        async def is_held_up() -> bool:
            # Within a transaction the sessions are those of the first look, until that is forgotten.
            await holder.execute("SELECT pg_stat_clear_snapshot()")
            waiting = await holder.execute(
                "SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )
            return bool(await waiting.fetchall())

        await until(is_held_up, seconds=RECOVERY_SECONDS)
        yield replay_id


async def _state(operator: httpx.AsyncClient, replay_id: str) -> str:
    state: str = ok(await operator.get(f"/v1/ops/replays/{replay_id}"))["state"]
    return state


def _delete_read_models(world: World) -> None:
    with Redis.from_url(world.redis.url) as redis:
        redis.flushall()
    # FerretDB, which stands in for MongoDB, falls over when a database is dropped that is in use.
    world.mongo.kill()
    world.mongo.forget()
    world.mongo.start()
    with httpx.Client(base_url=world.elasticsearch.url) as elasticsearch:
        indexes = elasticsearch.get("/_cat/indices", params={"format": "json"}).json()
        ours = [each["index"] for each in indexes if each["index"].startswith(NAMESPACE)]
        assert ours
        elasticsearch.delete(f"/{','.join(ours)}").raise_for_status()
