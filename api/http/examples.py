"""Examples of the API's documentation: requests and their answers as they were once given, long lists cut short."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Example:
    """What was asked (None: no body) and what was answered (None: no content) by one operation."""

    request: Any
    answer: Any


def _read() -> dict[str, Example]:
    kept = orjson.loads(files("api.http").joinpath("examples.json").read_bytes())
    return {operation: Example(**example) for operation, example in kept.items()}


EXAMPLES = _read()
"""By operation id. A test holds each against the models that describe the operation."""
