"""Spans by OpenTelemetry, and the tracing that makes none."""

from __future__ import annotations

from uuid import uuid4

import pytest

from commands.ports import DuplicateMessage, replace_metadata
from commands.tracing import UNTRACED, Tracing, is_sampled, span_of_command, trace_id_of, valid_traceparent
from domain.inventory.commands import ReleaseHold
from domain.shared.errors import NotFound
from infra.bootstrap.observing import running_tracing, service_name
from infra.settings import SERVICES, Settings
from tests.fakes import envelope_of
from tests.unit.observability.spans import PARENT, TRACE, UNSAMPLED, KeptSpans, about, failed, name_of, parent_of


def release() -> ReleaseHold:
    return ReleaseHold(hotel_id=uuid4(), room_type_id=uuid4(), hold_id=uuid4(), booking_id=uuid4(), reason="test")


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (PARENT, True),
        (UNSAMPLED, True),
        ("", False),
        (PARENT.upper(), False),
        (PARENT + "\n", False),
        (f"ff-{TRACE}-b7ad6b7169203331-01", False),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
    ],
)
def test_what_callers_send_is_looked_at_twice(text: str, valid: bool) -> None:
    assert valid_traceparent(text) == (text if valid else None)


def test_a_span_belongs_to_its_parents_trace() -> None:
    kept = KeptSpans()
    with kept.tracing.span("work", "consumer", PARENT, {"answer": 42}) as span:
        inside = span.traceparent
        assert inside is not None
        assert trace_id_of(inside) == TRACE
        assert is_sampled(inside)
        span.tell({"later": ("a", "b")})
    ended = kept.only()
    assert (ended.name, name_of(ended), parent_of(ended)) == ("work", inside, PARENT)
    assert about(ended) == {"answer": 42, "later": ("a", "b")}
    assert not failed(ended)
    resource = ended.resource.attributes
    assert (resource["service.name"], resource["service.version"]) == ("nightledger-test", "1.2.3")
    assert resource["service.instance.id"]


def test_without_a_parent_a_span_begins_a_trace() -> None:
    kept = KeptSpans()
    with kept.tracing.span("one", "server", None, {}), kept.tracing.span("another", "server", None, {}):
        pass
    assert [parent_of(span) for span in kept.ended] == [None, None]
    assert len({trace_id_of(name_of(span)) for span in kept.ended}) == 2


def test_an_exception_is_on_the_span() -> None:
    kept = KeptSpans()
    with pytest.raises(OSError, match="away"), kept.tracing.span("work", "consumer", PARENT, {}):
        raise OSError("away")
    ended = kept.only()
    assert failed(ended)
    assert ended.status.description == "OSError: away"
    assert about(ended)["error.type"] == "OSError"
    assert [event.name for event in ended.events] == ["exception"]


@pytest.mark.parametrize(
    ("answer", "attribute"),
    [
        (NotFound("no such thing"), ("nightledger.refused", "not-found")),
        (DuplicateMessage(uuid4(), None), ("nightledger.duplicate", True)),
    ],
)
def test_an_answer_is_no_failure(answer: Exception, attribute: tuple[str, object]) -> None:
    kept = KeptSpans()
    with pytest.raises(type(answer)), kept.tracing.span("work", "consumer", PARENT, {}):
        raise answer
    assert not failed(kept.only())
    assert attribute in about(kept.only()).items()


def test_the_ratio_decides_where_the_caller_has_not() -> None:
    kept = KeptSpans(ratio=0.0)
    with kept.tracing.span("begins", "server", None, {}) as span:
        assert span.traceparent is not None
        assert not is_sampled(span.traceparent)
        with kept.tracing.span("follows", "consumer", span.traceparent, {}) as following:
            assert following.traceparent is not None
            assert not is_sampled(following.traceparent)
    assert kept.ended == []
    with kept.tracing.span("asked for", "server", PARENT, {}):
        pass
    assert kept.only().name == "asked for"


def test_what_follows_from_a_command_belongs_to_its_span() -> None:
    kept = KeptSpans()
    envelope = envelope_of(release())
    asked = type(envelope)(
        envelope.command_id, envelope.command, replace_metadata(envelope.metadata, traceparent=PARENT)
    )
    with span_of_command(kept.tracing, "inventory.ReleaseHold", "consumer", asked, {"more": 1}) as spanned:
        assert spanned.metadata == replace_metadata(asked.metadata, traceparent=spanned.metadata.traceparent)
    ended = kept.only()
    assert (name_of(ended), parent_of(ended)) == (spanned.metadata.traceparent, PARENT)
    assert about(ended) == {
        "nightledger.command": "inventory.ReleaseHold",
        "nightledger.command_id": str(asked.command_id),
        "nightledger.correlation_id": str(asked.metadata.correlation_id),
        "more": 1,
    }


@pytest.mark.parametrize("historic", [False, True])
def test_what_nobody_asked_for_makes_no_trace(historic: bool) -> None:
    kept = KeptSpans()
    envelope = envelope_of(release(), historic=historic)
    with span_of_command(kept.tracing, "inventory.ReleaseHold", "consumer", envelope, {}) as spanned:
        assert spanned is envelope
    assert kept.ended == []


def test_untraced_the_caller_s_trace_is_carried_through() -> None:
    untraced: Tracing = UNTRACED
    with untraced.span("work", "server", PARENT, {}) as span:
        span.tell({"nobody": "listens"})
        span.fail("nobody listens")
        assert span.traceparent == PARENT
    with untraced.span("work", "server", None, {}) as span:
        assert span.traceparent is None


async def test_without_an_endpoint_nothing_is_traced() -> None:
    async with running_tracing(Settings(otlp_endpoint=None), SERVICES) as tracing:
        assert tracing is UNTRACED


def test_a_process_is_called_by_what_it_runs() -> None:
    assert service_name(SERVICES) == "nightledger"
    assert service_name(("gateway", "users")) == "nightledger-gateway-users"
