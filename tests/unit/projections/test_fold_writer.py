"""How runs of events become documents: in bulk, once each, whoever else writes."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from projections.folding import CannotApply
from projections.ports import FoldedDocument
from projections.writers import FoldWriter
from tests.unit.projections.notes import ONE, OTHER, Erased, Noted, Notes, Store, note
from tests.unit.projections.recording import recorded, run_of


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def writer(store: Store) -> FoldWriter:
    return FoldWriter(Notes(), store, (("x",),))


async def test_a_run_is_one_load_and_one_save_of_what_it_touches(store: Store, writer: FoldWriter) -> None:
    await writer.write("b", run_of(note(1, 1), note(2, 2), note(3, 3, keys=("b", "c"))))
    assert store.saves == [["a", "b", "c"]]
    assert (store.numbers("a"), store.numbers("b"), store.numbers("c")) == ([1, 2], [3], [3])
    assert (store.builds["b"]["a"].folded, store.builds["b"]["b"].folded) == (2, 1)


async def test_lists_have_their_indexes_when_a_build_is_filled(store: Store, writer: FoldWriter) -> None:
    await writer.filling("b").begin(afresh=True)
    assert store.indexed == {}
    await writer.filled("b")
    assert store.indexed == {"b": (("x",),)}


async def test_what_was_written_before_changes_nothing_and_is_not_saved(store: Store, writer: FoldWriter) -> None:
    run = [note(1, 1), note(2, 2)]
    await writer.write("b", run_of(*run))
    await writer.write("b", run_of(*run))
    await writer.write("b", run_of(*run[:1]))
    assert store.numbers() == [1, 2]
    assert len(store.saves) == 1


async def test_a_run_that_overlaps_what_is_there_adds_only_the_rest(store: Store, writer: FoldWriter) -> None:
    await writer.write("b", run_of(note(1, 1), note(2, 2)))
    await writer.write("b", run_of(note(2, 2), note(3, 3)))
    assert store.numbers() == [1, 2, 3]
    assert store.builds["b"]["a"].folded == 3


async def test_an_event_that_was_parked_is_not_taken_for_one_that_was_written(store: Store, writer: FoldWriter) -> None:
    """Another stream's later event may go into the same document before a parked one is handled after all."""
    parked = note(1, 1, stream=ONE, position=10)
    await writer.write("b", run_of(note(2, 1, stream=OTHER, position=11)))
    await writer.write("b", run_of(parked))
    await writer.write("b", run_of(parked))
    assert store.numbers() == [2, 1]


async def test_what_another_process_wrote_meanwhile_is_folded_upon(store: Store, writer: FoldWriter) -> None:
    def other_process() -> None:
        store.builds["b"]["a"] = FoldedDocument("a", {"numbers": [9]}, 1, {str(OTHER): "100.5"})

    store.before_save = other_process
    await writer.write("b", run_of(note(1, 1), note(7, 2, keys=("b",))))
    assert store.numbers() == [9, 1]
    assert store.builds["b"]["a"].folded == 2
    assert set(store.builds["b"]["a"].positions) == {str(ONE), str(OTHER)}
    assert store.saves == [["a", "b"], ["a"]]


async def test_when_another_process_wrote_the_same_nothing_is_left_to_do(store: Store, writer: FoldWriter) -> None:
    def other_process() -> None:
        store.builds["b"]["a"] = FoldedDocument("a", {"numbers": [1]}, 1, {str(ONE): "100.1"})

    store.before_save = other_process
    await writer.write("b", run_of(note(1, 1)))
    assert store.numbers() == [1]


async def test_runs_into_one_build_are_serialised(store: Store, writer: FoldWriter) -> None:
    streams = [UUID(int=number) for number in range(1, 11)]
    await asyncio.gather(*(writer.write("b", run_of(note(stream.int, 1, stream=stream))) for stream in streams))
    assert sorted(store.numbers() or []) == list(range(1, 11))
    assert len(store.saves) == 10, "none was refused"


async def test_a_deleted_document_keeps_its_count_and_can_come_back(store: Store, writer: FoldWriter) -> None:
    await writer.write("b", run_of(note(1, 1), recorded(Erased(), 2)))
    assert store.builds["b"]["a"] == FoldedDocument("a", None, 2, {str(ONE): "100.2"})
    await writer.write("b", run_of(note(5, 3)))
    assert store.numbers() == [5]
    assert store.builds["b"]["a"].folded == 3


async def test_an_event_that_cannot_be_applied_is_named_and_nothing_of_the_run_is_saved(
    store: Store, writer: FoldWriter
) -> None:
    culprit = note(-1, 2)
    with pytest.raises(CannotApply, match=r"notes cannot apply notes\.v1\.Noted .* a negative number") as failure:
        await writer.write("b", run_of(note(1, 1), culprit))
    assert failure.value.recorded is culprit
    assert store.saves == []


async def test_events_that_touch_nothing_need_no_store(store: Store, writer: FoldWriter) -> None:
    await writer.write("b", run_of(recorded(Noted(number=1, keys=()))))
    assert store.saves == []
