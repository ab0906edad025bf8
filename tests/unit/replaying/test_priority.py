"""How a filling process competes for the processor: seen in another process, because it cannot be taken back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from infra.bootstrap.interpreter import take_priority
take_priority(sys.argv[1])
print(os.nice(0), os.sched_getscheduler(0))
"""


@pytest.mark.parametrize(
    ("priority", "nicer", "policy"),
    [("idle", 19, os.SCHED_IDLE), ("low", 10, os.SCHED_OTHER), ("normal", 0, os.SCHED_OTHER)],
)
def test_a_process_takes_the_priority_that_it_is_given(priority: str, nicer: int, policy: int) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, priority], capture_output=True, text=True, check=True)
    nicest = 19
    assert done.stdout.split() == [str(min(nicest, os.nice(0) + nicer)), str(policy)]
