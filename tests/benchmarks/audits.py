"""How fast the audit reads the log, every rule on each event, against reading and decoding the log and nothing else.

The platform is the embedded default, in one process, as ``nightledger serve`` runs it. What follows the reading, the
comparison with the stores, is not counted.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import httpx

from commands.ports import START
from infra.embedded.postgres import EmbeddedPostgres
from infra.eventstore.pool import create_pool
from infra.eventstore.store import PostgresEventStore
from tests.benchmarks import books
from tests.benchmarks.busy_platform import PATIENCE_SECONDS, platform_with_busy_years
from tests.benchmarks.reporting import Result
from tests.e2e.running import ok
from tests.e2e.stories import until

HOTELS = 500
BOOKINGS = 15_000
ROUNDS = 3
_AT_ONCE = 500


async def results(folder: Path) -> list[Result]:
    """Audits by samples and in full, after a plain reading of the same log."""
    async with platform_with_busy_years(folder, HOTELS, BOOKINGS) as operator:
        sampled = [await _audited(operator) for _ in range(ROUNDS)]
        full = [await _audited(operator, full=True) for _ in range(ROUNDS)]
    with EmbeddedPostgres(folder / "data" / "postgres") as server:
        count, seconds = await _read_only(server.url)
    how = f"{count} events, median of {ROUNDS}"
    baseline: Result = {"name": "baseline: the log is read", "how": how, "per_second": round(count / seconds)}
    measured = [baseline]
    for name, rates in (("audit by samples", sampled), ("audit --full", full)):
        rate = statistics.median(rates)
        of_baseline = round(rate / baseline["per_second"], 2)
        measured.append({"name": name, "how": how, "per_second": round(rate), "of_baseline": of_baseline})
    return measured


async def _audited(operator: httpx.AsyncClient, *, full: bool = False) -> float:
    """Events per second of one audit. Fails if it finds anything."""
    audit = ok(await operator.post("/v1/ops/audits", json={"full": full}), 202)

    async def ended() -> bool:
        audit.update(ok(await operator.get(f"/v1/ops/audits/{audit['audit_id']}")))
        return bool(audit["state"] != "running")

    await until(ended, seconds=PATIENCE_SECONDS)
    wrong = {check["name"]: check["skipped"] or check["violations"][:1] for check in audit["checks"]}
    assert audit["state"] == "finished", audit["error"]
    assert not any(wrong.values()), wrong
    rate: float = audit["events_per_second"]
    return rate


async def _read_only(url: str) -> tuple[int, float]:
    """Events in all logs, and the median of the seconds in which they are read."""
    count, seconds = 0, []
    async with await create_pool(url) as pool:
        for _ in range(ROUNDS):
            began, count = time.perf_counter(), 0
            for context in books.CONTEXTS:
                log = PostgresEventStore(pool, context)
                end = await log.head()
                run = await log.read_log(START, _AT_ONCE, up_to=end)
                while run.position != run.prev:
                    count += len(run.events)
                    run = await log.read_log(run.position, _AT_ONCE, up_to=end)
            seconds.append(time.perf_counter() - began)
    return count, statistics.median(seconds)
