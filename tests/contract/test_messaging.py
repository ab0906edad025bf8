"""The contract of messaging, kept straight from the log and over RabbitMQ alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from commands.ports import START, Answer, CommandEnvelope, ConcurrencyConflict, Position, RecordedEvent, Temporary
from domain.inventory.events import HoldWithdrawn
from domain.saga.events import SagaCommandIssued
from domain.shared.errors import NotFound
from domain.shared.topics import type_of_topic
from tests.contract.messaging import (
    Inbox,
    Messaging,
    Recorder,
    Way,
    boring,
    eventually,
    fresh_database,
    label_of,
    number_of,
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


def has_seen(feed: Recorder, events: int) -> bool:
    return len(feed.seen) >= events


class Broken(Exception):
    """A handler's bug."""


def fails_on(*numbers: int) -> Any:
    def fail(recorded: RecordedEvent) -> None:
        if number_of(recorded) in numbers:
            raise Broken(f"cannot take {number_of(recorded)}")

    return fail


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


async def test_a_failing_event_and_its_followers_are_parked_and_all_else_moves(messaging: Messaging) -> None:
    feed = Recorder(fails=fails_on(2))
    bad, good = uuid4(), uuid4()
    await messaging.note(bad, 1, 2, 3)
    await messaging.note(good, 10, 11)
    await messaging.feeds.start(feed, "inventory")
    await eventually(lambda: feed.numbers(good) == [10, 11], "the other stream moves")
    last = await messaging.note(bad, 4)
    await messaging.note(good, 12)
    await eventually(lambda: feed.numbers(good) == [10, 11, 12], "the other stream goes on")

    async def all_parked() -> bool:
        return len(await messaging.parked()) == 3

    await eventually(all_parked, "event 2 and its followers are parked")
    culprit, *followers = await messaging.parked()
    assert feed.numbers(bad) == [1]
    assert culprit.error == "Broken: cannot take 2"
    assert "in fail\n" in culprit.traceback
    assert (culprit.attempts, culprit.behind) == (4, False)
    assert [letter.behind for letter in followers] == [True, True]
    assert [letter.message["data"]["reason"] for letter in (culprit, *followers)] == ["2", "3", "4"]
    assert followers[-1].position == last


async def test_a_failure_that_passes_is_retried_and_nothing_is_parked(messaging: Messaging) -> None:
    failures = iter([Broken("once"), Broken("twice")])

    def passing(recorded: RecordedEvent) -> None:
        error = next(failures, None)
        if number_of(recorded) == 1 and error is not None:
            raise error

    feed = Recorder(fails=passing)
    stream = uuid4()
    await messaging.feeds.start(feed, "inventory")
    await messaging.note(stream, 1, 2)
    await eventually(lambda: feed.numbers() == [1, 2], "both are handled")
    assert not await messaging.parked()


async def test_many_events_that_fail_alike_do_not_cost_their_waits_each(messaging: Messaging) -> None:
    feed = Recorder(fails=fails_on(*range(100)))
    for number in range(100):
        await messaging.note(uuid4(), number)
    good = uuid4()
    await messaging.note(good, 1000)
    await messaging.feeds.start(feed, "inventory")
    await eventually(lambda: feed.numbers(good) == [1000], "the good one is reached")
    letters = await messaging.parked()
    assert len(letters) == 100
    assert sorted(letter.attempts for letter in letters) == [1] * 99 + [4]


@pytest.mark.parametrize("commits_checkpoint", [False, True])
async def test_retrying_a_letter_hands_the_stream_over_in_order(messaging: Messaging, commits_checkpoint: bool) -> None:
    feed = Recorder(fails=fails_on(2), commits_checkpoint=commits_checkpoint, store=messaging.logs["inventory"])
    stream = uuid4()
    await messaging.feeds.start(feed, "inventory")
    await messaging.note(stream, 1, 2, 3)

    async def parked() -> bool:
        return len(await messaging.parked()) == 2

    await eventually(parked, "2 and 3 are parked")
    follower = (await messaging.parked())[1]
    refused = await messaging.feeds.retry(follower)
    assert (refused.handled, refused.error) == (0, "Broken: cannot take 2")
    assert [letter.attempts for letter in await messaging.parked()] == [5, 0]

    feed.fails = lambda _: None
    retried = await messaging.feeds.retry(follower)
    assert (retried.handled, retried.error) == (2, None)
    assert not await messaging.parked()
    await messaging.note(stream, 4)
    await eventually(lambda: feed.numbers() == [1, 2, 3, 4], "the stream is in order and goes on")


async def test_a_letter_that_this_code_cannot_read_waits_for_code_that_can(
    messaging: Messaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Recorder(fails=fails_on(1))
    stream = uuid4()
    await messaging.feeds.start(feed, "inventory")
    await messaging.note(stream, 1, 2)

    async def parked() -> bool:
        return len(await messaging.parked()) == 2

    await eventually(parked, "1 and 2 are parked")
    before = await messaging.parked()
    feed.fails = lambda _: None
    with monkeypatch.context() as older_code:
        older_code.delitem(type_of_topic, HoldWithdrawn.topic)
        refused = await messaging.feeds.retry(before[0])
    assert refused.handled == 0
    assert refused.error is not None
    assert refused.error.startswith("TopicError")
    after = await messaging.parked()
    assert [letter.message for letter in after] == [letter.message for letter in before]
    assert (after[0].error, [letter.attempts for letter in after]) == (refused.error, [5, 0])

    assert (await messaging.feeds.retry(before[0])).handled == 2
    assert feed.numbers() == [1, 2]


async def test_a_retry_does_not_wait_for_ever_behind_a_feed_whose_store_is_away(
    messaging: Messaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.messaging.feed_runner.RETRY_PATIENCE_SECONDS", 0.2)
    feed = Recorder(fails=fails_on(1))
    await messaging.feeds.start(feed, "inventory")
    await messaging.note(uuid4(), 1)

    async def parked() -> bool:
        return len(await messaging.parked()) == 1

    await eventually(parked, "1 is parked")
    [letter] = await messaging.parked()
    asked = 0

    def away(_: RecordedEvent) -> None:
        nonlocal asked
        asked += 1
        raise Temporary("the store is away")

    feed.fails = away
    await messaging.note(uuid4(), 2)
    await eventually(lambda: asked > 0, "the feed waits for its store")
    with pytest.raises(NotFound, match="busy"):
        await messaging.feeds.retry(letter)
    feed.fails = lambda _: None
    await eventually(lambda: feed.numbers() == [2], "the feed gets on")
    assert (await messaging.feeds.retry(letter)).handled == 1


async def test_a_discarded_letter_lets_the_stream_go_on(messaging: Messaging) -> None:
    feed = Recorder(fails=fails_on(1))
    stream = uuid4()
    await messaging.feeds.start(feed, "inventory")
    await messaging.note(stream, 1)

    async def parked() -> bool:
        return len(await messaging.parked()) == 1

    await eventually(parked, "1 is parked")
    await messaging.letters["inventory"].remove((await messaging.parked())[0].letter_id)
    await messaging.note(stream, 2)
    await eventually(lambda: feed.numbers() == [2], "2 is not parked behind nothing")


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


async def test_a_command_is_carried_out_once_despite_duplicates(messaging: Messaging) -> None:
    inbox = Inbox()
    await messaging.serve_commands(inbox)
    command_id = await messaging.issue("release", copies=3)
    await messaging.issue("another")
    await eventually(lambda: len(inbox.attempts) >= 4, "all copies arrive")
    assert sorted(inbox.executed) == ["another", "release"]
    assert inbox.metadata[command_id].actor == "saga:booking"
    assert inbox.metadata[command_id].causation_id is not None


async def test_a_failing_command_is_retried_then_parked_and_holds_up_no_other(messaging: Messaging) -> None:
    def fail(label: str) -> None:
        if label == "bad":
            raise Broken("bad command")

    inbox = Inbox(fail)
    delivery = await messaging.serve_commands(inbox)
    await messaging.issue("bad")
    await messaging.issue("good")
    await eventually(lambda: inbox.executed == ["good"], "the good one is carried out")
    assert inbox.attempts.count("bad") == 1

    async def parked() -> bool:
        return len(await messaging.parked("commands:inventory")) == 1

    await eventually(parked, "the bad one is parked after its retries")
    [letter] = await messaging.parked("commands:inventory")
    assert inbox.attempts.count("bad") == letter.attempts == 3
    assert letter.error == "Broken: bad command"
    assert letter.topic == "inventory.ReleaseHold"

    with pytest.raises(Broken):
        await delivery.retry(letter)
    inbox._fails = lambda _: None  # noqa: SLF001 - the handler is mended
    await delivery.retry(letter)
    assert inbox.executed == ["good", "bad"]
    assert not await messaging.parked("commands:inventory")


async def test_a_temporary_failure_of_a_command_uses_up_no_attempt(messaging: Messaging) -> None:
    failures = iter(range(5))

    def fail(_: str) -> None:
        if next(failures, None) is not None:
            raise Temporary("the provider is away")

    inbox = Inbox(fail)
    await messaging.serve_commands(inbox)
    await messaging.issue("patient")
    await eventually(lambda: inbox.executed == ["patient"], "it is carried out in the end")
    assert len(inbox.attempts) == 6
    assert not await messaging.parked("commands:inventory")


async def test_a_command_of_an_unknown_name_is_parked(messaging: Messaging) -> None:
    inbox = Inbox()
    await messaging.serve_commands(inbox)
    issued = SagaCommandIssued(
        saga_id=uuid4(), saga="booking", command_id=uuid4(), command="inventory.DoMagic", content={}
    )
    await messaging.append(uuid4(), issued, context="bookings")

    async def parked() -> bool:
        return len(await messaging.parked("commands:inventory")) == 1

    await eventually(parked, "it is parked")
    [letter] = await messaging.parked("commands:inventory")
    assert "inventory.DoMagic" in letter.error


async def test_commands_issued_while_the_service_is_away_wait_for_it(way: Way, database: str, amqp: str) -> None:
    async with open_messaging(way, database, amqp) as before:
        await before.issue("early")
    async with open_messaging(way, database, amqp) as after:
        inbox = Inbox()
        await after.serve_commands(inbox)
        await eventually(lambda: inbox.executed == ["early"], "it is carried out")


async def test_a_slow_command_holds_up_no_other(messaging: Messaging) -> None:
    gate = asyncio.Event()
    inbox = Inbox()

    async def dispatch(envelope: CommandEnvelope) -> Answer:
        if label_of(envelope) == "slow":
            await gate.wait()
        return await inbox(envelope)

    await messaging.serve_commands(dispatch)
    await messaging.issue("slow")
    await messaging.issue("first")
    await eventually(lambda: inbox.executed == ["first"], "the first is done")
    await messaging.issue("second")
    await eventually(lambda: inbox.executed == ["first", "second"], "the second does not wait for the slow one")
    gate.set()
    await eventually(lambda: inbox.executed == ["first", "second", "slow"], "the slow one is done")
