"""What becomes of events that a feed cannot take, straight from the log and over RabbitMQ alike."""

from __future__ import annotations

from uuid import uuid4

import pytest

from commands.ports import RecordedEvent, Temporary
from domain.inventory.events import HoldWithdrawn
from domain.shared.errors import NotFound
from domain.shared.topics import type_of_topic
from tests.contract.messaging import (
    Broken,
    Messaging,
    Recorder,
    eventually,
    fails_on,
    number_of,
)


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
