"""What goes over the wire, and the document that describes it."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from urllib.parse import unquote
from uuid import uuid4

import pytest

from commands.ports import START, Idempotency, LogRun, Metadata, Position, RecordedEvent, Temporary
from domain.saga.events import SagaCommandIssued
from domain.shared.topics import TopicError, type_of_topic
from infra.messaging.asyncapi import asyncapi_document
from infra.messaging.retries import CommandRetries, FeedRetries
from infra.messaging.wire import (
    CloudEvent,
    CommandMessage,
    decode_commands,
    decode_run,
    encode_commands,
    encode_events,
    split_run,
)
from tests.contract.messaging import boring, metadata, noted
from tests.integration.messaging.test_rpc import request


def recorded(number: int) -> RecordedEvent:
    return RecordedEvent(
        event_id=uuid4(),
        context="inventory",
        stream_id=uuid4(),
        version=number,
        event=noted(number) if number % 2 else boring(),
        metadata=Metadata(
            correlation_id=uuid4(),
            causation_id=uuid4(),
            actor="saga:booking",
            at=dt.datetime(2017, 7, 1, 12, 30, 0, 123456, tzinfo=dt.UTC),
            historic=True,
            traceparent="00-1-2-01",
        ),
        recorded_at=dt.datetime.now(dt.UTC),
        position=Position(7, number),
    )


def test_a_run_survives_the_wire_unchanged() -> None:
    events = [recorded(number) for number in range(1, 6)]
    run = decode_run(encode_events(events), "inventory", START, Position(7, 5), None)
    assert run.events == tuple(events)
    assert (run.context, run.prev, run.position) == ("inventory", START, Position(7, 5))


def test_only_what_is_new_and_wanted_is_decoded() -> None:
    events = [recorded(number) for number in range(1, 6)]
    body = encode_events(events).replace(b"inventory.v1.RoomTypeOpened", b"inventory.v9.Unknown")
    run = decode_run(body, "inventory", Position(7, 2), Position(7, 5), frozenset({noted(1).topic}))
    assert [each.position.notification_id for each in run.events] == [3, 5]
    with pytest.raises(TopicError):
        decode_run(body, "inventory", START, Position(7, 5), None)


@pytest.mark.parametrize(("at_most", "parts"), [(10**9, [5]), (1_000, [2, 2, 1]), (1, [1, 1, 1, 1, 1])])
def test_a_run_is_split_by_size_without_a_gap(at_most: int, parts: list[int]) -> None:
    events = tuple(
        replace(recorded(number), event=noted(number).model_copy(update={"reason": "\u00fc" * 125}))
        for number in range(1, 6)
    )
    assert 400 < len(events[0].event.model_dump_json().encode()) <= 500
    run = LogRun("inventory", Position(6, 9), Position(7, 5), events)
    split = list(split_run(run, at_most))
    assert [len(part.events) for part in split] == parts
    assert [each for part in split for each in part.events] == list(events)
    assert [part.prev for part in split] == [run.prev, *(part.position for part in split[:-1])]
    assert [part.position for part in split] == [part.events[-1].position for part in split]


def test_an_empty_run_stays_one() -> None:
    run = LogRun("inventory", Position(6, 9), Position(7, 5), ())
    assert list(split_run(run, 1)) == [run]


def test_a_command_takes_no_more_than_the_event_that_records_it() -> None:
    """Bounding what a run's events take bounds what its commands take."""
    command = request("hello" * 100).command
    issued = SagaCommandIssued(
        saga_id=uuid4(),
        saga="booking",
        command_id=uuid4(),
        command=command.name,
        content=command.model_dump(mode="json"),
    )
    event = replace(recorded(1), event=issued)
    message = CommandMessage.issued(event)
    assert message is not None
    assert len(encode_commands([message])) < len(encode_events([event]))


def test_a_message_is_a_batch_of_valid_cloud_events() -> None:
    [event] = json.loads(encode_events([recorded(1)]))
    assert event["specversion"] == "1.0"
    assert event["type"] == "inventory.v1.HoldWithdrawn"
    assert event["source"] == "/nightledger/inventory"
    assert all(name.isalnum() and name.islower() for name in event), "attribute names as CloudEvents wants them"
    assert CloudEvent.model_validate(event).recorded().event == noted(1)


def test_a_command_survives_the_wire_unchanged() -> None:
    envelope = request("hello")
    keyed = CommandMessage.of(envelope).model_copy(
        update={"idempotency": Idempotency(scope="a", key="b", fingerprint="c")}
    )
    plain, with_key = decode_commands(encode_commands([CommandMessage.of(envelope), keyed]))
    assert plain.envelope() == envelope
    assert with_key.envelope().idempotency == keyed.idempotency
    assert plain.service == "inventory"


def test_an_issued_command_names_its_cause() -> None:
    issued = SagaCommandIssued(
        saga_id=uuid4(), saga="booking", command_id=uuid4(), command="payments.DoThat", content={}
    )
    event = RecordedEvent(uuid4(), "bookings", uuid4(), 1, issued, metadata(), dt.datetime.now(dt.UTC), START)
    message = CommandMessage.issued(event)
    assert message is not None
    assert message.service == "payments"
    assert (message.metadata.causation_id, message.metadata.actor) == (event.event_id, "saga:booking")
    assert CommandMessage.issued(recorded(1)) is None
    with pytest.raises(TopicError, match=r"payments\.DoThat"):
        message.envelope()


def test_the_schedule_of_retries() -> None:
    retries = CommandRetries()
    steps = [retries.after(attempt, ValueError()) for attempt in range(1, 6)]
    assert steps == [(1.0, 2), (5.0, 3), (30.0, 4), (120.0, 5), None]
    assert retries.after(5, Temporary()) == (5.0, 5)
    assert retries.all_delays == (1.0, 5.0, 30.0, 120.0)
    assert [FeedRetries().wait(attempt) for attempt in (1, 2, 3, 50)] == [0.2, 0.4, 0.8, 10.0]


def test_the_asyncapi_document_needs_no_broker() -> None:
    document = asyncapi_document(
        contexts=["inventory", "bookings"],
        command_services=["inventory"],
        feeds={"sagas": ["bookings", "inventory"]},
        version="1.2.3",
    )
    assert document["asyncapi"].startswith("3.")
    assert document["info"]["version"] == "1.2.3"
    assert {"CloudEvent", "CommandMessage", "Reply"} <= set(document["components"]["schemas"])
    queues = {channel["bindings"]["amqp"].get("queue", {}).get("name") for channel in document["channels"].values()}
    assert {"feed.sagas.inventory", "feed.sagas.bookings", "commands.inventory", "rpc.inventory"} <= queues
    schemas = document["components"]["schemas"]
    held = schemas["inventory.v1.RoomsHeld"]
    assert held["properties"] == {
        "type": {"const": "inventory.v1.RoomsHeld"},
        "data": {"$ref": "#/components/schemas/RoomsHeld"},
    }
    assert schemas["RoomsHeld"]["properties"]["stay"] == {"$ref": "#/components/schemas/Stay"}
    carried = schemas["events of inventory:Message:Payload"]["items"]["oneOf"]
    assert {each["$ref"].rpartition("/")[2] for each in carried} == {
        topic for topic in type_of_topic if topic.startswith("inventory.")
    }
    assert {"$ref": "#/components/schemas/inventory.HoldRooms"} in (
        schemas["commands for inventory:Message:Payload"]["items"]["oneOf"]
    )
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert {unquote(name) for name in references} <= schemas.keys(), "every reference leads somewhere"
