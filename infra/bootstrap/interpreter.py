"""How a process of the platform wants Python to run it, and the system to run Python."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

from infra.settings import Priority


def collect_less_often() -> None:
    """Look for garbage in cycles more rarely: what events are made of has none, and is made by the thousand.

    With Python's own thresholds the collector takes half of the time in which a log is read. The first counts objects
    that are made and not yet freed: 500 events, which are read at once, are some 15,000, and must not set it off each
    time. The second keeps pauses below ten milliseconds.
    """
    gc.freeze()
    gc.set_threshold(20_000, 2, 1_000)


def share_with_threads() -> None:
    """Let a thread that is busy in Python give way ten times sooner than by itself.

    Each time that the event loop wants to go on it waits for that, and a request comes back to it some twenty times.
    """
    sys.setswitchinterval(0.0005)


def take_priority(priority: Priority) -> None:
    """Compete for the processor with other processes as ``priority`` says, for as long as this one lives.

    ``idle``: have it only when nobody else wants it, and give it back at once (on Linux; elsewhere as nice as can be).
    A niceness only makes the part small: the processor is kept for some milliseconds at a time, which others wait for.
    """
    if priority == "normal":
        return
    os.nice(10 if priority == "low" else 19)
    if priority == "idle" and sys.platform == "linux":
        with suppress(PermissionError):  # anybody may, but for the rules of some containers: then it is only nice
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
