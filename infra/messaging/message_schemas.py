"""What each kind of event and command says, as JSON schemas that are added to the AsyncAPI document.

FastStream describes the envelopes, whose ``data`` and ``content`` are any objects. Here every list of envelopes becomes
one of those that can be in it, each with its name as a constant and its content described.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

_AT = "#/components/schemas/"


def describe(
    document: dict[str, Any], envelope: str, named: str, content: str, types: Mapping[str, type[BaseModel]]
) -> None:
    """Say in ``document`` what ``envelope`` (a schema of it) may carry.

    ``types`` by wire name, which the envelope has in its property ``named``; what is said is in ``content``. A payload
    that is a list of envelopes, and whose title names a context (``events of hotels:...``), lists those of that one.
    """
    schemas: dict[str, Any] = document["components"]["schemas"]
    references, described = models_json_schema(
        [(each, "serialization") for each in types.values()], ref_template=f"{_AT}{{model}}"
    )
    for name, schema in described.get("$defs", {}).items():
        schemas.setdefault(name, schema)
    for name, each in types.items():
        schemas[name] = {
            "title": name,
            "description": (each.__doc__ or "").strip(),
            "allOf": [{"$ref": _AT + envelope}],
            "properties": {named: {"const": name}, content: references[each, "serialization"]},
        }
    for title, schema in schemas.items():
        if schema.get("items") == {"$ref": _AT + envelope} and (
            names := _of_context(title.partition(":")[0].rpartition(" ")[2], list(types))
        ):
            schema["items"] = {"oneOf": [{"$ref": _AT + name} for name in names]}


def _of_context(context: str, names: Sequence[str]) -> Sequence[str]:
    return sorted(name for name in names if name.startswith(f"{context}."))
