"""Registering, logging in and out."""

from __future__ import annotations

from litestar import get, post

from api.web.client import ApiProblem
from api.web.forms import submitted
from api.web.rendering import Page, page, see
from api.web.visitors import PageRequest, local_address

_REFUSED = range(400, 500)


@get("/login", include_in_schema=False)
async def login_page(request: PageRequest) -> Page:
    """The form; whoever is logged in already goes on."""
    wanted = local_address(request.query_params.get("next"))
    return see(wanted) if request.visitor.signed_in else _login(request, wanted)


@post("/login", include_in_schema=False, status_code=303)
async def log_in(request: PageRequest) -> Page:
    """Begin a session."""
    fields = await submitted(request)
    wanted = local_address(fields.get("next"))
    email, password = fields.get("email", ""), fields.get("password", "")
    try:
        await _begin_session(request, email, password)
    except ApiProblem as error:
        return _login(request, wanted, email, _refusal(error))
    return see(wanted)


@get("/register", include_in_schema=False)
async def register_page(request: PageRequest) -> Page:
    """The form."""
    wanted = local_address(request.query_params.get("next"))
    return see(wanted) if request.visitor.signed_in else _register(request, {"next": wanted})


@post("/register", include_in_schema=False, status_code=303)
async def register(request: PageRequest) -> Page:
    """Make an account and log in."""
    fields = await submitted(request)
    account = {name: fields.get(name, "") for name in ("name", "email", "password")}
    try:
        await request.api.post("/v1/auth/register", account)
        await _begin_session(request, account["email"], account["password"])
    except ApiProblem as error:
        return _register(request, fields, _refusal(error))
    return see(local_address(fields.get("next")))


@get("/logout", include_in_schema=False)
async def logout_page(request: PageRequest) -> Page:
    """Asks whether that is meant: only a form ends a session, never a link."""
    return page(request, "logout.html")


@post("/logout", include_in_schema=False, status_code=303)
async def log_out(request: PageRequest) -> Page:
    """End the session, here and at the API."""
    await submitted(request)
    if request.visitor.signed_in:
        await _end_session(request)
    return see("/")


async def _begin_session(request: PageRequest, email: str, password: str) -> None:
    request.visitor.sign_in(await request.api.post("/v1/auth/login", {"email": email, "password": password}))


async def _end_session(request: PageRequest) -> None:
    """The browser forgets the session even if it had ended before."""
    try:
        await request.api.post("/v1/auth/logout", {}, await request.token("/"))
    except ApiProblem as error:
        _refusal(error)
    finally:
        request.visitor.sign_out()


def _refusal(error: ApiProblem) -> ApiProblem:
    """The same, if it is the visitor's to mend. Raises it otherwise."""
    if error.status not in _REFUSED:
        raise error
    return error


def _login(request: PageRequest, wanted: str, email: str = "", problem: ApiProblem | None = None) -> Page:
    status = problem.status if problem else 200
    return page(request, "login.html", status, next=wanted, email=email, problem=problem)


def _register(request: PageRequest, fields: dict[str, str], problem: ApiProblem | None = None) -> Page:
    shown = {name: fields.get(name, "") for name in ("name", "email", "next")}
    errors = problem.by_field() if problem else {}
    if problem and problem.name == "email-taken":
        errors = {"email": "There is an account with this e-mail address already. Log in instead?"}
    if problem and problem.name == "password-refused":
        errors = {"password": problem.detail}
    return page(
        request, "register.html", problem.status if problem else 200, fields=shown, errors=errors, problem=problem
    )
