"""Problem documents (RFC 9457): every error is one, with a stable type ``urn:nightledger:problem:<name>``."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from api.http.request_ids import request_id_of
from commands.ports import RequestInFlight, ServiceUnavailable, Temporary
from commands.security import ReauthenticationRequired
from domain.shared.errors import DomainError, Unauthenticated

TYPE_PREFIX = "urn:nightledger:problem:"
MEDIA_TYPE = "application/problem+json"
RETRY_SOON_SECONDS = 1
_NAMES = {
    400: "invalid-request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "content-too-large",
    415: "unsupported-media-type",
    429: "too-many-requests",
    503: "service-unavailable",
}

log = structlog.get_logger(__name__)


class UnsupportedMediaType(DomainError):
    """The body is of a kind that the route does not read."""

    problem = "unsupported-media-type"
    status = 415


class TooManyRequests(DomainError):
    """The asker has used up what a minute allows; ``retry_after`` is in seconds."""

    problem = "too-many-requests"
    status = 429

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


def problem(
    request: Request[Any, Any, Any],
    status: int,
    name: str,
    detail: str,
    *,
    errors: Sequence[tuple[str, str]] = (),
    headers: dict[str, str] | None = None,
) -> Response[dict[str, Any]]:
    """A problem document; ``errors`` are (field, message) pairs."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + name,
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "instance": f"urn:uuid:{request_id_of(request.scope)}",
    }
    if errors:
        body["errors"] = [{"field": field, "message": message} for field, message in errors]
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _domain_error(request: Request[Any, Any, Any], error: DomainError) -> Response[dict[str, Any]]:
    headers: dict[str, str] = {}
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, RequestInFlight | ServiceUnavailable):
        headers["Retry-After"] = str(RETRY_SOON_SECONDS)
    elif isinstance(error, ReauthenticationRequired):
        challenge = f'Bearer realm="nightledger", error="insufficient_user_authentication", max_age="{error.max_age}"'
        headers["WWW-Authenticate"] = challenge
    elif isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="nightledger"'
    return problem(request, error.status, error.problem, error.detail, errors=error.errors, headers=headers)


def _temporary(request: Request[Any, Any, Any], error: Temporary) -> Response[dict[str, Any]]:
    log.warning("request failed for lack of a server", error=str(error), **_place(request))
    detail = "a server that this needs is away at the moment; repeat the request"
    return problem(request, 503, _NAMES[503], detail, headers={"Retry-After": str(RETRY_SOON_SECONDS)})


def _validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[dict[str, Any]]:
    found = error.extra if isinstance(error.extra, list) else []
    errors = [(_name(request, each.get("key", "body")), str(each.get("message", "is not valid"))) for each in found]
    detail = "; ".join(f"{field}: {message}" for field, message in errors) or error.detail
    return problem(request, error.status_code, _NAMES[400], detail, errors=errors)


def _name(request: Request[Any, Any, Any], key: str) -> str:
    """A field or parameter as clients know it, which is not always what the handler calls it."""
    parameter = request.route_handler.parsed_fn_signature.parameters.get(key)
    return getattr(parameter and parameter.kwarg_definition, "name", None) or key


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(request, error)
    name = _NAMES.get(error.status_code, HTTPStatus(error.status_code).phrase.lower().replace(" ", "-"))
    detail = _DETAILS.get(error.status_code, error.detail)
    return problem(request, error.status_code, name, detail, headers=dict(error.headers or {}))


_DETAILS = {
    404: "there is nothing at this address",
    405: "this address does not know the method; Allow names those that it knows",
    413: "the body is larger than this route takes",
}


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    log.error("request failed", exc_info=error, **_place(request))
    detail = "this is a fault of ours; it was logged under the request id, which is in X-Request-Id"
    return problem(request, 500, "internal-error", detail)


def _place(request: Request[Any, Any, Any]) -> dict[str, str]:
    return {"method": request.method, "path": request.scope["path"], "request_id": str(request_id_of(request.scope))}


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    DomainError: _domain_error,
    Temporary: _temporary,
    ValidationException: _validation,
    HTTPException: _http,
    Exception: _unexpected,
}
