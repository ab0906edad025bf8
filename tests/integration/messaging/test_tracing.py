"""Feeds and timers on a real store: what they do belongs to the trace, and the log lines, of what led to it."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any
from uuid import uuid4

import pytest
import structlog
from structlog.testing import capture_logs

from commands.ports import CommandEnvelope, Commit, Metadata, RecordedEvent, SetTimer, StreamAppend
from commands.tracing import trace_id_of
from infra.clock import new_id
from infra.eventstore.timers import PostgresTimers
from infra.messaging.counting import traced
from infra.messaging.feeds import Feeds
from infra.messaging.log_tail import LogSources
from infra.messaging.timer_loop import TimerLoop
from tests.contract.messaging import (
    FEED_RETRIES,
    Inbox,
    Messaging,
    Recorder,
    ServerRoles,
    eventually,
    fresh_database,
    noted,
    open_messaging,
)
from tests.integration.messaging.test_rpc import request
from tests.unit.observability.spans import PARENT, KeptSpans, about, failed, name_of, parent_of

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
async def messaging(postgres_url: str) -> AsyncIterator[Messaging]:
    async with fresh_database(postgres_url) as url, open_messaging("log", url, "") as opened:
        yield opened


@pytest.fixture
def kept() -> KeptSpans:
    return KeptSpans()


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as captured:
        yield captured


@pytest.fixture
async def feeds(messaging: Messaging, kept: KeptSpans) -> AsyncIterator[Feeds]:
    made = Feeds(
        messaging.logs,
        messaging.letters,
        {context: ServerRoles(messaging.pool, context) for context in messaging.logs},
        LogSources(messaging.logs),
        messaging.clock,
        new_id,
        messaging.stats,
        FEED_RETRIES,
        tracing=kept.tracing,
    )
    yield made
    await made.close()


def asked_for(messaging: Messaging) -> Metadata:
    """Metadata of what a request has asked for."""
    return Metadata(correlation_id=uuid4(), at=messaging.clock.now(), traceparent=PARENT)


async def append(messaging: Messaging, metadata: Metadata) -> None:
    append = StreamAppend(uuid4(), 0, (noted(1),))
    await messaging.logs["inventory"].commit(Commit(metadata, appends=(append,)))


async def test_what_a_feed_does_is_a_span_under_its_event(messaging: Messaging, feeds: Feeds, kept: KeptSpans) -> None:
    recorder = Recorder()
    await feeds.start(recorder, "inventory")
    metadata = asked_for(messaging)
    await append(messaging, metadata)
    await eventually(lambda: bool(kept.ended), "the feed has taken the event")
    span = kept.only()
    assert (span.name, span.kind.name, parent_of(span)) == ("feed recorder", "CONSUMER", PARENT)
    assert about(span) == {
        "nightledger.feed": "recorder",
        "nightledger.context": "inventory",
        "nightledger.correlation_id": str(metadata.correlation_id),
        "nightledger.events": 1,
        "nightledger.event_types": ("inventory.v1.HoldWithdrawn",),
    }
    assert recorder.seen[0].metadata.traceparent == name_of(span)


async def test_what_is_parked_keeps_its_own_trace(
    messaging: Messaging, feeds: Feeds, kept: KeptSpans, lines: Lines
) -> None:
    def fails(_: RecordedEvent) -> None:
        structlog.get_logger("deep").warning("deep inside")
        raise ValueError("cannot take it")

    await feeds.start(Recorder(fails=fails), "inventory")
    metadata = asked_for(messaging)
    await append(messaging, metadata)
    await eventually(lambda: any(line["event"] == "event_parked" for line in lines), "it is parked")
    assert all(failed(span) and parent_of(span) == PARENT for span in kept.ended)
    assert len(kept.ended) == len(FEED_RETRIES.delays) + 1
    (letter,) = await messaging.parked()
    assert letter.message["traceparent"] == PARENT
    told = [line for line in lines if line["event"] in {"deep inside", "event_parked"}]
    assert len(told) == len(kept.ended) + 1
    expected = (str(metadata.correlation_id), trace_id_of(PARENT))
    assert {(line["correlation_id"], line["trace_id"]) for line in told} == {expected}


async def test_a_timer_is_a_span_that_its_command_belongs_to(
    messaging: Messaging, kept: KeptSpans, lines: Lines
) -> None:
    def fails(_: str) -> None:
        structlog.get_logger("deep").warning("deep inside")

    inbox = Inbox(fails)
    timers, letters = PostgresTimers(messaging.pool, "inventory"), messaging.letters["inventory"]
    dispatch = traced(inbox, kept.tracing)
    loop = TimerLoop(
        "inventory", timers, dispatch, letters, messaging.clock, messaging.stats, look_every=0.05, tracing=kept.tracing
    )
    await loop.start()
    messaging.stack.push_async_callback(loop.stop)
    asked = request("now")
    envelope = CommandEnvelope(asked.command_id, asked.command, asked_for(messaging))
    due_at = messaging.clock.now() - dt.timedelta(seconds=5)
    await messaging.logs["inventory"].commit(Commit(envelope.metadata, timers=(SetTimer(uuid4(), due_at, envelope),)))
    await eventually(lambda: len(kept.ended) == 2, "the timer is delivered")
    timer, handled = kept.named("timer inventory.ReleaseHold"), kept.named("inventory.ReleaseHold")
    assert parent_of(timer) == PARENT
    assert parent_of(handled) == name_of(timer)
    assert about(timer)["nightledger.timer.due_at"] == due_at.isoformat()
    late = about(timer)["nightledger.timer.late_seconds"]
    assert isinstance(late, float)
    assert late >= 5
    assert inbox.metadata[asked.command_id].traceparent == name_of(handled)
    (deep,) = (line for line in lines if line["event"] == "deep inside")
    assert deep["correlation_id"] == str(envelope.metadata.correlation_id)
