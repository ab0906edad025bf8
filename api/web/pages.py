"""The guests' pages, to be put into the application that serves the API: ``Litestar(..., plugins=[web_plugin()])``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, Response, Router, get
from litestar.config.app import AppConfig
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.exceptions.responses import create_exception_response
from litestar.params import FromPath
from litestar.plugins import InitPlugin
from litestar.template import TemplateConfig

from api.http.security import PUBLIC
from api.web.account_pages import log_in, log_out, login_page, logout_page, register, register_page
from api.web.book_pages import book, book_page
from api.web.booking_pages import (
    act_on_payment,
    booking_events,
    booking_page,
    bookings_page,
    cancel,
    cancellation_page,
)
from api.web.client import Backstage, in_process_client
from api.web.errors import EXCEPTION_HANDLERS, or_page
from api.web.hotel_pages import hotel_page
from api.web.modification_pages import modification_page, modify
from api.web.profile_pages import account_page, delete_account, deleted_page, deletion_page
from api.web.rendering import engine, static_files
from api.web.search_pages import start_page
from api.web.stay_pages import record_arrival, write_review
from api.web.visitors import PageRequest, Visiting

PAGE = PUBLIC | {"page": True}
"""``opt`` of the pages' routes. Those for guests look for the cookie of a session themselves."""
_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


class WebPages(InitPlugin):
    """Adds the pages' routes, templates, static files, and the client that they call the API with."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """See InitPlugin. Must come after the exception handlers of the API, which answer everybody but browsers."""
        app_config.template_config = TemplateConfig(instance=engine())
        app_config.route_handlers.extend([_pages(), static_file])
        app_config.lifespan.append(_client)
        handlers = dict(app_config.exception_handlers)
        for kind in (NotFoundException, MethodNotAllowedException):
            answer = handlers.get(kind) or handlers.get(HTTPException) or create_exception_response
            handlers[kind] = or_page(answer)
        app_config.exception_handlers = handlers
        return app_config


def web_plugin() -> WebPages:
    """The pages, as a plugin of the application."""
    return WebPages()


def _pages() -> Router:
    return Router(
        "/",
        route_handlers=[
            start_page,
            hotel_page,
            login_page,
            log_in,
            register_page,
            register,
            logout_page,
            log_out,
            book_page,
            book,
            bookings_page,
            booking_page,
            booking_events,
            act_on_payment,
            cancellation_page,
            cancel,
            modification_page,
            modify,
            record_arrival,
            write_review,
            account_page,
            deletion_page,
            delete_account,
            deleted_page,
        ],
        request_class=PageRequest,
        middleware=[Visiting()],
        exception_handlers=EXCEPTION_HANDLERS,
        opt=PAGE,
    )


@get("/static/{name:str}", include_in_schema=False, opt=PAGE)
async def static_file(name: FromPath[str]) -> Response[bytes]:
    """A style sheet, script or icon; browsers keep it for ever, because its address changes with it."""
    content = static_files().get(name)
    if content is None:
        raise NotFoundException
    kind = _KINDS[name.rpartition(".")[2]]
    return Response(content, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})


@asynccontextmanager
async def _client(app: Litestar) -> AsyncIterator[None]:
    async with in_process_client(app) as client:
        app.state.web = Backstage(client)
        yield
