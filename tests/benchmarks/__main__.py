"""``make bench``: ratios against a named baseline, measured in one run on one machine. Gates nothing.

``python -m tests.benchmarks [eventstore] [replays] [reads] [audits]`` runs some. Writes ``build/benchmarks.json`` and
prints the same as a table. PostgreSQL is the embedded one, with fsync on; seeds are fixed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import uvloop

from infra.bootstrap.interpreter import collect_less_often
from infra.embedded.postgres import EmbeddedPostgres
from infra.eventstore.pool import create_pool
from tests.benchmarks import audits, eventstore, reads, replays
from tests.benchmarks.reporting import Result, report

SUBJECTS = ("eventstore", "replays", "reads", "audits")


async def main(subjects: list[str]) -> list[Result]:
    """Run ``subjects``, each with a server of its own."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="nightledger-bench-") as name:
        folder = Path(name)
        for subject in subjects:
            if subject in {"reads", "audits"}:
                results += await (reads if subject == "reads" else audits).results(folder / subject)
                continue
            with EmbeddedPostgres(folder / f"postgres-{subject}") as server:
                async with await create_pool(server.url, max_size=eventstore.CLIENTS + 8) as pool:
                    results += await (
                        eventstore.results(pool) if subject == "eventstore" else replays.results(pool, folder)
                    )
    return results


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(SUBJECTS)
    if unknown := set(chosen) - set(SUBJECTS):
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
    collect_less_often()
    report(uvloop.run(main(chosen)))
