"""The page at /docs, rendered here from the OpenAPI document: no script, nothing from elsewhere, readable offline."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1.5rem; }
nav a { margin-right: 1rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; }
summary { cursor: pointer; padding: .5rem .8rem; } details > div { padding: 0 .8rem .8rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { background: var(--soft); padding: .7rem; overflow: auto; }
.method { display: inline-block; width: 3.6rem; font-weight: 700; text-transform: uppercase; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .2rem .8rem .2rem 0;
vertical-align: top; } td { border-top: 1px solid var(--line); } .lock { float: right; opacity: .7; }
"""


def render_docs(document: Mapping[str, Any]) -> str:
    """The whole page for an OpenAPI document."""
    info = document["info"]
    sections: defaultdict[str, list[str]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = operation.get("tags", ["Other"])[0].capitalize()
            sections[tag].append(_operation(document, method, path, operation))
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in sections)
    parts = "".join(f'<h2 id="{escape(tag)}">{escape(tag)}</h2>{"".join(found)}' for tag, found in sections.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>"
        f"<p>{_prose(info.get('description', ''))}</p>"
        '<p>For machines: <a href="/openapi.json">openapi.json</a>, <a href="/asyncapi.json">asyncapi.json</a>.</p>'
        f"<nav>{links}</nav>{parts}</body></html>"
    )


def _operation(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> str:
    lock = '<span class="lock">access token</span>' if operation.get("security") else ""
    body = operation.get("requestBody", {}).get("content", {})
    answers = "".join(
        f"<h4>{escape(status)}: {escape(answer.get('description', ''))}</h4>"
        f"{_contents(document, answer.get('content', {}))}"
        for status, answer in sorted(operation["responses"].items())
        if status != "default"
    )
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><span class="method">{escape(method)}</span>'
        f"<code>{escape(path)}</code> {escape(operation['summary'])}{lock}</summary><div>"
        f"<p>{_prose(operation.get('description', ''))}</p>{_parameters(operation.get('parameters', ()))}"
        f"{'<h4>Body</h4>' + _contents(document, body) if body else ''}{answers}</div></details>"
    )


def _parameters(parameters: Iterable[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code>{' *' if each.get('required') else ''}</td>"
        f"<td>{escape(each['in'])}</td><td><code>{escape(_type_of(each['schema']))}</code></td>"
        f"<td>{_prose(each.get('description', ''))}</td></tr>"
        for each in parameters
    )
    return f"<table><tr><th>Parameter</th><th>In</th><th>Type</th><th></th></tr>{rows}</table>" if rows else ""


def _contents(document: Mapping[str, Any], contents: Mapping[str, Any]) -> str:
    return "".join(
        f"<p><code>{escape(media_type)}</code></p>{_fields(document, content.get('schema', {}))}"
        f"{_example(content['example']) if 'example' in content else ''}"
        for media_type, content in contents.items()
    )


def _fields(document: Mapping[str, Any], schema: Schema) -> str:
    found = _resolved(document, schema)
    required = found.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' *' if name in required else ''}</td>"
        f"<td><code>{escape(_type_of(field))}</code></td><td>{_prose(field.get('description', ''))}</td></tr>"
        for name, field in found.get("properties", {}).items()
    )
    about = f"<p>{_prose(found['description'])}</p>" if found.get("description") else ""
    return f"{about}<table>{rows}</table>" if rows else about


def _example(example: Any) -> str:
    return f"<pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"


def _resolved(document: Mapping[str, Any], schema: Schema) -> Schema:
    alternatives = schema.get("oneOf", schema.get("anyOf", ()))
    reference = next((each["$ref"] for each in (schema, *alternatives) if "$ref" in each), None)
    if reference is None:
        return schema
    found: Schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _type_of(schema: Schema) -> str:
    """A type in a few words, such as ``string (date)`` or ``RoomTypeView[]``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2].rpartition("_")[2]
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return " | ".join(dict.fromkeys(_type_of(each) for each in schema[several]))
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"{_type_of(schema.get('items', {}))}[]"
    kind = schema.get("type", "any")
    name = " | ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{name} ({schema['format']})" if "format" in schema else name


def _prose(text: str) -> str:
    """Escaped text with ``code`` shown as such."""
    parts = escape(text).replace("``", "`").split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
