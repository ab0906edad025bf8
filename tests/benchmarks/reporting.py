"""How results are stated: one table, and the same as JSON with the machine they were had on."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Result = dict[str, Any]
COLUMNS = ("name", "how", "per_second", "of_baseline", "p50_ms", "p95_ms", "p99_ms", "note")


def latencies(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {f"p{cut}_ms": round(cuts[cut - 1] * 1_000, 2) for cut in (50, 95, 99)}


def against(baseline: Result, ours: Result) -> list[Result]:
    """Both, ours with its part of the baseline's rate."""
    return [baseline, ours | {"of_baseline": round(ours["per_second"] / baseline["per_second"], 2)}]


def report(results: Sequence[Result]) -> None:
    """Print all, and write ``build/benchmarks.json``."""
    machine: dict[str, Any] = {
        "cpus": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
        "machine": platform.machine(),
        "fsync": True,
    }
    file = Path("build", "benchmarks.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": machine, "results": list(results)}, indent=2))
    title = f"{machine['cpus']} CPUs, load {machine['load'][0]}, PostgreSQL with fsync"
    table = Table(*COLUMNS, title=title, box=None)
    for result in results:
        table.add_row(*(str(result.get(column, "")) for column in COLUMNS))
    Console(width=200).print(table)
