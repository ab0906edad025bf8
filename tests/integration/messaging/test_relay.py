"""The relay with large events: no message is larger than a broker takes, none is lost, and the checkpoint waits."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from commands.ports import START, LogRun, Position
from domain.inventory.events import AllotmentSet, NightLeft
from domain.shared.messages import Event
from infra.clock import new_id
from infra.messaging.rabbit import relay
from infra.messaging.rabbit.connection import RabbitConnection
from infra.messaging.rabbit.relay import Relay
from infra.messaging.rabbit.topology import EVENTS
from infra.messaging.stats import Stats
from infra.messaging.wire import decode_run
from tests.contract.messaging import (
    FEED_RETRIES,
    SOMEBODY,
    Inbox,
    Messaging,
    Recorder,
    ServerRoles,
    eventually,
    fresh_database,
    open_messaging,
)
from tests.servers.rabbitmq import RabbitMQ

LARGEST_MESSAGE = 2_000_000
"""In bytes; RabbitMQ 4 has 16 MiB, which would take eight times the events."""


class NarrowRabbitMQ(RabbitMQ):
    """Refuses messages beyond LARGEST_MESSAGE, and closes the channel they came on, as RabbitMQ 4 does by default."""

    def prepare(self) -> None:
        super().prepare()
        with (self.directory / "rabbitmq.conf").open("a") as configuration:
            configuration.write(f"max_message_size = {LARGEST_MESSAGE}\n")


class Gated(RabbitConnection):
    """No broker: remembers what is published as ``runs``, and confirms the third only when ``gate`` is set."""

    def __init__(self) -> None:
        super().__init__("amqp://nowhere", pytest.fail, Stats())
        self.gate = asyncio.Event()
        self.runs: list[LogRun] = []
        self.sizes: list[int] = []

    async def publish(self, body: bytes, *, headers: Mapping[str, str] | None = None, **about: Any) -> None:
        assert about["exchange"] is EVENTS
        assert headers
        prev, position = Position.parse(headers["prev"]), Position.parse(headers["position"])
        self.sizes.append(len(body))
        self.runs.append(decode_run(body, headers["context"], prev, position, None))
        if len(self.runs) == 3:
            await self.gate.wait()


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[str]:
    async with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="module")
def narrow_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with NarrowRabbitMQ(Path(tmp_path_factory.mktemp("rabbitmq"))) as server:
        yield server


def two_years() -> Event:
    """An event of about 53 kB."""
    nights = (
        NightLeft(date=dt.date(2026, 1, 1) + dt.timedelta(days=day), rooms_left=100, allotment=100)
        for day in range(750)
    )
    return AllotmentSet(hotel_id=SOMEBODY, room_type_id=SOMEBODY, nights=tuple(nights))


async def all_relayed(messaging: Messaging, context: str = "inventory") -> bool:
    return await messaging.checkpoint("relay", context, context) == await messaging.logs[context].head()


async def test_large_events_come_over_a_broker_that_takes_no_large_messages(
    database: str, narrow_rabbitmq: RabbitMQ
) -> None:
    async with open_messaging("rabbitmq", database, narrow_rabbitmq.create_vhost()) as messaging:
        feed = Recorder(topics=None)
        await messaging.feeds.start(feed, "inventory")
        await messaging.note(uuid4(), 0)
        await eventually(lambda: len(feed.seen) == 1, "the feed runs")
        stream = uuid4()
        await messaging.append(stream, *(two_years() for _ in range(60)))
        await messaging.note(stream, 1)

        await eventually(lambda: all_relayed(messaging), "the relay gets past them")
        await eventually(lambda: len(feed.seen) == 62, "every event arrives")
        assert [each.version for each in feed.seen if each.stream_id == stream] == list(range(1, 62))
        assert not messaging.stats.counted("relay_errors")


async def test_large_commands_come_over_a_broker_that_takes_no_large_messages(
    database: str, narrow_rabbitmq: RabbitMQ
) -> None:
    async with open_messaging("rabbitmq", database, narrow_rabbitmq.create_vhost()) as messaging:
        inbox = Inbox()
        await messaging.serve_commands(inbox)
        labels = [f"{number} {'x' * 50_000}" for number in range(60)]
        await asyncio.gather(*(messaging.issue(label) for label in labels))

        await eventually(lambda: all_relayed(messaging, "bookings"), "the relay gets past them")
        await eventually(lambda: sorted(inbox.executed) == sorted(labels), "every command is carried out")
        assert not messaging.stats.counted("relay_errors")


async def test_the_checkpoint_waits_for_each_part_of_a_run(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "RUN_BYTES", 120_000)
    async with open_messaging("log", database, "") as messaging:
        await messaging.append(uuid4(), *(two_years() for _ in range(9)))
        log, connection = messaging.logs["inventory"], Gated()
        relaying = Relay(
            log,
            connection,
            ServerRoles(messaging.pool, "inventory"),
            messaging.clock,
            new_id,
            Stats(),
            waits=FEED_RETRIES,
        )
        await relaying.start()
        messaging.stack.push_async_callback(relaying.stop)
        await eventually(lambda: len(connection.runs) == 5, "all parts are published")
        assert [len(run.events) for run in connection.runs] == [2, 2, 2, 2, 1]
        assert max(connection.sizes) < 120_000
        assert [run.prev for run in connection.runs] == [START, *(run.position for run in connection.runs[:-1])]

        first, second = (run.position for run in connection.runs[:2])

        async def begun() -> bool:
            return await messaging.checkpoint("relay") >= first

        await eventually(begun, "what is confirmed without a gap is done")
        await asyncio.sleep(2 * relay.CHECKPOINT_SECONDS)
        assert await messaging.checkpoint("relay") <= second, "later parts are confirmed, the third is not"
        connection.gate.set()
        await eventually(lambda: all_relayed(messaging), "then all is done")
