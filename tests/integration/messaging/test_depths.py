"""How full the queues of a real RabbitMQ are, as the monitor sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from infra.messaging.queues import QueueDepth
from infra.messaging.rabbit.connection import BrokerUnavailable, RabbitConnection
from infra.messaging.rabbit.depths import depths
from infra.messaging.rabbit.topology import COMMANDS, commands_queue, retry_queue
from infra.messaging.retries import CommandRetries
from infra.messaging.stats import Stats
from tests.contract.messaging import Inbox, Messaging, Recorder, eventually, fresh_database, open_messaging


@pytest.fixture
async def messaging(postgres_url: str, rabbitmq_vhost: str) -> AsyncIterator[Messaging]:
    async with fresh_database(postgres_url) as url, open_messaging("rabbitmq", url, rabbitmq_vhost) as opened:
        yield opened


async def seen(connection: RabbitConnection) -> dict[str, QueueDepth]:
    feeds = {"recorder": ("inventory",)}
    return dict(await depths(connection, feeds=feeds, commanded=("inventory",), answering=("payments",)))


async def test_what_waits_and_who_takes_it_is_seen(messaging: Messaging) -> None:
    connection = messaging.connection
    assert connection is not None
    await messaging.feeds.start(Recorder(), "inventory")
    await messaging.serve_commands(Inbox(), CommandRetries())
    empty = {
        "feed.recorder.inventory": QueueDepth(0, 1),
        "commands.inventory": QueueDepth(0, 1),
        "commands.inventory.dead": QueueDepth(0, 1),
        "rpc.payments": QueueDepth(0, 0),
        **{retry_queue("inventory", delay).name: QueueDepth(0, None) for delay in CommandRetries().all_delays},
    }

    async def all_consumed() -> bool:
        return await seen(connection) == empty

    await eventually(all_consumed, "each queue has its consumer, and the one that nobody has declared none")


async def test_a_queue_that_nobody_takes_from_fills(messaging: Messaging) -> None:
    connection = messaging.connection
    assert connection is not None
    connection.declare(commands_queue("inventory"), COMMANDS)
    for number in range(3):
        await messaging.issue(str(number))

    async def filled() -> bool:
        depth = (await seen(connection))["commands.inventory"]
        return depth.ready > 0 and depth.consumers == 0

    await eventually(filled, "what waits is counted")


async def test_a_broker_that_is_away_is_no_empty_broker() -> None:
    connection = RabbitConnection("amqp://127.0.0.1:1/", pytest.fail, Stats())
    with pytest.raises(BrokerUnavailable, match="not connected"):
        await seen(connection)
