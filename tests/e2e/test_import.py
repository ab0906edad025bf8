"""Real bookings come in through the same door, and the facts agree with the file to the cent."""

from __future__ import annotations

import csv
import json
import random
from collections import defaultdict
from pathlib import Path

import pytest

from tests.e2e.running import RunningPlatform, ok

COLUMNS = [
    "hotel",
    "is_canceled",
    "lead_time",
    "arrival_date_year",
    "arrival_date_month",
    "arrival_date_day_of_month",
    "stays_in_weekend_nights",
    "stays_in_week_nights",
    "adults",
    "children",
    "babies",
    "reserved_room_type",
    "deposit_type",
    "adr",
    "reservation_status_date",
]
BROKEN = {30: {"adults": "0", "children": "0", "babies": "0"}, 31: {"adr": "-6.38"}, 32: {"adults": "two"}}
ROWS = 120


@pytest.mark.xdist_group("e2e-embedded")
async def test_the_facts_agree_with_the_file(embedded_platform: RunningPlatform, tmp_path: Path) -> None:
    file = tmp_path / "bookings.csv"
    expected = _write(file)
    first = json.loads(embedded_platform.run("import", "hotel-bookings", str(file), "--limit", "50", "--json").stdout)
    assert sum(first["outcomes"].values()) == 50 - len(BROKEN)
    again = json.loads(embedded_platform.run("import", "hotel-bookings", str(file), "--json").stdout)
    assert {row["line"]: row["reason"].split(":")[0] for row in again["broken"]} == {
        32: "no guests",
        33: "negative adr -6.38",
        34: "unreadable",
    }
    assert set(again["outcomes"]) == {"confirmed", "cancelled"}
    async with await embedded_platform.login("analyst") as analyst:
        rows = ok(await analyst.get("/v1/analytics/monthly", params={"from": "2015-01-01", "to": "2018-01-01"}))
    told = {
        row["month"]: (row["bookings"], row["cancellations"], row["nights"], row["revenue_minor"])
        for row in rows["items"]
        if row["currency"] == "EUR"
    }
    assert told == expected


def _write(file: Path) -> dict[str, tuple[int, int, int, int]]:
    """Rows like the real ones; returns month of arrival -> (bookings, cancellations, nights, revenue in cents)."""
    chance = random.Random(7)
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for number in range(ROWS):
            month, day, nights = chance.randint(7, 9), chance.randint(1, 28), chance.randint(1, 7)
            cents, cancelled = chance.randint(0, 30_000), chance.random() < 0.35
            row = {
                "hotel": "Resort Hotel",
                "is_canceled": int(cancelled),
                "lead_time": chance.randint(0, 300),
                "arrival_date_year": 2016,
                "arrival_date_month": ["July", "August", "September"][month - 7],
                "arrival_date_day_of_month": day,
                "stays_in_weekend_nights": nights // 3,
                "stays_in_week_nights": nights - nights // 3,
                "adults": 2,
                "children": "NA" if number == 5 else chance.randint(0, 2),
                "babies": 0,
                "reserved_room_type": chance.choice("AD"),
                "deposit_type": "No Deposit",
                "adr": f"{cents / 100:.2f}",
                "reservation_status_date": f"2016-{month:02}-{day:02}",
            }
            writer.writerow(row | BROKEN.get(number, {}))
            if number not in BROKEN:
                totals = sums[f"2016-{month:02}-01"]
                for index, value in enumerate((1, int(cancelled), nights, cents * nights)):
                    totals[index] += value
    return {month: (b, c, n, r) for month, (b, c, n, r) in sums.items()}
