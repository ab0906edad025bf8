"""Of many rows only some buckets are made anew; of those that are, no row is missed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from commands.ports import EventStore, LogRun, Metadata, Position, RecordedEvent
from domain.inventory.events import HoldWithdrawn
from projections.audit import facts
from projections.audit.facts import BUCKETS, FEWEST_BUCKETS, DigestFacts, FactAudit
from projections.audit.findings import Period
from projections.audit.read_models import Logs
from projections.builds import Build, BuildRegistry, BuildState
from projections.ports import FactTable
from projections.projection import FactProjection
from tests.fakes import NOW

TABLE = FactTable("numbers", (("number", "String"), ("version", "UInt64")), ("number",), "version")
SOMEBODY = UUID(int=7)


class Numbers(FactProjection):
    """One row per number."""

    name = "numbers"
    version = 1
    service = "analytics"
    takes = (HoldWithdrawn,)
    tables = (TABLE,)

    def rows(self, recorded: RecordedEvent) -> Iterable[tuple[FactTable, Sequence[Any]]]:
        """See FactProjection."""
        event: Any = recorded.event
        return ((TABLE, (event.reason, recorded.version)),)


class Read:
    """A log whose feeds have read it to its end."""

    async def checkpoint(self, *_: object) -> Position:
        return Position(2**60, 0)

    async def read_log(self, after: Position, *_: object, **__: object) -> LogRun:
        return LogRun("inventory", after, after, ())


class Builds:
    """A registry with one build; each time it is asked, the next of ``told`` is on record, in the end the last."""

    def __init__(self, *told: tuple[str, BuildState]) -> None:
        self._told = list(told)

    async def builds(self, projection: str | None = None) -> list[Build]:
        assert projection == "numbers"
        name, state = self._told.pop(0) if len(self._told) > 1 else self._told[0]
        return [
            Build(name=name, projection="numbers", version=1, state=state, replay_id=uuid4(), created_at=NOW),
        ]


LIVE = Builds(("numbers_1", "live"))


def noted(number: int) -> RecordedEvent:
    """The event that makes a row."""
    ids = dict.fromkeys(("hotel_id", "room_type_id", "hold_id", "booking_id"), SOMEBODY)
    event = HoldWithdrawn(**ids, reason=str(number))
    metadata = Metadata(correlation_id=SOMEBODY, at=NOW)
    return RecordedEvent(uuid4(), "inventory", SOMEBODY, number, event, metadata, NOW, Position(number, number))


class Owner:
    """Answers for the store, which lacks the numbers in ``lost``."""

    def __init__(self, numbers: Iterable[int], lost: Iterable[int] = ()) -> None:
        self.asked = 0
        self.keys = {str(number): zlib.crc32(f"{number}|{number}".encode()) for number in set(numbers) - set(lost)}

    async def ask(self, command: DigestFacts) -> Mapping[str, Any]:
        self.asked += 1
        sums: dict[int, list[int]] = {}
        rows = []
        for key, check in self.keys.items():
            bucket = zlib.crc32(key.encode()) % BUCKETS
            if bucket in command.buckets:
                counted = sums.setdefault(bucket, [0, 0])
                counted[0], counted[1] = counted[0] + 1, counted[1] + check
                rows.append([key, check])
        return {"buckets": [[bucket, *counted] for bucket, counted in sums.items()], "rows": rows}


async def audited(owner: Owner, count: int, *, full: bool = False, builds: Builds = LIVE) -> FactAudit:
    """An audit of the numbers from 1 to ``count``."""
    audit = FactAudit(Numbers(), owner.ask, cast("BuildRegistry", builds), Period(), full=full, salt=uuid4())
    for number in range(1, count + 1):
        audit.take(noted(number))
    read = cast("EventStore", Read())

    async def wait(_: float) -> None:
        pytest.fail("everything is read already")

    await audit.judge(Logs({"inventory": read, "analytics": read}, wait))
    return audit


async def test_few_rows_are_all_compared() -> None:
    numbers = range(1, 101)
    assert (await audited(Owner(numbers), 100)).findings.checked == 100
    [violation] = (await audited(Owner(numbers, lost=(50,)), 100)).findings.violations
    assert violation.detail == "numbers (number) = (50) is missing"


async def test_of_many_rows_some_buckets_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "ENOUGH_ROWS", 300)
    numbers = range(1, 20_001)
    found = (await audited(Owner(numbers), 20_000)).findings
    assert not found.violations, "what stays has missed nothing"
    assert 20_000 * FEWEST_BUCKETS / BUCKETS * 0.8 < found.checked < 20_000 / 8
    found = (await audited(Owner(numbers), 20_000, full=True)).findings
    assert (found.checked, found.violations) == (20_000, [])


async def test_what_was_compared_while_a_build_took_over_does_not_count() -> None:
    owner = Owner(range(1, 101))
    swapped = Builds(("numbers_1", "live"), ("numbers_2", "live"))
    found = (await audited(owner, 100, builds=swapped)).findings
    assert (found.checked, found.violations, found.skipped) == (100, [], None)
    assert owner.asked == 2


async def test_a_build_that_is_taking_over_is_what_readers_see_when_none_is_live() -> None:
    found = (await audited(Owner(range(1, 101)), 100, builds=Builds(("numbers_2", "swapping")))).findings
    assert (found.checked, found.violations) == (100, [])


async def test_facts_that_are_not_there_are_told() -> None:
    [violation] = (await audited(Owner(()), 100, builds=Builds(("numbers_1", "failed")))).findings.violations
    assert violation.detail == "numbers is not in its store"
