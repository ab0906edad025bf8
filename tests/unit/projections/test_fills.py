"""How a replay fills a build: from memory, little often, and durably when it says so."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from commands.ports import START, LogRun, Position, RecordedEvent
from domain.booking.events import BookingConfirmed
from domain.inventory.events import AllotmentSet, NightLeft, RoomTypeOpened
from domain.shared.messages import Event
from projections import fills
from projections.booking_facts import BOOKING_EVENTS, ROOM_NIGHTS, BookingFacts
from projections.calendars import Calendars
from projections.fills import CalendarFill, DocumentFill, FactFill, Overtaken
from projections.folding import CannotApply
from projections.ports import CalendarWrite, FactTable, FoldedDocument, StoreUnavailable
from tests.unit.projections import booking_events
from tests.unit.projections.notes import ONE, OTHER, Notes, Store, note
from tests.unit.projections.recording import recorded, run_of


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def fill(store: Store) -> DocumentFill:
    return DocumentFill("b", Notes(), store)


async def away() -> None:
    raise StoreUnavailable("it is away")


async def test_a_fill_from_the_start_throws_away_what_is_there_and_loads_nothing(
    store: Store, fill: DocumentFill
) -> None:
    store.builds["b"]["left"] = FoldedDocument("left", {"numbers": [9]}, 1, {str(OTHER): "100.1"})
    await fill.begin(afresh=True)
    await fill.write(run_of(note(1, 1), note(2, 2)))
    await fill.write(run_of(note(3, 3)))
    await fill.flush()
    assert store.prepared == "b"
    assert store.loads == []
    assert list(store.builds["b"]) == ["a"]
    assert store.builds["b"]["a"] == FoldedDocument("a", {"numbers": [1, 2, 3]}, 3, {str(ONE): "100.3"})


async def test_a_document_is_written_once_however_many_runs_change_it(store: Store, fill: DocumentFill) -> None:
    await fill.begin(afresh=True)
    for number in range(1, 6):
        await fill.write(run_of(note(number, number)))
    assert store.saves == []
    await fill.flush()
    assert store.saves == [["a"]]


async def test_what_was_flushed_is_in_the_store(store: Store, fill: DocumentFill) -> None:
    await fill.begin(afresh=True)
    await fill.write(run_of(note(1, 1)))
    await fill.flush()
    assert store.numbers() == [1]
    await fill.write(run_of(note(2, 2)))
    await fill.flush()
    await fill.flush()
    assert store.numbers() == [1, 2]
    assert store.saves == [["a"], ["a"]]


async def test_when_enough_has_changed_it_is_saved_while_more_is_folded(store: Store, fill: DocumentFill) -> None:
    await fill.begin(afresh=True)
    await fill.write(run_of(note(1, 1, keys=("a", "b", "c"))))
    assert store.saves == [], "it is saved in the background"
    await fill.write(run_of(note(2, 2, keys=("a",))))
    await fill.flush()
    assert store.saves[0] == ["a", "b", "c"]
    assert (store.numbers("a"), store.numbers("c")) == ([1, 2], [1])


async def test_a_fill_that_goes_on_folds_upon_what_an_earlier_try_has_written(store: Store, fill: DocumentFill) -> None:
    store.builds["b"]["a"] = FoldedDocument("a", {"numbers": [1, 2]}, 2, {str(ONE): "100.2"})
    await fill.begin(afresh=False)
    await fill.write(run_of(note(2, 2), note(3, 3), note(4, 1, stream=OTHER, keys=("b",))))
    await fill.write(run_of(note(5, 5)))
    await fill.flush()
    assert (store.numbers("a"), store.numbers("b")) == ([1, 2, 3, 5], [4])
    assert store.builds["b"]["a"].folded == 4
    assert store.loads == [["a", "b"]]


async def test_what_could_not_be_saved_is_saved_when_the_store_is_back(
    store: Store, fill: DocumentFill, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill.begin(afresh=True)
    runs = [run_of(note(1, 1, keys=("a", "b"))), run_of(note(2, 2, keys=("a", "c")))]
    with monkeypatch.context() as patched:
        patched.setattr(store, "save", lambda *_, **__: away())
        await fill.write(runs[0])
        with pytest.raises(StoreUnavailable):
            await fill.write(runs[1])
        with pytest.raises(StoreUnavailable):
            await fill.flush()
    await fill.write(runs[1])
    await fill.flush()
    assert [store.numbers(key) for key in "abc"] == [[1, 2], [1], [2]]


async def test_what_was_saved_although_the_answer_was_lost_is_no_conflict(
    store: Store, fill: DocumentFill, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = store.save

    async def saved_and_lost(build: str, documents: Sequence[FoldedDocument], *, filling: bool) -> frozenset[str]:
        await save(build, documents, filling=filling)
        raise StoreUnavailable("the answer is lost")

    await fill.begin(afresh=True)
    await fill.write(run_of(note(1, 1)))
    with monkeypatch.context() as patched:
        patched.setattr(store, "save", saved_and_lost)
        with pytest.raises(StoreUnavailable):
            await fill.flush()
    await fill.flush()
    assert store.numbers() == [1]


async def test_a_second_writer_is_noticed(store: Store, fill: DocumentFill) -> None:
    await fill.begin(afresh=True)
    await fill.write(run_of(note(1, 1)))
    store.builds["b"]["a"] = FoldedDocument("a", {"numbers": [9]}, 1, {str(OTHER): "100.5"})
    with pytest.raises(Overtaken, match="document a of b"):
        await fill.flush()


async def test_when_it_knows_too_much_it_forgets_and_loads(
    store: Store, fill: DocumentFill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fills, "KEPT_BYTES", 20)
    await fill.begin(afresh=True)
    await fill.write(run_of(note(1, 1, keys=("a", "b"))))
    await fill.write(run_of(note(2, 2, keys=("a", "c"))))
    await fill.flush()
    assert [store.numbers(key) for key in "abc"] == [[1, 2], [1], [2]]
    assert store.loads == [["a", "c"]]


async def test_an_event_that_cannot_be_applied_is_named(fill: DocumentFill) -> None:
    await fill.begin(afresh=True)
    culprit = note(-1, 2)
    with pytest.raises(CannotApply, match="a negative number") as failure:
        await fill.write(run_of(note(1, 1), culprit))
    assert failure.value.recorded is culprit


async def test_a_closed_fill_writes_no_more(store: Store, fill: DocumentFill) -> None:
    await fill.begin(afresh=True)
    await fill.write(run_of(note(1, 1, keys=("a", "b"))))
    await fill.close()
    await asyncio.sleep(0)
    assert store.saves == []


class CalendarsInMemory:
    """A CalendarStore that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Sequence[CalendarWrite], LogRun]] = []
        self.prepared: list[str] = []

    async def prepare(self, build: str) -> None:
        self.prepared.append(f"prepare {build}")

    async def drop(self, build: str) -> None:
        self.prepared.append(f"drop {build}")

    async def write(self, build: str, writes: Sequence[CalendarWrite], run: LogRun) -> None:
        assert build == "cal_1"
        self.told.append((writes, run))


ROOM = UUID(int=3)
DAYS = [dt.date(2026, 7, day) for day in (1, 2, 3)]


def opened(rooms: int) -> Event:
    return RoomTypeOpened(hotel_id=ONE, room_type_id=ROOM, default_allotment=rooms)


def counted(left: dict[dt.date, int]) -> Event:
    nights = tuple(NightLeft(date=day, rooms_left=rooms, allotment=9) for day, rooms in left.items())
    return AllotmentSet(hotel_id=ONE, room_type_id=ROOM, nights=nights)


def run(prev: Position, *events: RecordedEvent) -> LogRun:
    return LogRun(events[-1].context, prev, events[-1].position, events)


async def test_writes_to_one_calendar_become_one_with_the_last_values() -> None:
    memory: Any = CalendarsInMemory()
    fill = CalendarFill("cal_1", Calendars(), memory)
    await fill.begin(afresh=True)
    first = run(START, recorded(opened(9), 1), recorded(counted({DAYS[0]: 5, DAYS[1]: 4}), 2))
    await fill.write(first)
    await fill.write(run(first.position, recorded(counted({DAYS[1]: 3, DAYS[2]: 2}), 3)))
    assert memory.told == []
    await fill.flush()
    await fill.flush()
    ((writes, told),) = memory.told
    cells = {DAYS[0]: 5, DAYS[1]: 3, DAYS[2]: 2}
    assert writes == [CalendarWrite("rooms", str(ROOM), cells, "inventory", Position(100, 3), 9)]
    assert (told.prev, told.position) == (START, Position(100, 3))
    assert memory.prepared == ["drop cal_1", "prepare cal_1"]


async def test_a_run_that_does_not_follow_is_not_taken_for_one_that_does() -> None:
    memory: Any = CalendarsInMemory()
    fill = CalendarFill("cal_1", Calendars(), memory)
    await fill.begin(afresh=False)
    await fill.write(run(START, recorded(counted({DAYS[0]: 5}), 1)))
    await fill.write(run(START, recorded(counted({DAYS[0]: 4}), 7)))
    await fill.flush()
    assert [(told.prev, told.position) for _, told in memory.told] == [
        (START, Position(100, 1)),
        (START, Position(100, 7)),
    ]
    assert memory.prepared == []


class FactsInMemory:
    """A FactStore that remembers its inserts."""

    def __init__(self) -> None:
        self.inserts: list[tuple[str, int]] = []

    async def insert(self, build: str, table: FactTable, rows: Sequence[Sequence[Any]]) -> None:
        assert build == "facts_1"
        self.inserts.append((table.name, len(rows)))


async def test_rows_are_inserted_at_once_per_table(monkeypatch: pytest.MonkeyPatch) -> None:
    memory: Any = FactsInMemory()
    fill = FactFill("facts_1", BookingFacts(), memory)
    await fill.begin(afresh=False)
    confirmed = booking_events.recorded(booking_events.told(BookingConfirmed), 2)
    for _ in range(3):
        await fill.write(run_of(confirmed))
    assert memory.inserts == []
    await fill.flush()
    await fill.flush()
    assert memory.inserts == [(BOOKING_EVENTS.name, 3), (ROOM_NIGHTS.name, 18)]
    monkeypatch.setattr(fills, "_ROWS_AT_ONCE", 7)
    memory.inserts.clear()
    await fill.write(run_of(confirmed))
    await fill.write(run_of(confirmed))
    assert memory.inserts == [(BOOKING_EVENTS.name, 1), (ROOM_NIGHTS.name, 6)]
