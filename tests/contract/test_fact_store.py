"""The contract of FactStore, on the ClickHouse engine in process (chdb).

A ClickHouse server is reached by the same class and the same client library; only how the client is made differs
(``infra.stores.clickhouse``), and of that what can be seen without a server is tested here.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from infra.stores import fact_rows
from infra.stores.clickhouse import AnotherStoreOpen
from infra.stores.fact_rows import SpooledFacts, spooled_rows
from infra.stores.facts import ClickHouseFacts
from projections.ports import BuildMissing, FactTable, StoreUnavailable

STAYS = FactTable(
    "stays",
    (
        ("hotel_id", "UUID"),
        ("night", "Date32"),
        ("at", "DateTime64(3, 'UTC')"),
        ("amount_minor", "Int64"),
        ("currency", "LowCardinality(String)"),
        ("version", "UInt64"),
    ),
    ("hotel_id", "night"),
    "version",
)
NOTES = FactTable("notes", (("id", "UInt32"), ("text", "String"), ("version", "UInt64")), ("id",), "version")
HOTEL = UUID(int=7)
AT = dt.datetime(2026, 7, 1, 12, 30, 15, 250_000, tzinfo=dt.UTC)

CHILD = """
import asyncio, sys
from pathlib import Path
from infra.stores.facts import ClickHouseFacts
from tests.contract.test_fact_store import NOTES

async def main() -> None:
    store = ClickHouseFacts.embedded(Path(sys.argv[1]))
    try:
        await store.prepare("facts_1", [NOTES])
        for number in range(20):
            await store.insert("facts_1", NOTES, [(number, "acknowledged", 1)])
        await store.point("facts", "facts_1")
        print("written", flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass
class Place:
    store: ClickHouseFacts
    directory: Path
    spool: Path
    """Where other processes leave what they fill builds with."""

    async def total(self) -> Any:
        rows = await self.store.query("SELECT sum(amount_minor) AS total FROM stays")
        return rows[0]["total"]


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: the engine opens one at a time, and opening another costs a second."""
    return tmp_path_factory.mktemp("facts")


@pytest.fixture
async def place(directory: Path, tmp_path: Path, fresh_name: Callable[..., str]) -> AsyncIterator[Place]:
    """A store in a database of the test's own, with one live build."""
    spool = tmp_path / "spool"
    store = ClickHouseFacts.embedded(directory, fresh_name("facts"), spool=spool)
    await store.prepare("facts_1", [STAYS, NOTES])
    await store.point("facts", "facts_1")
    yield Place(store, directory, spool)
    await store.close()


def stay(day: int, amount: int, version: int = 1, hotel: UUID = HOTEL) -> tuple[Any, ...]:
    return (hotel, dt.date(2026, 7, day), AT, amount, "EUR", version)


async def test_rows_come_back_as_they_were_put_in(place: Place) -> None:
    old = (HOTEL, dt.date(1965, 3, 2), AT, -(2**62), "JPY", 2**63)
    await place.store.insert("facts_1", STAYS, [old])
    names = [name for name, _ in STAYS.columns]
    assert await place.store.query("SELECT * FROM stays") == [dict(zip(names, old, strict=True))]


async def test_of_one_key_the_newest_row_counts_once(place: Place) -> None:
    await place.store.insert("facts_1", STAYS, [stay(1, 100), stay(2, 10)])
    await place.store.insert("facts_1", STAYS, [stay(1, 300, version=3)])
    await place.store.insert("facts_1", STAYS, [stay(1, 200, version=2), stay(2, 10)])
    rows = await place.store.query("SELECT night, amount_minor FROM stays ORDER BY night")
    assert [row["amount_minor"] for row in rows] == [300, 10]
    assert await place.total() == 310


async def test_parameters_are_typed_and_their_text_is_no_sql(place: Place) -> None:
    await place.store.insert("facts_1", STAYS, [stay(1, 1), stay(2, 2), stay(3, 4, hotel=uuid4())])
    sql = """
        SELECT sum(amount_minor) AS total FROM stays
        WHERE night >= {from:Date32} AND (empty({hotels:Array(UUID)}) OR has({hotels:Array(UUID)}, hotel_id))
    """
    since = {"from": dt.date(2026, 7, 2)}
    assert await place.store.query(sql, {**since, "hotels": []}) == [{"total": 6}]
    assert await place.store.query(sql, {**since, "hotels": [HOTEL]}) == [{"total": 2}]
    hostile = "'; DROP TABLE stays; --\\"
    await place.store.insert("facts_1", NOTES, [(1, hostile, 1)])
    found = await place.store.query("SELECT id FROM notes WHERE text = {text:String}", {"text": hostile})
    assert found == [{"id": 1}]


async def test_a_build_is_filled_beside_the_live_one_and_swapped_in(place: Place) -> None:
    await place.store.insert("facts_1", STAYS, [stay(1, 1)])
    await place.store.prepare("facts_2", [STAYS, NOTES])
    await place.store.insert("facts_2", STAYS, [stay(1, 2)])
    assert (await place.store.pointed("facts"), await place.total()) == ("facts_1", 1)
    await place.store.point("facts", "facts_2")
    assert (await place.store.pointed("facts"), await place.total()) == ("facts_2", 2)
    await place.store.drop("facts_1")
    assert await place.total() == 2


async def test_readers_see_one_build_or_the_other_and_never_none(place: Place) -> None:
    await place.store.insert("facts_1", STAYS, [stay(1, 5)])
    swapping = asyncio.create_task(_swap_often(place))
    seen = set()
    while not swapping.done():
        seen.add(await place.total())
    await swapping
    assert seen == {5}


async def _swap_often(place: Place) -> None:
    for number in range(2, 10):
        build = f"facts_{number}"
        await place.store.prepare(build, [STAYS, NOTES])
        await place.store.insert(build, STAYS, [stay(1, 5)])
        await place.store.point("facts", build)
        await place.store.drop(f"facts_{number - 1}")


async def test_preparing_again_keeps_rows_and_dropping_may_be_repeated(place: Place) -> None:
    await place.store.insert("facts_1", STAYS, [stay(1, 1)])
    await place.store.prepare("facts_1", [STAYS, NOTES])
    await place.store.prepare("facts_11", [STAYS])
    await place.store.drop("facts_11")
    await place.store.drop("facts_11")
    assert await place.total() == 1
    await place.store.prepare("facts_12", [STAYS])
    await place.store.insert("facts_12", STAYS, [stay(1, 12)])
    await place.store.point("facts", "facts_12")
    await place.store.drop("facts_1")
    assert await place.total() == 12


async def test_a_build_that_is_gone_takes_no_rows_and_cannot_go_live(place: Place) -> None:
    await place.store.drop("facts_1")
    with pytest.raises(BuildMissing, match="facts_1"):
        await place.store.insert("facts_1", STAYS, [stay(1, 1)])
    with pytest.raises(BuildMissing, match="facts_1"):
        await place.store.point("facts", "facts_1")


async def test_an_empty_store_has_no_live_build_and_says_so(directory: Path, fresh_name: Callable[..., str]) -> None:
    store = ClickHouseFacts.embedded(directory, fresh_name("facts"))
    assert await store.pointed("facts") is None
    with pytest.raises(StoreUnavailable, match="not there yet"):
        await store.query("SELECT * FROM stays")
    await store.drop("facts_1")
    await store.close()


@pytest.mark.parametrize(
    ("column", "value"), [("amount_minor", 2**63), ("version", -1), ("currency", None), ("night", "2026-07-01")]
)
async def test_what_does_not_fit_a_column_is_refused_and_never_bent(place: Place, column: str, value: object) -> None:
    names = [name for name, _ in STAYS.columns]
    row = [value if name == column else given for name, given in zip(names, stay(1, 1), strict=True)]
    with pytest.raises(ValueError, match=f"column {column} of stays"):
        await place.store.insert("facts_1", STAYS, [row])
    assert await place.store.query("SELECT * FROM stays") == []


async def test_what_another_process_has_spooled_is_taken_in(place: Place) -> None:
    spooled = SpooledFacts(place.spool)
    await spooled.prepare("facts_2", [STAYS, NOTES])
    await spooled.insert("facts_2", STAYS, [stay(1, 5), stay(2, 7)])
    await spooled.insert("facts_2", NOTES, [(1, "quiet", 1)])
    await SpooledFacts(place.spool).insert("facts_2", STAYS, [stay(3, 30)])
    await place.store.filled("facts_2")
    await place.store.point("facts", "facts_2")
    assert await place.total() == 42
    await place.store.insert("facts_1", STAYS, [stay(1, 5), stay(2, 7), stay(3, 30)])
    from_spool = await place.store.query("SELECT * FROM facts_2__stays ORDER BY night")
    assert from_spool == await place.store.query("SELECT * FROM facts_1__stays ORDER BY night")
    assert not list(place.spool.glob("facts_2/*.arrow"))
    await place.store.filled("facts_2")
    assert await place.total() == 42
    # Its replay was cut off just after that: it is gone on with where the checkpoints are.
    await SpooledFacts(place.spool).insert("facts_2", STAYS, [stay(4, 8)])
    await place.store.filled("facts_2")
    assert await place.total() == 50
    await place.store.drop("facts_2")
    assert not list(place.spool.glob("facts_2*"))


async def test_what_was_cut_off_while_it_was_taken_in_is_taken_in_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_rows, "_ROWS_AT_ONCE", 1)
    spooled = SpooledFacts(place.spool)
    await spooled.prepare("facts_2", [STAYS])
    for night in range(1, 4):
        await spooled.insert("facts_2", STAYS, [stay(night, night)])
    rows = spooled_rows(place.spool, "facts_2")
    for _ in range(2):
        await place.store.prepare("facts_2", [STAYS])
        await place.store.insert("facts_2", STAYS, list(zip(*next(rows)[1].to_pydict().values(), strict=True)))
    assert len(list(place.spool.glob("facts_2/*.arrow"))) == 2
    await place.store.filled("facts_2")
    await place.store.point("facts", "facts_2")
    assert await place.total() == 1 + 2 + 3


async def test_a_build_that_is_dropped_takes_what_was_spooled_for_it_with_it(place: Place) -> None:
    spooled = SpooledFacts(place.spool)
    await spooled.prepare("facts_2", [STAYS])
    await spooled.insert("facts_2", STAYS, [stay(1, 5)])
    await place.store.drop("facts_2")
    with pytest.raises(BuildMissing, match="facts_2"):
        await spooled.insert("facts_2", STAYS, [stay(2, 7)])
    await spooled.drop("facts_2")
    await place.store.filled("facts_2")
    with pytest.raises(BuildMissing):
        await place.store.point("facts", "facts_2")


async def test_no_rows_are_no_insert(place: Place) -> None:
    await place.store.insert("facts_1", STAYS, [])
    assert await place.store.query("SELECT * FROM stays") == []


async def test_what_is_wrong_with_the_sql_is_told_as_it_is(place: Place) -> None:
    with pytest.raises(DatabaseError, match="SYNTAX_ERROR"):
        await place.store.query("SELEC 1")
    with pytest.raises(DatabaseError, match="nothing_like_it"):
        await place.store.query("SELECT nothing_like_it FROM stays")


@pytest.mark.parametrize("name", ["", "a b", "a`b", "1a", "a;b"])
async def test_names_that_are_none_are_refused(place: Place, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        await place.store.prepare(name, [STAYS])
    with pytest.raises(ValueError, match="cannot name"):
        await place.store.pointed(name)


async def test_the_event_loop_runs_on_while_the_engine_works(place: Place) -> None:
    working = asyncio.create_task(place.store.query("SELECT sum(sipHash64(number)) AS n FROM numbers(30000000)"))
    turns = 0
    while not working.done():
        await asyncio.sleep(0)
        turns += 1
    assert await working
    assert turns > 1000


async def test_queries_at_once_each_get_their_own_answer(place: Place) -> None:
    answers = await asyncio.gather(
        *(place.store.query("SELECT {n:UInt32} AS n", {"n": number}) for number in range(50))
    )
    assert [rows[0]["n"] for rows in answers] == list(range(50))


async def test_a_second_directory_in_one_process_is_refused_clearly(place: Place, tmp_path: Path) -> None:
    other = ClickHouseFacts.embedded(tmp_path / "other")
    with pytest.raises(AnotherStoreOpen, match=str(place.directory)):
        await other.pointed("facts")
    await other.close()


async def test_a_second_process_is_refused_clearly(place: Place) -> None:
    child = await _child(place.directory)
    assert (await _line(child)).startswith(f"StoreUnavailable cannot open {place.directory}; does another process")
    child.send_signal(signal.SIGKILL)
    await child.wait()


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    child = await _child(tmp_path / "facts")
    assert await _line(child) == "written"
    child.send_signal(signal.SIGKILL)
    await child.wait()
    store = ClickHouseFacts.embedded(tmp_path / "facts")
    assert await store.query("SELECT count() AS n FROM notes") == [{"n": 20}]
    assert await store.pointed("facts") == "facts_1"
    await store.close()


async def _child(directory: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(directory), stdout=asyncio.subprocess.PIPE
    )


async def _line(child: asyncio.subprocess.Process) -> str:
    assert child.stdout is not None
    return (await child.stdout.readline()).decode().strip()


@pytest.mark.parametrize("scheme", ["http", "clickhouse"])
async def test_a_server_that_is_away_says_so(scheme: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        store = ClickHouseFacts.remote(f"{scheme}://127.0.0.1:{nobody.getsockname()[1]}")
        for call in (
            lambda: store.prepare("facts_1", [STAYS]),
            lambda: store.insert("facts_1", STAYS, [stay(1, 1)]),
            lambda: store.pointed("facts"),
            lambda: store.query("SELECT 1"),
        ):
            with pytest.raises(StoreUnavailable, match="ClickHouse"):
                await call()
        await store.close()
