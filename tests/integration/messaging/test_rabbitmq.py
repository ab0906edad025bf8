"""What only a real RabbitMQ can show: purged, lost, duplicated and foreign messages, outages, consumers that vanish."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest

from commands.ports import Position
from infra.messaging.rabbit.connection import RabbitConnection, Subscription, Unroutable
from infra.messaging.rabbit.topology import COMMANDS, DELIVERY_LIMIT, EVENTS, commands_queue, feed_queue
from infra.messaging.stats import Stats
from infra.messaging.wire import encode_events
from tests.contract.messaging import (
    PATIENCE_SECONDS,
    Inbox,
    Messaging,
    Recorder,
    eventually,
    fresh_database,
    open_messaging,
)
from tests.servers.rabbitmq import RabbitMQ, call_management

QUEUE = "feed.recorder.inventory"
_CHANNEL_OPEN, _QUEUE_BIND = bytes((0, 20, 0, 10)), bytes((0, 50, 0, 20))
"""Class and method of ``channel.open`` and ``queue.bind`` in AMQP 0-9-1."""


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[str]:
    async with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
async def messaging(database: str, rabbitmq_vhost: str) -> AsyncIterator[Messaging]:
    async with open_messaging("rabbitmq", database, rabbitmq_vhost) as opened:
        yield opened


@pytest.fixture
def manage(rabbitmq_vhost: str, rabbitmq_management_url: str) -> Callable[..., Any]:
    """``manage(method, path, body)`` in the test's virtual host."""
    vhost = urlsplit(rabbitmq_vhost).path.strip("/")

    def call(method: str, path: str, body: object = None) -> Any:
        return call_management(rabbitmq_management_url, method, path.replace("VHOST", quote(vhost)), body)

    return call


@pytest.fixture(scope="module")
def own_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A server that the test may stop and kill."""
    with RabbitMQ(Path(tmp_path_factory.mktemp("rabbitmq"))) as server:
        yield server


Meets = Callable[[bytes], bool | None]
"""What becomes of something that a client says: True: it is cut off, None: nobody hears it, False: it is passed on."""


@asynccontextmanager
async def way_to(url: str, meets: Meets) -> AsyncIterator[str]:
    """A way to the broker at ``url`` on which ``meets`` decides about everything that a client says."""
    there = urlsplit(url)
    assert there.hostname
    assert there.port

    async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, watch: bool) -> None:
        with suppress(ConnectionError):
            while part := await source.read(65_536):
                fate = meets(part) if watch else False
                if fate:
                    return
                if fate is not None:
                    target.write(part)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(there.hostname, there.port)
        ways = [
            asyncio.create_task(pipe(reader, there_writer, watch=True)),
            asyncio.create_task(pipe(there_reader, writer, watch=False)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        writer.close()
        there_writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield there._replace(netloc=there.netloc.replace(f":{there.port}", f":{port}")).geturl()


def broker_of(messaging: Messaging) -> RabbitConnection:
    assert messaging.connection is not None
    return messaging.connection


def has_come(feed: Recorder, number: int) -> bool:
    return feed.numbers()[-1] == number


async def started(messaging: Messaging) -> Recorder:
    """A feed that has its queue and has handled one event."""
    feed = Recorder()
    await messaging.feeds.start(feed, "inventory")
    await messaging.note(uuid4(), 0)
    await eventually(lambda: feed.numbers() == [0], "the feed runs")
    assert await broker_of(messaging).wait_up(PATIENCE_SECONDS)
    return feed


async def comes_by_the_broker(messaging: Messaging, feed: Recorder) -> None:
    """Write an event at a time until one reaches the feed by its queue.

    Any single one may come from the log instead: a relay that waits after an outage is slower than the feed's look.
    """
    before = messaging.stats.counted("runs_from_broker")

    async def one_more() -> bool:
        written = len(feed.seen)
        await messaging.note(uuid4(), 0)
        await eventually(lambda: len(feed.seen) > written, "the event arrives")
        return messaging.stats.counted("runs_from_broker") > before

    await eventually(one_more, "the queue has its consumer")


async def test_events_come_over_the_broker_and_not_from_the_log(messaging: Messaging) -> None:
    feed = await started(messaging)
    before = messaging.stats.counted("runs_from_broker")
    for number in range(1, 21):
        await messaging.note(uuid4(), number)
        await eventually(partial(has_come, feed, number), f"{number} arrives")
    assert messaging.stats.counted("runs_from_broker") > before + 10
    assert not messaging.stats.counted("runs_dropped")


async def test_a_purged_queue_delays_and_loses_nothing(messaging: Messaging, manage: Callable[..., Any]) -> None:
    feed = await started(messaging)
    await messaging.feeds.pause("recorder")
    stream = uuid4()
    await messaging.note(stream, 1)
    await messaging.note(stream, 2)

    def waiting() -> bool:
        return messaging.stats.counted("relay_events") >= 3

    await eventually(waiting, "the events are in the queue")
    await asyncio.to_thread(manage, "DELETE", f"/api/queues/VHOST/{QUEUE}/contents")
    await messaging.feeds.resume("recorder")
    await messaging.note(stream, 3)
    await eventually(lambda: feed.numbers(stream) == [1, 2, 3], "all events arrive")


async def test_a_lost_message_is_found_by_the_look_at_the_log(messaging: Messaging, manage: Callable[..., Any]) -> None:
    feed = await started(messaging)
    await asyncio.to_thread(manage, "DELETE", f"/api/bindings/VHOST/e/{EVENTS.name}/q/{QUEUE}/inventory")
    before = messaging.stats.counted("relay_runs_without_feed")
    await messaging.note(uuid4(), 1)
    await eventually(lambda: feed.numbers() == [0, 1], "the event arrives although no message does", 5)
    await eventually(
        lambda: messaging.stats.counted("relay_runs_without_feed") == before + 1, "the relay counts what nobody took"
    )


async def test_messages_that_come_twice_late_or_not_at_all_change_nothing(messaging: Messaging) -> None:
    feed = await started(messaging)
    stream = uuid4()
    for number in range(1, 5):
        await messaging.note(stream, number)
    await eventually(lambda: feed.numbers(stream) == [1, 2, 3, 4], "the events arrive")
    run = await messaging.logs["inventory"].read_log(Position(0, 0), 100)
    connection = broker_of(messaging)

    async def by_hand(prev: Position, position: Position, body: bytes) -> None:
        headers = {"context": "inventory", "prev": str(prev), "position": str(position)}
        await connection.publish(body, exchange=EVENTS, routing_key="inventory", headers=headers)

    await by_hand(run.prev, run.position, encode_events(run.events))
    await by_hand(run.events[1].position, run.events[2].position, encode_events(run.events[2:3]))
    await by_hand(run.position, run.position, b"[]")
    beyond = Position(run.position.transaction_id + 10**9, 1)
    await by_hand(beyond, Position(beyond.transaction_id, 2), encode_events(run.events))
    await by_hand(run.position, beyond, b"this is no batch")
    await connection.publish(b"{}", exchange=EVENTS, routing_key="inventory", headers={"prev": "?"})
    await messaging.note(stream, 5)
    await eventually(lambda: feed.numbers(stream) == [1, 2, 3, 4, 5], "the feed goes on")

    def dropped() -> list[int]:
        return [messaging.stats.counted("runs_dropped", reason=why) for why in ("foreign", "unreadable", "malformed")]

    await eventually(lambda: dropped() == [1, 1, 1], "what makes no sense is dropped and counted")
    assert not await messaging.parked()


async def test_a_slow_feed_drops_messages_and_reads_the_log(messaging: Messaging) -> None:
    feed = await started(messaging)
    gate = asyncio.Event()
    handle = feed.handle

    async def slowly(run: Any, checkpoint: Any) -> None:
        await gate.wait()
        await handle(run, checkpoint)

    feed.handle = slowly  # type: ignore[method-assign]
    stream = uuid4()
    for number in range(150):
        await messaging.note(stream, number)
    await eventually(
        lambda: (
            messaging.stats.counted("runs_dropped", reason="full") > 0 or messaging.stats.counted("relay_events") >= 151
        ),
        "the relay is ahead",
    )
    gate.set()
    await eventually(lambda: feed.numbers(stream) == list(range(150)), "all events arrive in order")


async def test_the_broker_is_stopped_and_started_mid_flow(database: str, own_rabbitmq: RabbitMQ) -> None:
    amqp = own_rabbitmq.create_vhost()
    async with open_messaging("rabbitmq", database, amqp) as messaging:
        feed = await started(messaging)
        inbox = Inbox()
        await messaging.serve_commands(inbox)
        streams = [uuid4() for _ in range(10)]
        written = 0

        async def write(stream: Any) -> None:
            nonlocal written
            for number in range(40):
                await messaging.note(stream, number)
                await messaging.issue(f"{stream} {number}")
                written += 1
                await asyncio.sleep(0.05)  # a steady flow, so that the outage falls into it

        writing = asyncio.gather(*(write(stream) for stream in streams))
        await eventually(lambda: written > 50, "the flow has begun")
        await asyncio.to_thread(own_rabbitmq.stop)
        await eventually(lambda: broker_of(messaging).state == "down", "the outage is noticed")
        await asyncio.to_thread(own_rabbitmq.start)
        await writing
        await eventually(lambda: len(inbox.executed) == 400, "every command is carried out", 60)
        await eventually(lambda: len(feed.seen) == 401, "every event arrives", 60)
        for stream in streams:
            assert feed.numbers(stream) == list(range(40))
        assert len(set(inbox.executed)) == 400
        assert await broker_of(messaging).wait_up(PATIENCE_SECONDS)
        assert not await messaging.parked()
        assert not await messaging.parked("commands:inventory")

        await comes_by_the_broker(messaging, feed)
        await messaging.issue("after the outage")
        await eventually(lambda: inbox.executed[-1] == "after the outage", "commands flow again")


async def test_feeds_go_on_from_the_log_while_the_broker_is_away(database: str, own_rabbitmq: RabbitMQ) -> None:
    amqp = own_rabbitmq.create_vhost()
    async with open_messaging("rabbitmq", database, amqp) as messaging:
        feed = await started(messaging)
        await asyncio.to_thread(own_rabbitmq.kill)
        await messaging.note(uuid4(), 1)
        await eventually(lambda: feed.numbers() == [0, 1], "the event arrives without a broker")
        relayed = await messaging.checkpoint("relay")
        assert relayed < await messaging.logs["inventory"].head(), "the relay's checkpoint waits for the confirmation"
        await asyncio.to_thread(own_rabbitmq.start)

        async def caught_up() -> bool:
            return await messaging.checkpoint("relay") == await messaging.logs["inventory"].head()

        await eventually(caught_up, "the relay goes on", 60)
        assert feed.numbers() == [0, 1]


async def test_a_broker_that_is_silent_holds_up_nobody_who_leaves_a_queue(
    database: str, own_rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.messaging.rabbit.connection.DISCONNECT_SECONDS", 1.0)
    amqp = own_rabbitmq.create_vhost()
    async with open_messaging("rabbitmq", database, amqp) as messaging:
        feed = await started(messaging)
        os.kill(own_rabbitmq.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(5):
                await messaging.feeds.pause("recorder")
        finally:
            os.kill(own_rabbitmq.pid, signal.SIGCONT)
        await eventually(lambda: messaging.stats.counted("rabbit_rebuilds") > 0, "the connection is built anew")
        assert await broker_of(messaging).wait_up(PATIENCE_SECONDS)
        await messaging.feeds.resume("recorder")
        await eventually(lambda: bool(messaging.feeds.active("inventory")), "the feed runs again")
        assert await broker_of(messaging).wait_up(PATIENCE_SECONDS)
        await comes_by_the_broker(messaging, feed)
        assert not messaging.fatal


async def test_a_connection_that_is_lost_while_its_first_channel_is_opened_is_not_kept(rabbitmq_vhost: str) -> None:
    cuts: list[bytes] = []

    def cut(said: bytes) -> bool:
        if _CHANNEL_OPEN in said:
            cuts.append(said)
        return _CHANNEL_OPEN in said

    async with way_to(rabbitmq_vhost, cut) as url:
        stats = Stats()
        connection = RabbitConnection(url, pytest.fail, stats, check_every=0.01)
        await connection.start()
        await eventually(lambda: len(cuts) > 1, "it is lost again and again")
        await connection.stop()
        kept = {each for each in asyncio.all_tasks() if "RobustConnection" in repr(each)}
        assert not kept, "the client still tries to connect"


async def test_a_broker_that_leaves_a_binding_unanswered_is_asked_again_on_another_connection(
    rabbitmq_vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does now and then that has just come back after a kill."""
    monkeypatch.setattr("infra.messaging.rabbit.connection.ANSWER_SECONDS", 1.0)
    unheard: list[bytes] = []

    def lose_the_first(said: bytes) -> bool | None:
        if _QUEUE_BIND not in said or unheard:
            return False
        unheard.append(said)
        return None

    async with way_to(rabbitmq_vhost, lose_the_first) as url:
        connection = RabbitConnection(url, pytest.fail, Stats(), check_every=0.01)
        connection.declare(commands_queue("inventory"), COMMANDS)
        await connection.start()
        assert await connection.wait_up(PATIENCE_SECONDS)
        assert unheard
        await connection.publish(b"[]", exchange=COMMANDS, routing_key="inventory")
        await connection.stop()


async def test_a_deleted_queue_comes_back_with_its_consumer(messaging: Messaging, manage: Callable[..., Any]) -> None:
    feed = await started(messaging)
    inbox = Inbox()
    await messaging.serve_commands(inbox)
    await messaging.issue("before")
    await eventually(lambda: inbox.executed == ["before"], "commands flow")
    for queue in (QUEUE, commands_queue("inventory").name):
        await asyncio.to_thread(manage, "DELETE", f"/api/queues/VHOST/{queue}")
    await eventually(lambda: messaging.stats.counted("rabbit_rebuilds") > 0, "the watchdog notices")
    assert await broker_of(messaging).wait_up(PATIENCE_SECONDS)
    await comes_by_the_broker(messaging, feed)
    await messaging.issue("after")
    await eventually(lambda: inbox.executed[-1] == "after", "commands flow again")
    assert not messaging.fatal


async def test_a_consumer_that_cannot_be_kept_ends_the_process_loudly(
    rabbitmq_vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    connection = RabbitConnection(rabbitmq_vhost, said.append, Stats(), check_every=0.05)

    async def never(_: object) -> bool:
        return False

    async def ignore(_: object) -> None:
        return

    monkeypatch.setattr("infra.messaging.rabbit.connection._registered", never)
    connection.subscribe(Subscription(feed_queue("lost", "inventory"), ignore, EVENTS))
    await connection.start()
    await eventually(lambda: bool(said), "it says so")
    assert "feed.lost.inventory" in said[0]
    assert connection.state == "down"
    await connection.stop()


async def test_a_message_that_kills_every_process_becomes_a_dead_letter(messaging: Messaging) -> None:
    await messaging.issue("deadly")
    connection = broker_of(messaging)
    deliveries = 0

    async def die(message: Any) -> None:
        nonlocal deliveries
        deliveries += 1
        await message.nack(requeue=True)

    dying = Subscription(commands_queue("inventory"), die, COMMANDS, 1)
    await messaging.serve_commands(Inbox())
    [taking] = [each for each in connection._wanted if each.queue.name == "commands.inventory"]  # noqa: SLF001
    await connection.unsubscribe(taking)
    connection.subscribe(dying)
    await messaging.issue("deadly too")

    async def parked() -> bool:
        return len(await messaging.parked("commands:inventory")) >= 1

    await eventually(parked, "the broker gives it up and it is written down")
    letter = (await messaging.parked("commands:inventory"))[0]
    assert letter.error.startswith("KilledItsProcess")
    assert letter.message["content"]["reason"].startswith("deadly")
    assert deliveries >= DELIVERY_LIMIT


async def test_a_message_that_is_no_run_of_commands_becomes_a_dead_letter(messaging: Messaging) -> None:
    inbox = Inbox()
    await messaging.serve_commands(inbox)
    assert await broker_of(messaging).wait_up(PATIENCE_SECONDS)
    await broker_of(messaging).publish(b"rubbish", exchange=COMMANDS, routing_key="inventory")
    await messaging.issue("fine")
    await eventually(lambda: inbox.executed == ["fine"], "commands flow")

    async def parked() -> bool:
        return len(await messaging.parked("commands:inventory")) == 1

    await eventually(parked, "it is written down")
    [letter] = await messaging.parked("commands:inventory")
    assert letter.message == {"body": "rubbish"}


async def test_the_relay_waits_when_commands_cannot_be_routed(
    messaging: Messaging, manage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = broker_of(messaging)
    assert await connection.wait_up(PATIENCE_SECONDS)
    await asyncio.to_thread(manage, "DELETE", f"/api/queues/VHOST/{commands_queue('inventory').name}")
    monkeypatch.setattr(connection, "forget_declared", lambda: None)
    await messaging.issue("stuck")
    await eventually(lambda: messaging.stats.counted("relay_errors", context="bookings") >= 2, "the relay fails")
    assert await messaging.checkpoint("relay", "bookings", "bookings") == Position(0, 0)
    with pytest.raises(Unroutable):
        await connection.publish(b"[]", exchange=COMMANDS, routing_key="inventory")
    monkeypatch.undo()
    inbox = Inbox()
    await messaging.serve_commands(inbox)
    await eventually(lambda: inbox.executed == ["stuck"], "it arrives when there is a queue again")
