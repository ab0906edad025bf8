"""The API described: OpenAPI with examples, a page to read it on that needs nothing from elsewhere, and AsyncAPI."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, Router, get
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme
from litestar.types import Method

from api.http.docs_page import render_docs
from api.http.examples import EXAMPLES, Example
from api.http.requests import ApiRequest
from api.http.security import PUBLIC
from api.http.views import FieldError, Problem

_PROBLEM: dict[str, Any] = {
    "description": "A problem document (RFC 9457).",
    "content": {
        "application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "example": {
                "type": "urn:nightledger:problem:invalid-request",
                "title": "Invalid request",
                "status": 400,
                "detail": "check_in: must not be in the past",
                "instance": "urn:uuid:0199d3a1-6f0e-7c44-9d2f-8a3f5b0d9c11",
                "errors": [{"field": "check_in", "message": "must not be in the past"}],
            },
        }
    },
}
_PROBLEM_SCHEMAS: dict[str, Any] = {
    model.__name__: {
        name: value
        for name, value in model.model_json_schema(ref_template="#/components/schemas/{model}").items()
        if name != "$defs"
    }
    for model in (Problem, FieldError)
}
_HEADERS: dict[str, str] = {
    "Idempotency-Key": "A text of the client's own, new for each request and kept for its repetitions.",
    "Prefer": "`wait=SECONDS` (at most 30): answer when the outcome is known, or after that time.",
    "If-Match": "The ETag that the resource must still have; 412 otherwise.",
    "X-Position": "From a command's answer: what is read has it in it (waits at most 2 seconds).",
    "Last-Event-ID": "Go on after this event.",
}
_HEADERS_OF: dict[str, tuple[str, ...]] = {
    "open_hotel": ("Idempotency-Key",),
    "add_room_type": ("Idempotency-Key",),
    "add_rate_plan": ("Idempotency-Key",),
    "change_hotel": ("If-Match",),
    "set_prices": ("If-Match",),
    "set_allotment": ("If-Match",),
    "set_restrictions": ("If-Match",),
    "request_booking": ("Idempotency-Key", "Prefer"),
    "cancel_booking": ("Idempotency-Key", "Prefer", "If-Match"),
    "quote_modification": ("X-Position",),
    "modify_booking": ("Idempotency-Key", "Prefer"),
    "refund_payment": ("Idempotency-Key",),
    "write_review": ("Idempotency-Key",),
    "reply_to_review": ("Idempotency-Key",),
    "moderate_review": ("Idempotency-Key",),
    "list_reviews": ("X-Position",),
    "check_in": ("Idempotency-Key", "If-Match"),
    "check_out": ("Idempotency-Key", "If-Match"),
    "record_no_show": ("Idempotency-Key", "If-Match"),
    "search_hotels": ("X-Position",),
    "suggest_hotels": ("X-Position",),
    "get_hotel": ("X-Position",),
    "get_offers": ("X-Position",),
    "get_availability": ("X-Position",),
    "list_bookings": ("X-Position",),
    "stream_booking": ("Last-Event-ID",),
}
_REQUIRED_IN = {("request_booking", "Idempotency-Key"), ("refund_payment", "Idempotency-Key")}
_FORM = {
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {
            "schema": {
                "type": "object",
                "required": ["grant_type"],
                "properties": {
                    "grant_type": {"type": "string", "enum": ["refresh_token", "client_credentials"]},
                    "refresh_token": {"type": "string"},
                    "client_id": {"type": "string", "format": "uuid"},
                    "client_secret": {"type": "string"},
                },
            }
        }
    },
}


class DocsPage(OpenAPIRenderPlugin):
    """Renders the page at /docs on the server."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        del openapi_schema
        return render_docs(described(request)).encode()


def openapi_config(version: str) -> OpenAPIConfig:
    """How Litestar describes the routes; ``described`` completes it."""
    return OpenAPIConfig(
        title="Nightledger",
        version=version,
        description=(
            "A hotel booking platform in which every night sold is on the record. Begin with POST /v1/auth/register, "
            "then /v1/auth/login; search, look at offers, and book with `Idempotency-Key` and `Prefer: wait=20`."
        ),
        license=License(name="MIT", identifier="MIT"),
        components=Components(
            security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
        ),
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
        render_plugins=[DocsPage(path="/", media_type=MediaType.HTML)],
        openapi_router=Router("/docs", opt=PUBLIC, route_handlers=[], include_in_schema=False),
    )


def described(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The OpenAPI document, made once per application."""
    state = request.app.state
    if "described" not in state:
        document = request.app.openapi_schema.to_schema()
        document["components"]["schemas"] |= _PROBLEM_SCHEMAS
        for path in document["paths"].values():
            for operation in path.values():
                _complete(operation)
        state["described"] = document
    described: dict[str, Any] = state["described"]
    return described


@get("/openapi.json", include_in_schema=False)
async def get_openapi(request: ApiRequest) -> Response[dict[str, Any]]:
    """The OpenAPI document."""
    return Response(described(request), headers={"Cache-Control": "no-cache"})


@get("/asyncapi.json", include_in_schema=False)
async def get_asyncapi(request: ApiRequest) -> Response[dict[str, Any]]:
    """The AsyncAPI document of all messages between services."""
    return Response(dict(request.platform.operations.asyncapi()), headers={"Cache-Control": "no-cache"})


def _operation_id(handler: HTTPRouteHandler, method: Method, components: list[Any]) -> str:
    """Handlers' names are unique, and good names of operations."""
    del method, components
    return handler.handler_name


def _complete(operation: dict[str, Any]) -> None:
    """Add what cannot be seen from the handlers: headers, the problem that any route may answer with, examples."""
    name = operation["operationId"]
    operation["summary"] = name.replace("_", " ").capitalize()
    operation["responses"] = {
        status: answer
        for status, answer in operation["responses"].items()
        if "application/problem+json" in answer.get("content", {}) or answer.get("description") not in _GENERATED
    } | {"default": _PROBLEM}
    if name == "exchange_token":
        operation["requestBody"] = _FORM
    for header in _HEADERS_OF.get(name, ()):
        parameter = {
            "name": header,
            "in": "header",
            "required": (name, header) in _REQUIRED_IN,
            "description": _HEADERS[header],
            "schema": {"type": "string"},
        }
        operation.setdefault("parameters", []).append(parameter)
    _add_examples(operation, EXAMPLES.get(name))


def _add_examples(operation: dict[str, Any], example: Example | None) -> None:
    if example is None:
        return
    if example.request is not None:
        for content in operation["requestBody"]["content"].values():
            content["example"] = example.request
    if example.answer is not None:
        status = min(status for status in operation["responses"] if status.startswith("2"))
        for content in operation["responses"][status]["content"].values():
            content["example"] = example.answer


_GENERATED = frozenset({"Bad request syntax or unsupported method", "Validation Exception"})
"""Descriptions of the answers that Litestar adds for its own errors, which are problems here."""

machines_router = Router("/", opt=PUBLIC, route_handlers=[get_openapi, get_asyncapi])
