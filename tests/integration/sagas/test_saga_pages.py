"""Operators' list of sagas: made from the sagas' own events, asked of a real document store."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from commands.ports import Metadata, RecordedEvent
from domain.saga.events import SagaReacted
from domain.shared.messages import Event
from infra.stores.pg_documents import PostgresDocuments
from projections.saga_pages import STUCK_AFTER, SagaListing, SagaPages, list_sagas
from projections.writers import FoldWriter
from sagas.booking import BOOKING_SAGA
from sagas.journal import Journal, Teller
from sagas.saga import Happening, Saga
from tests.contract.document_store import document_place
from tests.fakes import NOW, FakeClock
from tests.unit.projections.recording import recorded, run_of
from tests.unit.sagas.spec import booking_rejected, held, hold_refused, of_booking, requested

BUILD = "saga_pages_1"
Story = list[RecordedEvent]


def story(
    booking_id: UUID, *events: Event, saga: Saga[Any] = BOOKING_SAGA, began: dt.timedelta = dt.timedelta()
) -> Story:
    """What the saga's stream has after ``events``, one a second."""
    clock = FakeClock(NOW + began)
    journal = Journal(saga, saga.saga_id(booking_id), booking_id)
    told: Story = []
    for event in events:
        metadata = Metadata(correlation_id=uuid4(), at=clock.now())
        entry = Teller(clock).tell(journal, Happening(clock.now(), of_booking(event, booking_id)), metadata)
        for number, each in enumerate(entry.events, journal.version + 1):
            if isinstance(each, SagaReacted):
                place = int(began.total_seconds()) * 100 + len(told) + 1 + booking_id.int * 10_000
                told.append(recorded(each, number, at=clock.now(), stream=journal.saga_id, position=place))
        journal = entry.after
        clock.advance(seconds=1)
    return told


@pytest.fixture
async def documents(postgres_url: str, fresh_name: Callable[..., str]) -> AsyncIterator[PostgresDocuments]:
    async with document_place(postgres_url, fresh_name()) as place:
        yield place.store


async def write(documents: PostgresDocuments, *stories: Story) -> None:
    writer = FoldWriter(SagaPages(), documents, (("status", "updated_at"),))
    await writer.filling(BUILD).begin(afresh=True)
    for each in stories:
        await writer.write(BUILD, run_of(*each))
    await documents.point(SagaPages.name, BUILD)


async def listed(documents: PostgresDocuments, listing: SagaListing | None, now: dt.datetime) -> Sequence[Any]:
    return (await list_sagas(documents, listing, now=now)).items


def test_a_page_tells_where_a_saga_stands() -> None:
    page = None
    told = story(UUID(int=1), requested(), held())
    for each in told:
        page = SagaPages().apply(page, each)
    assert page == {
        "saga_id": str(BOOKING_SAGA.saga_id(UUID(int=1))),
        "saga": "booking",
        "subject_id": str(UUID(int=1)),
        "step": "authorising",
        "status": "running",
        "deadline": "2026-06-01T12:00:31+00:00",
        "started_at": "2026-06-01T12:00:00+00:00",
        "updated_at": "2026-06-01T12:00:01+00:00",
        "attempts": 1,
        "note": "",
        "version": 3,
    }
    assert list(SagaPages().keys(told[0])) == [page["saga_id"]]


async def test_sagas_are_listed_by_how_they_are(documents: PostgresDocuments) -> None:
    def fail(*told: object) -> Any:
        del told
        raise ZeroDivisionError("a mistake in the code")

    early = story(UUID(int=1), requested())
    late = story(UUID(int=2), requested(), held(), began=dt.timedelta(minutes=5))
    ended = story(UUID(int=3), requested(), hold_refused(), booking_rejected(), began=dt.timedelta(minutes=1))
    broken = story(UUID(int=4), requested(), saga=replace(BOOKING_SAGA, react=fail), began=dt.timedelta(minutes=2))
    await write(documents, late, early, ended, broken)
    now = NOW + dt.timedelta(minutes=5, seconds=10)

    def subjects(items: Sequence[Any]) -> list[int]:
        return [UUID(item["subject_id"]).int for item in items]

    assert subjects(await listed(documents, None, now)) == [1, 3, 4, 2]
    assert subjects(await listed(documents, "running", now)) == [1, 2]
    assert subjects(await listed(documents, "stuck", now)) == [1]
    assert subjects(await listed(documents, "finished", now)) == [3]
    quarantined = await listed(documents, "quarantined", now)
    assert subjects(quarantined) == [4]
    assert (quarantined[0]["note"], quarantined[0]["deadline"]) == ("ZeroDivisionError: a mistake in the code", None)
    assert quarantined[0]["age_seconds"] == 190
    at_the_limit = NOW + dt.timedelta(seconds=30) + STUCK_AFTER
    assert await listed(documents, "stuck", at_the_limit) == []


async def test_a_long_list_has_pages(documents: PostgresDocuments) -> None:
    await write(documents, *(story(UUID(int=number), requested()) for number in range(1, 6)))
    first = await list_sagas(documents, "running", now=NOW, limit=3)
    second = await list_sagas(documents, "running", now=NOW, limit=3, cursor=first.next_cursor)
    assert (len(first.items), len(second.items), second.next_cursor) == (3, 2, None)
    assert len({item["saga_id"] for item in (*first.items, *second.items)}) == 5
