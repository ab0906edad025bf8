"""Errors as pages that say what to do, for people; everybody else gets the API's problem documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import structlog
from litestar import Request
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from api.web.client import ApiProblem
from api.web.forms import FormRefused
from api.web.rendering import Page, page, see
from api.web.visitors import PageRequest, SignInNeeded

_TITLES = {
    400: ("That does not look right", "Something in the address or the form cannot be understood."),
    403: ("Please try that again", "The form was open for too long or came from somewhere else. Nothing was changed."),
    404: ("Nothing here", "This page does not exist, or it is somebody else's."),
    405: ("Nothing here", "This page does not exist, or it is somebody else's."),
    409: ("That has changed meanwhile", "Somebody was faster, or it was done before. Look at it again."),
    413: ("That is too much", "The form is larger than we accept."),
    429: ("One moment, please", "That was tried very often in a short time. Wait a minute and try again."),
    503: ("We are not quite there", "A part of Nightledger is away for a moment. Please try again shortly."),
}
_FAULT = ("That is our fault", "Something went wrong on our side, and we have a record of it. Please try again.")
_UNAUTHENTICATED, _SERVER_ERROR = 401, 500

log = structlog.get_logger(__name__)
Asked = Request[Any, Any, Any]
"""What exception handlers are given: a request of the application's class, not of the pages'."""
Handler = Callable[[Asked, Any], Any]


def error_page(request: Asked, status: int, detail: str = "") -> Page:
    """A page for one status; ``detail`` is added for what a visitor can mend."""
    title, text = _TITLES.get(status, _TITLES[400] if status < _SERVER_ERROR else _FAULT)
    return page(PageRequest(request.scope), "error.html", status, status=status, title=title, text=text, detail=detail)


def _sign_in_needed(_: Asked, error: SignInNeeded) -> Page:
    return see(f"/login?{urlencode({'next': error.wanted})}")


def _form_refused(request: Asked, _: FormRefused) -> Page:
    return error_page(request, 403)


def _api_problem(request: Asked, error: ApiProblem) -> Page:
    """What no page has handled itself; 401 means that the session was ended elsewhere."""
    if error.status == _UNAUTHENTICATED:
        visited = PageRequest(request.scope)
        visited.visitor.sign_out()
        return see(f"/login?{urlencode({'next': visited.address if request.method == 'GET' else '/bookings'})}")
    return error_page(request, error.status, error.detail if error.status in {400, 409, 422} else "")


def _http(request: Asked, error: HTTPException) -> Page:
    if error.status_code >= _SERVER_ERROR:
        return _unexpected(request, error)
    return error_page(request, error.status_code)


def _unexpected(request: Asked, error: Exception) -> Page:
    log.error("page failed", exc_info=error, method=request.method, path=request.scope["path"])
    return error_page(request, _SERVER_ERROR)


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    SignInNeeded: _sign_in_needed,
    FormRefused: _form_refused,
    ApiProblem: _api_problem,
    HTTPException: _http,
    Exception: _unexpected,
}


def or_page(answer: Handler) -> Handler:
    """The handler of an address that no route knows: a page for browsers, ``answer`` for all others."""

    def handle(request: Asked, error: HTTPException) -> Any:
        if request.scope["path"].startswith("/v1/") or "text/html" not in request.headers.get("accept", ""):
            return answer(request, error)
        return error_page(request, error.status_code)

    return handle
