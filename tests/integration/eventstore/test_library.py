"""The ``eventsourcing`` library and we read each other's streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

import infra.eventstore.mapper
from commands.ports import START
from domain.shared.messages import Event
from infra.eventstore.mapper import EventMapper, EventTranscoder, StreamEvent
from infra.eventstore.store import PostgresEventStore
from tests.integration.eventstore.counting import COUNTER, Count, Increased, append


class Stored(Application[UUID]):
    """The library's application under the name from which it makes that of the table, ``stored_events``."""

    name = "stored"


class Registered(Event, topic="dogs.v1.Registered"):
    """What the library stores for the creation of ``Dog``."""

    originator_topic: str
    timestamp: Any
    name: str


class TrickAdded(Event, topic="dogs.v1.TrickAdded"):
    """What the library stores when a trick is added."""

    timestamp: Any
    trick: str


class Dog(Aggregate):
    """An aggregate of the library's own kind, stored by its stock mapper."""

    TOPIC = "dogs.v1.Dog"

    class Event(Aggregate.Event):
        """Base of its events."""

        TOPIC = "dogs.v1.Event"

    class Created(Event, Aggregate.Created):
        """Its first event."""

        TOPIC = "dogs.v1.Registered"
        name: str

    class TrickAdded(Event):
        """It knows more."""

        TOPIC = "dogs.v1.TrickAdded"
        trick: str

    @event(Created)
    def __init__(self, name: str) -> None:
        self.name = name
        self.tricks: list[str] = []

    @event(TrickAdded)
    def add_trick(self, trick: str) -> None:
        self.tricks.append(trick)


@pytest.fixture
def library_settings(postgres_url: str, context: str) -> dict[str, str]:
    parts = urlsplit(postgres_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "-",
        "POSTGRES_SCHEMA": context,
    }


@pytest.fixture
def stock_application(library_settings: dict[str, str]) -> Iterator[Stored]:
    """As the library comes."""
    with Stored(library_settings) as application:
        yield application


@pytest.fixture
def mapped_application(library_settings: dict[str, str]) -> Iterator[Stored]:
    """With our mapper."""
    module = infra.eventstore.mapper.__name__
    ours = {
        "MAPPER_TOPIC": f"{module}:{EventMapper.__name__}",
        "TRANSCODER_TOPIC": f"{module}:{EventTranscoder.__name__}",
    }
    with Stored({**library_settings, **ours}) as application:
        yield application


async def test_the_stock_application_reads_and_continues_our_streams(
    store: PostgresEventStore, stock_application: Stored
) -> None:
    stream, at = uuid4(), "2026-06-01T12:00:00+00:00"
    registered = Registered(originator_topic="dogs.v1.Dog", timestamp=at, name="Fido")
    await store.commit(append(stream, 0, registered, TrickAdded(timestamp=at, trick="roll over")))

    dog: Dog = stock_application.repository.get(stream)
    assert (dog.name, dog.tricks, dog.version) == ("Fido", ["roll over"], 2)

    dog.add_trick("play dead")
    stock_application.save(dog)
    third = (await store.read_stream(stream))[2]
    assert isinstance(third.event, TrickAdded)
    assert third.event.trick == "play dead"


async def test_we_read_and_continue_streams_of_the_stock_application(
    store: PostgresEventStore, stock_application: Stored
) -> None:
    dog = Dog("Rex")
    dog.add_trick("sit")
    stock_application.save(dog)

    run = await store.read_log(START, 10)
    assert [type(one.event) for one in run.events] == [Registered, TrickAdded]
    assert run.events[0].metadata.correlation_id == run.events[0].event_id
    assert run.events[0].metadata.at == run.events[0].recorded_at

    await store.commit(append(dog.id, 2, TrickAdded(timestamp="2026-06-01T12:00:00+00:00", trick="stay")))
    again: Dog = stock_application.repository.get(dog.id)
    assert (again.name, again.tricks) == ("Rex", ["sit", "stay"])


async def test_with_our_mapper_the_application_has_our_events(
    store: PostgresEventStore, mapped_application: Stored
) -> None:
    stream = uuid4()
    await store.commit(append(stream, 0, Increased(by=2)))
    mapped_application.save(StreamEvent(stream, 2, Increased(by=3, note="from the library")))

    def project(state: Any, events: Any) -> Any:
        return COUNTER.fold((one.event for one in events), state)

    folded: Any = mapped_application.repository.get(stream, projector_func=project)
    assert folded == Count(total=5, notes=("from the library",))
    assert [one.event for one in await store.read_stream(stream)][1] == Increased(by=3, note="from the library")
    assert [one.topic for one in mapped_application.notification_log.select(1, 10)] == [Increased.topic] * 2


async def test_the_library_finds_its_tables_without_creating_any(
    pool: asyncpg.Pool, context: str, library_settings: dict[str, str]
) -> None:
    before = await pool.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = $1::regnamespace", f'"{context}"')
    with Stored({**library_settings, "CREATE_TABLE": "no"}) as application:
        application.save(Dog("Laika"))
    after = await pool.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = $1::regnamespace", f'"{context}"')

    assert after == before
