"""What holds for every route: who may come in, what it is described as, and that no input makes it fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from pydantic import BaseModel, TypeAdapter

from api.http.app import create_app
from api.http.examples import EXAMPLES
from api.http.security import Access
from tests.unit.api.conftest import SETTINGS, World, ok, refused, world_of
from tests.unit.api.fakes import Memory

SHORT_ON_EXAMPLES = {
    "log_out": "answers nothing",
    "stream_booking": "is a stream",
    "seed_demo": "is a stream",
    "get_metrics": "is text",
    "import_hotels": "is for the command line",
    "import_bookings": "is for the command line",
    "trace": "is for the command line",
    "get_dead_letter": "is never there in good times",
    "retry_dead_letters": "is never needed in good times",
    "retry_dead_letter": "is never needed in good times",
    "discard_dead_letters": "is never needed in good times",
    "discard_dead_letter": "is never needed in good times",
    "retry_saga": "is never needed in good times",
    "compensate_saga": "is never needed in good times",
    "quote_cancellation": "shows no more than its schema",
}


def handlers(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    """Every route of the API with its handler, but for the answers to OPTIONS."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", []):
            if handler.http_methods != {"OPTIONS"} and not handler.opt.get("page"):
                yield f"{'/'.join(sorted(handler.http_methods))} {route.path}", handler


@pytest.fixture
def app(memory: Memory) -> Litestar:
    return create_app(memory.platform, SETTINGS)


def test_every_route_says_whom_it_is_for(app: Litestar) -> None:
    found = dict(handlers(app))
    assert len(found) > 40
    for name, handler in found.items():
        guarded = any(isinstance(guard, Access) for guard in handler.resolve_guards())
        assert guarded != bool(handler.opt.get("public")), f"{name} has neither roles nor the mark 'public', or both"


def test_only_these_routes_are_public(app: Litestar) -> None:
    public = {name for name, handler in handlers(app) if handler.opt.get("public")}
    assert public == {
        "GET /.well-known/jwks.json",
        "GET /.well-known/oauth-authorization-server",
        "GET /asyncapi.json",
        "GET /docs",
        "GET /docs/openapi.json",
        "GET /docs/{path:str}",
        "GET /health/live",
        "GET /health/ready",
        "GET /metrics",
        "GET /openapi.json",
        "GET /v1/hotels",
        "GET /v1/hotels/suggestions",
        "GET /v1/hotels/{hotel_id:uuid}",
        "GET /v1/hotels/{hotel_id:uuid}/availability",
        "GET /v1/hotels/{hotel_id:uuid}/offers",
        "GET /v1/hotels/{hotel_id:uuid}/reviews",
        "POST /v1/auth/login",
        "POST /v1/auth/register",
        "POST /v1/auth/token",
    }


async def test_no_guarded_route_opens_without_a_token(world: World, app: Litestar) -> None:
    for name, handler in handlers(app):
        if not handler.opt.get("public"):
            method, _, path = name.partition(" ")
            address = path.replace(":uuid}", "}").replace(":str}", "}")
            filled = "/".join(str(uuid4()) if part.startswith("{") else part for part in address.split("/"))
            refused(await world.anonymous.request(method, filled, content=b"{}"), 401, "unauthenticated")


async def test_the_description_is_complete(world: World) -> None:
    document = ok(await world.anonymous.get("/openapi.json"))
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["description"], where
            assert "default" in operation["responses"], where
            assert "400" not in operation["responses"] or operation["operationId"] == "exchange_token", where
            assert bool(operation.get("security")) == (
                operation["operationId"] not in {"get_hotel", "search_hotels", "suggest_hotels"}
                and _is_guarded(path, method)
            ), where
            if operation["operationId"] not in SHORT_ON_EXAMPLES:
                assert operation["operationId"] in EXAMPLES, where
    text = orjson.dumps(document).decode()
    for reference in {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in document["components"]["schemas"]


def _is_guarded(path: str, method: str) -> bool:
    if path.startswith("/v1/hotels"):
        return method != "get"
    return path.startswith("/v1/") and path not in {"/v1/auth/login", "/v1/auth/register", "/v1/auth/token"}


def test_examples_are_what_their_models_say(app: Litestar) -> None:
    checked = 0
    for _, handler in handlers(app):
        example = EXAMPLES.get(handler.handler_name)
        if example is None:
            continue
        data = handler.parsed_data_field
        if example.request is not None and data is not None:
            TypeAdapter(data.annotation).validate_python(example.request)
        specs: list[ResponseSpec] = [spec for status, spec in (handler.responses or {}).items() if status < 300]
        for model in (spec.data_container for spec in specs):
            if isinstance(model, type) and issubclass(model, BaseModel):  # else the answer has no content
                model.model_validate(example.answer)
                checked += 1
    assert checked > 25


async def test_the_page_needs_nothing_from_elsewhere(world: World) -> None:
    answer = await world.anonymous.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "POST</span>" in answer.text or "post</span>" in answer.text
    assert "/v1/bookings" in answer.text
    for outside in ("<script", "src=", "@import", "<link"):
        assert outside not in answer.text


async def test_request_ids(world: World) -> None:
    given_id = str(uuid4())
    answer = await world.anonymous.get("/health/live", headers={"X-Request-Id": given_id})
    assert answer.headers["x-request-id"] == given_id
    for odd in ("", "1", "a" * 36, "x" * 5000, f"{given_id}\t"):
        answer = await world.anonymous.get("/nowhere", headers={"X-Request-Id": odd})
        problem = refused(answer, 404, "not-found")
        assert problem["instance"].removeprefix("urn:uuid:") != odd
    client = await world.as_("hotelier")
    await client.patch(f"/v1/hotels/{uuid4()}", json={}, headers={"X-Request-Id": given_id})


async def test_addresses_and_methods_that_do_not_exist(world: World) -> None:
    for path in (
        "/v1",
        "/v1/hotels/not-a-uuid",
        "/v1/bookings/%00",
        "/v1/%ff",
        "/..%2f..%2fetc",
        "/v1/hotels/" + "a" * 5000,
    ):
        refused(await world.anonymous.get(path), 404, "not-found")
    answer = await world.anonymous.delete("/v1/hotels")
    refused(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["allow"]


JSON = {"Content-Type": "application/json"}
BODIES: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"{", JSON, 400, "invalid-request"),
    (b"", JSON, 400, "invalid-request"),
    (b"null", JSON, 400, "invalid-request"),
    (b"[]", JSON, 400, "invalid-request"),
    (b'"x"', JSON, 400, "invalid-request"),
    (b'{"email": NaN}', JSON, 400, "invalid-request"),
    (b'{"email": Infinity, "password": "x"}', JSON, 400, "invalid-request"),
    (b'{"email": 1e999, "password": "x"}', JSON, 400, "invalid-request"),
    (b'{"email": "\xff\xfe", "password": "x"}', JSON, 400, "invalid-request"),
    (b'{"email": "\\ud800", "password": "x"}', JSON, 400, "invalid-request"),
    (b'{"email": "a\\u0000b", "password": "x"}', JSON, 400, "invalid-request"),
    (b'{"a\\u0000b": "a", "password": "x"}', JSON, 400, "invalid-request"),
    (b"[" * 30 + b"]" * 30, JSON, 400, "invalid-request"),
    (b"[" * 30_000, JSON, 400, "invalid-request"),
    (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, JSON, 400, "invalid-request"),
    (b'{"email": ' + b"9" * 5_000 + b"}", JSON, 400, "invalid-request"),
    (b'{"email": "' + b"a" * 1_000_000 + b'"}', JSON, 413, "content-too-large"),
    (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
    (b"{}", {"Content-Type": "application/xml"}, 415, "unsupported-media-type"),
    (b"{}", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "unsupported-media-type"),
    (b"{}", {"Content-Type": "application/x-msgpack"}, 415, "unsupported-media-type"),
    (b"{}", {}, 415, "unsupported-media-type"),
]


@pytest.mark.parametrize(("body", "headers", "status", "name"), BODIES, ids=[str(case[0][:20]) for case in BODIES])
async def test_bodies_that_cannot_be_read(
    world: World, body: bytes, headers: dict[str, str], status: int, name: str
) -> None:
    refused(await world.anonymous.post("/v1/auth/login", content=body, headers=headers), status, name)


async def test_forms_that_cannot_be_read(world: World) -> None:
    client = world.anonymous
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(await client.post("/v1/auth/token", json={"grant_type": "refresh_token"}), 415, "unsupported-media-type")
    refused(await client.post("/v1/auth/token", content=b"a" * 1_000_000, headers=form), 413, "content-too-large")
    refused(await client.post("/v1/auth/token", content=b"grant_type=\xff", headers=form), 400, "invalid-request")
    assert (await client.post("/v1/auth/token", content=b"%ff=%fe&=&&", headers=form)).status_code == 400


TEXT = st.text(max_size=30) | st.sampled_from(
    ["tok_ok", "2026-07-01", "EUR", "100.00", "flexible", "a@example.com", "\0"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
ASKED: list[tuple[str, str, str]] = [
    ("register_account", "POST", "/v1/auth/register"),
    ("log_in", "POST", "/v1/auth/login"),
    ("change_me", "PATCH", "/v1/me"),
    ("open_hotel", "POST", "/v1/hotels"),
    ("change_hotel", "PATCH", "/v1/hotels/{id}"),
    ("add_room_type", "POST", "/v1/hotels/{id}/room-types"),
    ("add_rate_plan", "POST", "/v1/hotels/{id}/rate-plans"),
    ("set_prices", "PUT", "/v1/hotels/{id}/rate-plans/{id}/prices"),
    ("set_allotment", "PUT", "/v1/hotels/{id}/room-types/{id}/allotment"),
    ("set_restrictions", "PUT", "/v1/hotels/{id}/room-types/{id}/restrictions"),
    ("request_booking", "POST", "/v1/bookings"),
    ("cancel_booking", "POST", "/v1/bookings/{id}/cancellation"),
    ("act_on_payment", "POST", "/v1/payments/{id}/action"),
]


@st.composite
def spoilt(draw: st.DrawFn, example: dict[str, Any]) -> Any:
    """A good body in which a few things are exchanged for others, left out or added; or something else altogether."""
    body: dict[str, Any] = dict(example)
    for field in draw(st.lists(st.sampled_from([*example, "more"]), max_size=3)):
        if draw(st.booleans()):
            body[field] = draw(VALUES)
        else:
            body.pop(field, None)
    return draw(st.just(body) | VALUES) if draw(st.integers(0, 9)) == 0 else body


@pytest.mark.parametrize(("operation", "method", "path"), ASKED, ids=[case[0] for case in ASKED])
def test_no_body_makes_a_route_fail(operation: str, method: str, path: str) -> None:
    example = EXAMPLES[operation].request

    async def ask(body: Any, client: httpx.AsyncClient) -> None:
        try:
            content = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:
            return  # not something that JSON can say
        headers = JSON | {"Idempotency-Key": uuid4().hex}
        answer = await client.request(method, path.replace("{id}", str(uuid4())), content=content, headers=headers)
        assert answer.status_code < 500, (body, answer.text)
        if answer.status_code >= 400:
            refused(answer, answer.status_code, answer.json()["type"].rpartition(":")[2])

    with asyncio.Runner() as runner:
        world, client = runner.run(_started())

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(spoilt(example))
        def property_holds(body: Any) -> None:
            runner.run(ask(body, client))

        property_holds()
        runner.run(world.__aexit__())


async def _started() -> tuple[world_of, httpx.AsyncClient]:
    made = world_of(Memory())
    world = await made.__aenter__()
    as_: Callable[..., Awaitable[httpx.AsyncClient]] = world.as_
    return made, await as_("admin", "guest", "hotelier")
