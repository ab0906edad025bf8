"""Old versions of events are lifted when they are read, and what cannot be read says so."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from commands.ports import START, UnreadableEvent
from domain.shared import topics
from domain.shared.messages import Event
from domain.shared.stay import Stay
from domain.shared.topics import TopicError
from infra.eventstore.mapper import decode_event, encode_event
from infra.eventstore.sql import in_schema
from infra.eventstore.store import PostgresEventStore

INSERT = (
    "INSERT INTO @stored_events (originator_id, originator_version, topic, state)"
    " VALUES ($1, $2, $3, convert_to($4, 'UTF8'))"
)


class Measured(Event, topic="lifting.v3.Measured"):
    millimetres: int
    by: str


class Stayed(Event, topic="lifting.v1.Stayed"):
    stay: Stay


@topics.upcast("lifting.v1.Measured", "lifting.v2.Measured")
def _name_the_unit(state: dict[str, Any]) -> dict[str, Any]:
    return {"centimetres": state["length"]}


@topics.upcast("lifting.v2.Measured", "lifting.v3.Measured")
def _refine_the_unit(state: dict[str, Any]) -> dict[str, Any]:
    return {"millimetres": state["centimetres"] * 10, "by": "unknown"}


async def test_every_old_version_is_read_as_the_current_one(store: PostgresEventStore, pool: asyncpg.Pool) -> None:
    stream = uuid4()
    for version, (topic, state) in enumerate(
        [
            ("lifting.v1.Measured", '{"length": 3}'),
            ("lifting.v2.Measured", '{"centimetres": 4}'),
            ("lifting.v3.Measured", '{"millimetres": 55, "by": "me"}'),
        ],
        start=1,
    ):
        await pool.execute(in_schema(INSERT, store.context), stream, version, topic, state)

    expected = [Measured(millimetres=30, by="unknown"), Measured(millimetres=40, by="unknown")]
    expected.append(Measured(millimetres=55, by="me"))
    assert [one.event for one in await store.read_stream(stream)] == expected
    assert [one.event for one in (await store.read_log(START, 10)).events] == expected


async def test_who_takes_an_event_takes_its_old_versions_too(store: PostgresEventStore, pool: asyncpg.Pool) -> None:
    takes = frozenset({Measured.topic})
    for topic, state in (("lifting.v1.Measured", '{"length": 3}'), ("lifting.v2.Measured", '{"centimetres": 4}')):
        await pool.execute(in_schema(INSERT, store.context), uuid4(), 1, topic, state)

    for _ in range(2):  # from the table, and from what is remembered of its end
        run = await store.read_log(START, 10, topics=takes)
        assert [one.event for one in run.events] == [
            Measured(millimetres=30, by="unknown"),
            Measured(millimetres=40, by="unknown"),
        ]
        assert (await store.read_log(run.position, 10, topics=takes)).events == ()
    assert await store.count(START, takes) == 2


@pytest.mark.parametrize(
    ("topic", "state", "complaint"),
    [
        ("lifting.v1.Unheard", "{}", "lifting.v1.Unheard"),
        ("lifting.v3.Measured", '{"millimetres": "many", "by": "me"}', "millimetres"),
        ("lifting.v3.Measured", '{"millimetres": 1, "by": "me", "colour": "red"}', "colour"),
        ("lifting.v3.Measured", "no json", "JSON"),
        ("lifting.v1.Measured", '{"width": 3}', "KeyError: 'length'"),
        ("lifting.v1.Stayed", '{"stay": {"check_in": "2026-07-01", "check_out": "2026-07-01"}}', "1 to 90 nights"),
    ],
)
async def test_what_cannot_be_read_is_named(
    store: PostgresEventStore, pool: asyncpg.Pool, topic: str, state: str, complaint: str
) -> None:
    stream = uuid4()
    await pool.execute(in_schema(INSERT, store.context), stream, 1, topic, state)

    with pytest.raises(UnreadableEvent, match=str(stream)) as unreadable:
        await store.read_stream(stream)
    assert complaint in str(unreadable.value)


def test_messages_use_the_same_form() -> None:
    event = Measured(millimetres=1, by="me")
    assert encode_event(event) == b'{"millimetres":1,"by":"me"}'
    assert decode_event(Measured.topic, encode_event(event)) == event
    assert decode_event("lifting.v1.Measured", b'{"length":7}') == Measured(millimetres=70, by="unknown")


async def test_a_store_does_not_open_on_an_inconsistent_registry(
    pool: asyncpg.Pool, context: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(topics.type_of_topic, "lifting.v1.Measured", Measured)
    with pytest.raises(TopicError, match="both a class and an upcaster"):
        await PostgresEventStore(pool, context).open()
