"""How the command line tells what happened: the same words in every list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def about(details: Mapping[str, Any]) -> str:
    """What a saga's event is about, which its type does not say: the command, or the step; empty for other events."""
    if "command" in details:
        return f"{details['command']}"
    if "step" in details:
        return f"{details['step'] or '-'} ({details.get('status', '')})"
    return ""


def time_of_day(moment: str) -> str:
    """Hours to milliseconds of an ISO time in UTC."""
    return moment.partition("T")[2][:12].rstrip("Z").partition("+")[0]
