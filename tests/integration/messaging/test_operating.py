"""What operators order takes effect where the feeds run, and survives: on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from commands.dead_letters import LEFT_BEHIND, Selection, failure_of, summed
from commands.operating import FeedControl, OperatorAction
from commands.ports import RecordedEvent
from infra.clock import SystemClock, new_id
from infra.eventstore.builds import PostgresBuilds
from infra.eventstore.letter_desk import PostgresLetterDesk
from infra.eventstore.operating import PostgresActionLog, PostgresFeedControls
from infra.messaging.feeds import Feeds
from infra.messaging.letter_retries import LetterRetries
from infra.messaging.log_tail import LogSources
from infra.operating.feed_board import FeedBoard, Followed
from infra.operating.monitor import Monitor
from tests.contract.messaging import (
    FEED_RETRIES,
    Inbox,
    Messaging,
    Recorder,
    ServerRoles,
    eventually,
    fresh_database,
    number_of,
    open_messaging,
)

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
async def messaging(postgres_url: str) -> AsyncIterator[Messaging]:
    async with fresh_database(postgres_url) as url, open_messaging("log", url, "") as opened:
        yield opened


@dataclass
class Operating:
    """A process whose feeds obey operators, and what operators use."""

    messaging: Messaging
    feeds: Feeds
    desk: PostgresLetterDesk
    controls: PostgresFeedControls
    broken: set[int] = field(default_factory=set)
    error: type[Exception] = ZeroDivisionError

    def recorder(self, name: str = "recorder") -> Recorder:
        """A feed that fails on the numbers in ``broken``."""

        def fails(recorded: RecordedEvent) -> None:
            if number_of(recorded) in self.broken:
                raise self.error

        return Recorder(name, fails=fails)

    async def order(self, subject: str, *, paused: bool) -> None:
        """What an operator orders."""
        await self.controls.order(FeedControl(subject, paused, "user:1", "a test", NOW))

    async def retry(self, retries: LetterRetries, selection: Selection) -> dict[str, int]:
        """Order a retry, let it be carried out, and say what came of it."""
        action = uuid4()
        letters = await self.desk.of_streams(await self.desk.select(selection, 100))
        assert await self.desk.order_retries(action, [letter.letter_id for letter in letters]) == len(letters)
        await retries.work("inventory")
        return {name: count for name, count in summed(await self.desk.retries(action)).items() if count}


async def at_once(_: float) -> None:
    """A wait that is long enough to let others work."""
    await asyncio.sleep(0.02)


@asynccontextmanager
async def process(messaging: Messaging) -> AsyncIterator[Operating]:
    """One process; several may be opened on one database."""
    controls = {context: PostgresFeedControls(messaging.pool, context) for context in messaging.logs}
    feeds = Feeds(
        messaging.logs,
        messaging.letters,
        {context: ServerRoles(messaging.pool, context) for context in messaging.logs},
        LogSources(messaging.logs),
        messaging.clock,
        new_id,
        messaging.stats,
        FEED_RETRIES,
        controls,
    )
    watching = asyncio.create_task(feeds.watch(at_once))
    try:
        desk = PostgresLetterDesk(messaging.pool, "inventory")
        yield Operating(messaging, feeds, desk, controls["inventory"])
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await feeds.close()


@pytest.fixture
async def operating(messaging: Messaging) -> AsyncIterator[Operating]:
    async with process(messaging) as opened:
        yield opened


def told(operating: Operating, feed: str, state: str) -> Callable[[], Awaitable[bool]]:
    """Whether everybody can know that the feed stands so."""

    async def check() -> bool:
        return any((each.feed, each.state) == (feed, state) for each in await operating.controls.states())

    return check


async def test_a_pause_holds_over_restarts_until_it_is_ended(messaging: Messaging) -> None:
    stream = uuid4()
    async with process(messaging) as operating:
        recorder = operating.recorder("pages_7")
        await operating.feeds.start(recorder, "inventory")
        await messaging.note(stream, 1)
        await eventually(lambda: recorder.numbers() == [1], "it is fed")
        await eventually(told(operating, "pages_7", "running"), "everybody knows that it runs")
        await operating.order("pages", paused=True)
        await eventually(told(operating, "pages_7", "paused"), "everybody knows that it is paused")
        await messaging.note(stream, 2)
    async with process(messaging) as restarted:
        recorder = restarted.recorder("pages_8")
        other = restarted.recorder("other")
        await restarted.feeds.start(recorder, "inventory")
        await restarted.feeds.start(other, "inventory")
        await eventually(lambda: other.numbers() == [1, 2], "others are fed")
        await eventually(told(restarted, "pages_8", "paused"), "the next build of the read model is paused too")
        assert recorder.numbers() == []
        await restarted.order("pages", paused=False)
        await eventually(lambda: recorder.numbers() == [1, 2], "it goes on where it was")


async def test_a_stand_by_takes_no_paused_feed_over(messaging: Messaging) -> None:
    async with process(messaging) as one, process(messaging) as other:
        recorders = [each.recorder() for each in (one, other)]
        for each, recorder in zip((one, other), recorders, strict=True):
            await each.feeds.start(recorder, "inventory")
        await one.order("recorder", paused=True)
        await eventually(lambda: {each.feeds.reports()[0].state for each in (one, other)} == {"paused"}, "both pause")
        await messaging.note(uuid4(), 1)
        await one.order("recorder", paused=False)
        await eventually(lambda: sorted(recorders[0].numbers() + recorders[1].numbers()) == [1], "one of them goes on")


async def test_streams_are_retried_whole_and_in_order(operating: Operating) -> None:
    messaging, recorder = operating.messaging, operating.recorder()
    retries = LetterRetries({"inventory": operating.desk}, operating.feeds, {})
    first, second = uuid4(), uuid4()
    operating.broken = {1, 2}
    await operating.feeds.start(recorder, "inventory")
    await messaging.note(first, 1, 11, 12)
    await messaging.note(second, 2, 21)

    async def all_parked() -> bool:
        return len(await messaging.parked()) == 5

    await eventually(all_parked, "five are parked")
    [group] = await operating.desk.groups()
    assert (group.failure.kind, group.count, group.behind) == ("ZeroDivisionError", 2, 3)
    assert group.failure.frame == ""
    assert await operating.desk.counts() == {"recorder": 5}

    operating.broken = {1}
    by_group = Selection(group=group.group)
    assert await operating.retry(retries, by_group) == {"handled": 2, "failed_again": 1, "waiting": 2}
    assert recorder.numbers(second) == [2, 21]
    operating.error = KeyError
    assert await operating.retry(retries, by_group) == {"failed_anew": 1, "waiting": 2}
    operating.broken = {11}
    assert await operating.retry(retries, Selection(kind="KeyError")) == {
        "handled": 1,
        "failed_anew": 1,
        "waiting": 1,
    }
    operating.broken = set()
    assert await operating.retry(retries, Selection(stream_id=first)) == {"handled": 2}
    assert recorder.numbers(first) == [1, 11, 12]
    await messaging.note(first, 13)
    await eventually(lambda: recorder.numbers(first) == [1, 11, 12, 13], "the stream is free")


async def test_what_waited_behind_a_discarded_letter_is_found_and_retried(operating: Operating) -> None:
    messaging, recorder = operating.messaging, operating.recorder()
    retries = LetterRetries({"inventory": operating.desk}, operating.feeds, {})
    operating.broken = {1}
    await operating.feeds.start(recorder, "inventory")
    await messaging.note(uuid4(), 1, 11)

    async def both_parked() -> bool:
        return len(await messaging.parked()) == 2

    await eventually(both_parked, "both are parked")
    [failed, behind] = await messaging.parked()
    assert await operating.desk.discard([failed.letter_id]) == 1
    [group] = await operating.desk.groups()
    assert (group.group, group.count, group.behind) == (LEFT_BEHIND, 0, 1)
    [left] = await operating.desk.select(Selection(group=LEFT_BEHIND), 10)
    assert left.letter_id == behind.letter_id
    assert await operating.retry(retries, Selection(group=LEFT_BEHIND)) == {"handled": 1}
    assert recorder.numbers() == [11]


async def test_an_order_waits_for_the_process_in_which_the_feed_is_active(operating: Operating) -> None:
    messaging = operating.messaging
    operating.broken = {1}
    await operating.feeds.start(operating.recorder(), "inventory")
    await messaging.note(uuid4(), 1)

    async def parked() -> bool:
        return len(await messaging.parked()) == 1

    await eventually(parked, "it is parked")
    async with process(messaging) as elsewhere:
        operating.broken = set()
        assert await elsewhere.retry(
            LetterRetries({"inventory": elsewhere.desk}, elsewhere.feeds, {}), Selection()
        ) == {"pending": 1}
    assert await LetterRetries({"inventory": operating.desk}, operating.feeds, {}).work("inventory") == 1
    assert await messaging.parked() == []


async def test_commands_are_retried_one_by_one(operating: Operating) -> None:
    messaging = operating.messaging
    broken = {"bad", "worse"}

    def fail(label: str) -> None:
        if label in broken:
            raise ZeroDivisionError(label)

    inbox = Inbox(fail)
    delivery = await messaging.serve_commands(inbox)
    for label in ("bad", "worse"):
        await messaging.issue(label)

    async def parked() -> bool:
        return len(await messaging.parked("commands:inventory")) == 2

    await eventually(parked, "both are parked")
    broken.discard("bad")
    retries = LetterRetries({"inventory": operating.desk}, operating.feeds, {"inventory": delivery})
    assert await operating.retry(retries, Selection(consumer="commands:inventory")) == {
        "handled": 1,
        "failed_again": 1,
    }
    assert inbox.executed == ["bad"]


async def test_a_letter_never_waits_behind_itself(operating: Operating) -> None:
    """After a crash between parking and checkpoint the culprit comes again, while its stream is known as parked."""
    messaging = operating.messaging
    operating.broken = {1}
    await operating.feeds.start(operating.recorder(), "inventory")
    await messaging.note(uuid4(), 1)

    async def parked() -> bool:
        return len(await messaging.parked()) == 1

    await eventually(parked, "it is parked")
    await operating.feeds.stop("recorder")
    await messaging.pool.execute("DELETE FROM inventory.checkpoints")
    await operating.feeds.start(operating.recorder(), "inventory")

    async def passed() -> bool:
        return (await messaging.checkpoint()) == await messaging.logs["inventory"].head()

    await eventually(passed, "it has come again")
    [letter] = await messaging.parked()
    assert not letter.behind
    assert failure_of(letter).kind == "ZeroDivisionError"
    assert letter.attempts > 0


async def test_the_record_of_actions(messaging: Messaging) -> None:
    log = PostgresActionLog(messaging.pool, "inventory")
    actions = [
        OperatorAction(uuid4(), NOW + dt.timedelta(seconds=number), "user:1", "sagas.retry", str(number), "because")
        for number in range(3)
    ]
    for action in actions:
        await log.begin(action)
    await log.end(actions[1].action_id, {"status": "running"})
    found = await log.newest(2)
    assert [action.target for action in found] == ["2", "1"]
    assert (found[0].outcome, found[1].outcome) == (None, {"status": "running"})
    assert await log.newest(2, before=found[1].at) == actions[:1]


def board_of(operating: Operating, feed: str, left: int | None = None) -> FeedBoard:
    followed = Followed(feed, "inventory", ("inventory",), Recorder().topics, left)
    return FeedBoard(
        logs=operating.messaging.logs,
        builds={},
        controls={"inventory": operating.controls},
        desks={"inventory": operating.desk},
        projections=(),
        feeds=[followed],
        relays=(),
        clock=SystemClock(),
    )


async def test_what_is_on_record_is_not_counted(operating: Operating) -> None:
    await operating.messaging.note(uuid4(), 1, 2, 3)
    assert [status.lag_events for status in await board_of(operating, "pages_1").others()] == [3]
    [status] = await board_of(operating, "pages_1", left=12).others()
    assert (status.lag_events, list(status.positions)) == (12, ["inventory"])


async def test_the_board_tells_what_is_wrong_with_a_feed(operating: Operating) -> None:
    messaging, board = operating.messaging, board_of(operating, "pages_1")
    assert [status.state for status in await board.others()] == ["starting"]
    await operating.feeds.start(operating.recorder("pages_1"), "inventory")

    async def runs() -> bool:
        return [status.state for status in await board.others()] == ["running"]

    await eventually(runs, "it runs")
    await operating.order("pages", paused=True)
    await eventually(lambda: operating.feeds.reports()[0].state == "paused", "it is paused")
    await messaging.note(uuid4(), 1, 2, 3)
    [status] = await board.others()
    assert (status.state, status.lag_events) == ("paused", 3)
    assert status.lag_seconds >= 0
    assert status.last_error == "paused by user:1 at 2026-06-01 12:00:00 UTC: a test"
    await operating.order("pages", paused=False)
    await eventually(runs, "it runs again")
    await operating.feeds.close()
    await messaging.pool.execute("UPDATE inventory.feed_states SET at = at - interval '1 hour'")
    board._since -= dt.timedelta(hours=1)  # noqa: SLF001 - as if it had been looking for as long
    [status] = await board.others()
    assert status.state == "down"


async def test_a_feed_that_could_not_handle_an_event_is_red_until_it_has(operating: Operating) -> None:
    messaging, board, recorder = operating.messaging, board_of(operating, "pages_1"), operating.recorder("pages_1")
    operating.broken = {1}
    await operating.feeds.start(recorder, "inventory")
    stream = uuid4()
    await messaging.note(stream, 1, 11)
    await messaging.note(uuid4(), 2)

    async def failed() -> bool:
        [status] = await board.others()
        return (status.state, status.lag_events) == ("failed", 0)

    await eventually(failed, "it is red although it goes on")
    [status] = await board.others()
    first = (await messaging.logs["inventory"].read_stream(stream))[0]
    assert status.last_error is not None
    assert f"could not handle {first.event.topic} {first.event_id} and 1 more since" in status.last_error
    assert "ZeroDivisionError: ; see nightledger dead-letters list --consumer pages_1" in status.last_error
    operating.broken = set()
    retries = LetterRetries({"inventory": operating.desk}, operating.feeds, {})
    assert await operating.retry(retries, Selection(stream_id=stream)) == {"handled": 2}

    async def green() -> bool:
        return [(status.state, status.last_error) for status in await board.others()] == [("running", None)]

    await eventually(green, "it is green again")


async def test_a_feed_stopped_by_an_unreadable_event_is_red_and_names_it(operating: Operating) -> None:
    messaging, board = operating.messaging, board_of(operating, "pages_1")
    stream = uuid4()
    await messaging.note(stream, 1, 2)
    rewrite = "UPDATE inventory.stored_events SET state = $2 WHERE originator_id = $1 AND originator_version = 1"
    state = await messaging.pool.fetchval("SELECT state FROM inventory.stored_events WHERE originator_version = 1")
    await messaging.pool.execute(rewrite, stream, b"{}")
    await operating.feeds.start(operating.recorder("pages_1"), "inventory")

    async def failed() -> bool:
        [status] = await board.others()
        return status.state == "failed"

    await eventually(failed, "it is red")
    [status] = await board.others()
    assert status.lag_events == 2
    assert status.lag_seconds > 0
    assert status.last_error is not None
    assert f"event 1 of stream {stream}" in status.last_error
    assert "input_value" not in status.last_error
    await messaging.pool.execute(rewrite, stream, state)

    async def green() -> bool:
        [status] = await board.others()
        return (status.state, status.lag_events) == ("running", 0)

    await eventually(green, "code that can read it goes on by itself")


async def test_what_a_dropped_build_could_not_handle_goes_with_it(operating: Operating) -> None:
    messaging = operating.messaging
    builds = PostgresBuilds(messaging.pool, "inventory")
    operating.broken = {1}
    for number in (1, 2):
        build = await builds.create("pages", 1, uuid4())
        assert build.name == f"pages_{number}"
        await builds.update(build.model_copy(update={"state": "live"}))
        await operating.feeds.start(operating.recorder(build.name), "inventory")
    await messaging.note(uuid4(), 1)

    async def both_parked() -> bool:
        return await operating.desk.counts() == {"pages_1": 1, "pages_2": 1}

    await eventually(both_parked, "both builds have a dead letter")
    old = (await builds.builds("pages"))[-1]
    await builds.update(old.model_copy(update={"state": "dropped"}))
    assert await operating.desk.counts() == {"pages_2": 1}


class _NoDocuments:
    """No sagas."""

    async def count(self, *_: object) -> int:
        return 0

    async def find(self, *_: object, **__: object) -> object:
        return type("Page", (), {"items": []})


async def test_a_transaction_that_holds_readers_back_is_named(operating: Operating) -> None:
    messaging = operating.messaging
    documents: object = _NoDocuments()
    monitor = Monitor(
        board=board_of(operating, "pages_1"),
        desks={"inventory": operating.desk},
        documents=documents,  # type: ignore[arg-type] # the two methods that are asked
        pools=[messaging.pool],
        clock=SystemClock(),
    )
    connection = await messaging.pool.acquire()
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("CREATE TABLE held_back (x int)")
    pid = connection.get_server_pid()

    async def seen() -> bool:
        await monitor.look()
        return [holder.pid for holder in monitor.seen.holders] == [pid]

    await eventually(seen, "it is seen")
    [holder] = monitor.seen.holders
    assert "held_back" in holder.query
    assert monitor.seen.unseen == {}
    await transaction.rollback()
    await messaging.pool.release(connection)
    await monitor.look()
    assert list(monitor.seen.holders) == []


async def test_parts_that_do_not_answer_are_named_and_the_rest_is_seen(operating: Operating) -> None:
    class Away(_NoDocuments):
        async def count(self, *_: object) -> int:
            raise ConnectionError("refused")

    documents: object = Away()
    monitor = Monitor(
        board=board_of(operating, "pages_1"),
        desks={"inventory": operating.desk},
        documents=documents,  # type: ignore[arg-type] # the two methods that are asked
        pools=[operating.messaging.pool],
        clock=SystemClock(),
    )
    await monitor.look()
    assert monitor.seen.unseen == {"sagas": "ConnectionError: refused"}
    assert [feed.name for feed in monitor.seen.feeds] == ["pages_1"]
