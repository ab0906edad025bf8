"""The contract of feeds, kept straight from the log and over RabbitMQ alike."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from commands.ports import START, ConcurrencyConflict, Position, RecordedEvent, Temporary
from tests.contract.messaging import (
    Messaging,
    Recorder,
    Way,
    boring,
    eventually,
    fails_on,
    open_messaging,
)


def has_seen(feed: Recorder, events: int) -> bool:
    return len(feed.seen) >= events


@pytest.mark.parametrize("commits_checkpoint", [False, True])
async def test_every_event_reaches_each_feed_once_in_stream_order(
    messaging: Messaging, commits_checkpoint: bool
) -> None:
    store = messaging.logs["inventory"]
    feeds = [Recorder(name, commits_checkpoint=commits_checkpoint, store=store) for name in ("first", "second")]
    for feed in feeds:
        await messaging.feeds.start(feed, "inventory")
    streams = [uuid4() for _ in range(20)]

    async def write(stream: Any) -> None:
        for number in range(0, 20, 2):
            await messaging.note(stream, number, number + 1)

    await asyncio.gather(*(write(stream) for stream in streams))
    for feed in feeds:
        await eventually(partial(has_seen, feed, 400), f"{feed.name} sees 400 events")
        for stream in streams:
            assert feed.numbers(stream) == list(range(20))
    head = await store.head()

    async def caught_up() -> bool:
        return [await messaging.checkpoint(feed.name) for feed in feeds] == [head, head]

    await eventually(caught_up, "the checkpoints reach the head")
    assert all(feed.runs < 400 for feed in feeds), "events are handled in runs"


async def test_a_feed_over_two_contexts_takes_what_it_asks_for(messaging: Messaging) -> None:
    feed = Recorder(contexts=("inventory", "bookings"))
    await messaging.feeds.start(feed, "inventory")
    await messaging.note(uuid4(), 1)
    await messaging.append(uuid4(), boring())
    await messaging.issue("not taken")
    last = await messaging.append(uuid4(), boring())

    async def reached() -> bool:
        return await messaging.checkpoint() == last and await messaging.checkpoint(context="bookings") > (0, 0)

    await eventually(reached, "the checkpoints move over events that are not taken")
    assert feed.numbers() == [1]


async def test_a_feed_knows_how_far_it_has_come_when_nothing_was_for_it(messaging: Messaging) -> None:
    """Else it would seem to have lost what lies between, and be set back at every start."""
    feed = Recorder(has=START)
    await messaging.note(uuid4(), 1)
    await messaging.feeds.start(feed, "inventory")
    last = await messaging.append(uuid4(), boring())
    await reached(messaging, last)
    assert feed.has == last
    assert feed.numbers() == [1]


async def test_a_feed_whose_store_went_back_is_handed_again_what_it_lost(messaging: Messaging) -> None:
    feed = Recorder(has=START)
    stream = uuid4()
    first = await messaging.note(stream, 1)
    await messaging.feeds.start(feed, "inventory")
    await reached(messaging, first)
    await reached(messaging, await messaging.note(stream, 2))
    feed.has = first
    third = await messaging.note(stream, 3)
    await eventually(lambda: feed.numbers() == [1, 2, 2, 3], "the lost event comes again, then what follows it")
    await reached(messaging, third)
    assert not await messaging.parked()


async def test_a_store_that_went_back_is_noticed_though_nothing_is_written(
    messaging: Messaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.messaging.feed_runner.IDLE_SECONDS", 0.2)
    feed = Recorder(has=START)
    stream = uuid4()
    first = await messaging.note(stream, 1)
    await messaging.feeds.start(feed, "inventory")
    await reached(messaging, first)
    last = await messaging.note(stream, 2)
    await reached(messaging, last)
    feed.has = first
    await eventually(lambda: feed.numbers() == [1, 2, 2], "what was lost comes again")
    await reached(messaging, last)


async def test_a_feed_goes_on_where_its_store_stands(way: Way, database: str, amqp: str) -> None:
    feed = Recorder(has=START)
    stream = uuid4()
    async with open_messaging(way, database, amqp) as before:
        await before.feeds.start(feed, "inventory")
        first = await before.note(stream, 1)
        await reached(before, first)
        last = await before.note(stream, 2)
        await reached(before, last)
    is_away = True

    def away(_: RecordedEvent) -> None:
        if is_away:
            raise Temporary("the store is away")

    feed.has, feed.fails = first, away
    async with open_messaging(way, database, amqp) as after:
        await after.feeds.start(feed, "inventory")
        await reached(after, first)  # nobody takes for done what is yet to be done again
        is_away = False
        await eventually(lambda: feed.numbers() == [1, 2, 2], "what was lost comes again")
        await reached(after, last)


async def reached(messaging: Messaging, position: Position) -> None:
    """Wait until the feed's checkpoint is there."""

    async def there() -> bool:
        return await messaging.checkpoint() == position

    await eventually(there, "the checkpoint")


async def test_temporary_failures_wait_and_park_nothing(messaging: Messaging) -> None:
    away = True

    def fail(_: RecordedEvent) -> None:
        if away:
            raise Temporary("the store is away")

    feed = Recorder(fails=fail)
    await messaging.feeds.start(feed, "inventory")
    await messaging.note(uuid4(), 1, 2)
    await eventually(lambda: feed.attempts > 6, "it is tried more often than an error would be")
    [report] = messaging.feeds.reports()
    assert report.state == "waiting"
    assert report.last_error == "Temporary: the store is away"
    away = False
    await eventually(lambda: feed.numbers() == [1, 2], "it goes on when the store is back")
    assert not await messaging.parked()
    await eventually(lambda: messaging.feeds.reports()[0].state == "running", "the report says so")


async def test_a_lost_race_is_run_again(messaging: Messaging) -> None:
    lost = iter(range(10))

    def fail(recorded: RecordedEvent) -> None:
        if next(lost, None) is not None:
            raise ConcurrencyConflict(recorded.stream_id, 1)

    feed = Recorder(fails=fail)
    await messaging.feeds.start(feed, "inventory")
    await messaging.note(uuid4(), 1)
    await eventually(lambda: feed.numbers() == [1], "it is handled in the end")
    assert not await messaging.parked()


@pytest.mark.parametrize("commits_checkpoint", [False, True])
async def test_a_restarted_feed_resumes_from_its_checkpoint(
    way: Way, database: str, amqp: str, commits_checkpoint: bool
) -> None:
    stream = uuid4()
    async with open_messaging(way, database, amqp) as before:
        store = before.logs["inventory"]
        feed = Recorder(commits_checkpoint=commits_checkpoint, store=store)
        await before.feeds.start(feed, "inventory")
        last = await before.note(stream, 1, 2)

        async def stored() -> bool:
            return await before.checkpoint() == last

        await eventually(stored, "the checkpoint is stored")
        await before.feeds.stop("recorder")
        await before.note(stream, 3)
        assert feed.numbers() == [1, 2]
    async with open_messaging(way, database, amqp) as after:
        feed = Recorder(commits_checkpoint=commits_checkpoint, store=after.logs["inventory"])
        await after.note(stream, 4)
        await after.feeds.start(feed, "inventory")
        await eventually(lambda: feed.numbers() == [3, 4], "only what was not handled comes")


async def test_parked_streams_stay_parked_over_a_restart(way: Way, database: str, amqp: str) -> None:
    stream = uuid4()
    async with open_messaging(way, database, amqp) as before:
        await before.feeds.start(Recorder(fails=fails_on(1)), "inventory")
        await before.note(stream, 1)

        async def parked() -> bool:
            return len(await before.parked()) == 1

        await eventually(parked, "1 is parked")
    async with open_messaging(way, database, amqp) as after:
        feed = Recorder()
        await after.feeds.start(feed, "inventory")
        await after.note(stream, 2)

        async def parked_behind() -> bool:
            return [letter.behind for letter in await after.parked()] == [False, True]

        await eventually(parked_behind, "2 is parked behind 1")
        assert not feed.seen


async def test_one_process_is_active_and_the_other_takes_over(way: Way, database: str, amqp: str) -> None:
    async with open_messaging(way, database, amqp) as one:
        first = Recorder()
        await one.feeds.start(first, "inventory")
        await one.note(uuid4(), 1)
        await eventually(lambda: first.numbers() == [1], "the first process is active")
        async with open_messaging(way, database, amqp) as two:
            second = Recorder()
            await two.feeds.start(second, "inventory")
            last = await one.note(uuid4(), 2)

            async def stored() -> bool:
                return await one.checkpoint() == last

            await eventually(stored, "the first process stays active")
            assert first.numbers() == [1, 2]
            assert two.feeds.reports()[0].state == "standby"
            await one.feeds.stop("recorder")
            await one.note(uuid4(), 3)
            await eventually(lambda: second.numbers() == [3], "the second takes over at the checkpoint")
            assert first.numbers() == [1, 2]


async def test_a_paused_feed_waits_and_goes_on(messaging: Messaging) -> None:
    feed = Recorder()
    await messaging.feeds.start(feed, "inventory")
    first = await messaging.note(uuid4(), 1)

    async def stored() -> bool:
        return await messaging.checkpoint() == first

    await eventually(stored, "it runs")
    await messaging.feeds.pause("recorder")
    assert messaging.feeds.reports()[0].state == "paused"
    await messaging.note(uuid4(), 2)
    assert feed.numbers() == [1]
    await messaging.feeds.resume("recorder")
    await eventually(lambda: feed.numbers() == [1, 2], "it goes on")
