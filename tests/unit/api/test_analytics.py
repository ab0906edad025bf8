"""Reports over HTTP, as JSON and as files."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any
from uuid import uuid4

import httpx
import pyarrow.parquet as pq
import pytest

from commands.ports import Answer, CommandEnvelope
from projections.reports import REPORTS, RunReport
from tests.unit.api.conftest import World, ok, open_hotel, refused
from tests.unit.api.fakes import Memory

HOTEL, OWNER = uuid4(), uuid4()
ROW = {
    "hotel_id": str(HOTEL),
    "night": "2026-07-01",
    "currency": "EUR",
    "rooms_sold": 2,
    "revenue_minor": 20_000,
    "adr_minor": 10_000,
}
PERIOD = {"from": "2026-07-01", "to": "2026-08-01"}


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """What the reports find."""
    return [ROW]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]) -> list[RunReport]:
    """The reports that were asked for, by the service that would run them."""
    reports: list[RunReport] = []

    async def run(memory: Memory, envelope: CommandEnvelope) -> Answer:
        del memory
        assert isinstance(envelope.command, RunReport)
        reports.append(envelope.command)
        return Answer(context="analytics", body={"rows": rows})

    monkeypatch.setattr(Memory, "send", run)
    return reports


@pytest.fixture
async def analyst(world: World) -> httpx.AsyncClient:
    return await world.as_("analyst")


@pytest.fixture
async def hotels(world: World) -> list[str]:
    """Two of OWNER's, and one of somebody else's."""
    mine = await world.as_("hotelier", account_id=OWNER)
    theirs = await world.as_("hotelier")
    return [(await open_hotel(hotelier))["hotel_id"] for hotelier in (mine, mine, theirs)]


async def test_hoteliers_see_their_own_hotels(
    world: World, hotels: list[str], asked: list[RunReport], rows: list[dict[str, Any]]
) -> None:
    mine = await world.as_("hotelier", account_id=OWNER)
    assert ok(await mine.get("/v1/analytics/occupancy", params=PERIOD))["items"] == rows
    assert sorted(map(str, asked[-1].hotels)) == sorted(hotels[:2])
    ok(await mine.get("/v1/analytics/monthly", params=PERIOD | {"hotel_id": hotels[1]}))
    assert [str(each) for each in asked[-1].hotels] == [hotels[1]]
    for hotel_id in (hotels[2], str(uuid4())):
        refused(await mine.get("/v1/analytics/monthly", params=PERIOD | {"hotel_id": hotel_id}), 403, "forbidden")
    nobody = await world.as_("hotelier")
    assert ok(await nobody.get("/v1/analytics/occupancy", params=PERIOD))["items"] == []
    assert len(asked) == 2, "no hotels are not all hotels"
    refused(await (await world.as_("guest")).get("/v1/analytics/monthly", params=PERIOD), 403, "forbidden")


async def test_a_report_is_a_list(analyst: httpx.AsyncClient, asked: list[RunReport]) -> None:
    query = PERIOD | {"hotel_id": str(HOTEL), "granularity": "week"}
    answer = ok(await analyst.get("/v1/analytics/occupancy", params=query))
    assert answer == {"items": [ROW], "next_cursor": None}
    july, august = dt.date(2026, 7, 1), dt.date(2026, 8, 1)
    assert asked == [RunReport(report="occupancy", first=july, last=august, hotels=(HOTEL,), granularity="week")]


@pytest.mark.usefixtures("asked")
async def test_a_report_is_a_file_for_spreadsheets(analyst: httpx.AsyncClient) -> None:
    answer = await analyst.get("/v1/analytics/occupancy", params=PERIOD | {"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="occupancy_2026-07-01_2026-08-01.csv"'
    assert answer.text == (
        f"hotel_id,night,currency,rooms_sold,revenue_minor,adr_minor\r\n{HOTEL},2026-07-01,EUR,2,20000,10000\r\n"
    )


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("rows", [[ROW], []])
async def test_a_report_is_a_file_for_notebooks(analyst: httpx.AsyncClient, rows: list[dict[str, Any]]) -> None:
    answer = await analyst.get("/v1/analytics/occupancy", params=PERIOD | {"format": "parquet"})
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    table = pq.read_table(io.BytesIO(answer.content))
    assert table.to_pylist() == [row | {"night": dt.date(2026, 7, 1)} for row in rows]
    assert table.column_names == list(REPORTS["occupancy"].columns)
    assert [str(table.schema.field(name).type) for name in ("night", "adr_minor")] == ["date32[day]", "int64"]


@pytest.mark.parametrize(
    ("query", "status", "name"),
    [
        ({"to": "2026-07-01"}, 400, "invalid-request"),
        ({"format": "xlsx"}, 400, "invalid-request"),
        ({"granularity": "fortnight"}, 400, "invalid-request"),
        ({"from": "today"}, 400, "invalid-request"),
    ],
)
async def test_what_makes_no_sense_runs_nothing(
    analyst: httpx.AsyncClient, asked: list[RunReport], query: dict[str, str], status: int, name: str
) -> None:
    refused(await analyst.get("/v1/analytics/occupancy", params=PERIOD | query), status, name)
    refused(await analyst.get("/v1/analytics/weather", params=PERIOD), 404, "not-found")
    assert not asked
