"""Spans and log lines of runs of events, which belong to several requests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID, uuid4

from structlog.contextvars import get_contextvars

from commands.ports import Metadata, Position, RecordedEvent
from commands.tracing import UNTRACED, trace_id_of
from domain.inventory.events import HoldWithdrawn, RoomTypeOpened
from domain.shared.messages import Event
from infra.observability.runs import LOGGED_EVENTS, TRACED_FOR, logged_for_run, spans_of_run
from tests.fakes import NOW
from tests.unit.observability.spans import PARENT, TRACE, UNSAMPLED, KeptSpans, about, failed, name_of, parent_of

OTHER = "00-11111111111111111111111111111111-2222222222222222-01"


def recorded(
    traceparent: str | None,
    event: Event | None = None,
    *,
    correlation: UUID | None = None,
    age: dt.timedelta | None = None,
) -> RecordedEvent:
    """An event that was recorded ``age`` ago."""
    at = NOW - (age or dt.timedelta())
    somebody = uuid4()
    withdrawn = HoldWithdrawn(
        hotel_id=somebody, room_type_id=somebody, hold_id=somebody, booking_id=somebody, reason="test"
    )
    metadata = Metadata(correlation_id=correlation or uuid4(), at=at, traceparent=traceparent)
    return RecordedEvent(uuid4(), "inventory", somebody, 1, event or withdrawn, metadata, at, Position(1, 1))


def work(kept: KeptSpans, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    with spans_of_run(kept.tracing, "feed x", "consumer", events, NOW, {"nightledger.feed": "x"}) as spanned:
        return spanned


def test_each_trace_of_a_run_has_one_span() -> None:
    kept = KeptSpans()
    opened = RoomTypeOpened(hotel_id=uuid4(), room_type_id=uuid4(), default_allotment=1)
    one, another, plain = recorded(PARENT), recorded(OTHER), recorded(None)
    sibling = recorded(f"00-{TRACE}-3333333333333333-01", opened)
    spanned = work(kept, [one, another, plain, sibling])
    first, second = sorted(kept.ended, key=lambda span: parent_of(span) != PARENT)
    assert [parent_of(first), parent_of(second)] == [PARENT, OTHER]
    assert [event.metadata.traceparent for event in spanned] == [
        name_of(first),
        name_of(second),
        None,
        name_of(first),
    ]
    assert [event.event_id for event in spanned] == [event.event_id for event in (one, another, plain, sibling)]
    assert about(first) == {
        "nightledger.feed": "x",
        "nightledger.correlation_id": str(one.metadata.correlation_id),
        "nightledger.events": 2,
        "nightledger.event_types": ("inventory.v1.HoldWithdrawn", "inventory.v1.RoomTypeOpened"),
    }


def test_a_run_that_fails_has_failed_for_all() -> None:
    kept = KeptSpans()
    events = [recorded(PARENT), recorded(OTHER)]
    with suppress(OSError), spans_of_run(kept.tracing, "feed x", "consumer", events, NOW, {}):
        raise OSError("away")
    assert [failed(span) for span in kept.ended] == [True, True]


def test_old_events_and_unrecorded_traces_make_no_spans() -> None:
    kept = KeptSpans()
    events = [recorded(PARENT, age=TRACED_FOR), recorded(UNSAMPLED), recorded(None)]
    assert list(work(kept, events)) == events
    assert kept.ended == []


def test_untraced_a_run_is_left_as_it_is() -> None:
    events = [recorded(PARENT)]
    with spans_of_run(UNTRACED, "feed x", "consumer", events, NOW, {}) as spanned:
        assert spanned is events


def test_a_run_of_one_request_logs_its_correlation_and_trace() -> None:
    correlation = uuid4()
    with logged_for_run([recorded(PARENT, correlation=correlation), recorded(PARENT, correlation=correlation)]):
        assert get_contextvars() == {"correlation_id": str(correlation), "trace_id": trace_id_of(PARENT)}
    assert get_contextvars() == {}


def test_a_run_of_many_requests_logs_the_first_few() -> None:
    events = [recorded(None) for _ in range(LOGGED_EVENTS + 5)]
    with logged_for_run(events):
        first = [str(event.metadata.correlation_id) for event in events[:LOGGED_EVENTS]]
        assert get_contextvars() == {"correlation_ids": first}
