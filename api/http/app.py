"""The HTTP API, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.plugins.pydantic import PydanticPlugin
from litestar.types import ControllerRouterHandler

from api.http.accounts import keys_router, login_router, me_router
from api.http.analytics import analytics_router
from api.http.arrivals import arrivals_router
from api.http.audits import audits_router
from api.http.availability import get_availability
from api.http.booking_events import booking_events_router
from api.http.bookings import bookings_router
from api.http.cancellation_quotes import cancellation_quotes_router
from api.http.dead_letters import dead_letters_router
from api.http.health import health_router
from api.http.hotels import WRITERS
from api.http.imports import imports_router
from api.http.logs import logs_router
from api.http.modifications import modifications_router
from api.http.notifications import notifications_router
from api.http.offers import get_offers
from api.http.on_record import actions_router
from api.http.openapi import machines_router, openapi_config
from api.http.operations import operations_router
from api.http.payments import payments_router
from api.http.precedence import RequestsFirst
from api.http.problems import EXCEPTION_HANDLERS
from api.http.replays import replays_router
from api.http.request_ids import add_headers
from api.http.requests import ApiRequest
from api.http.reviews import list_reviews, reviews_router, write_review
from api.http.sagas import sagas_router
from api.http.search import SEARCHES
from api.http.settings import HttpSettings
from api.http.staff import staff_router
from api.http.tracing import TracedRequests, note_error
from api.http.watching import StreamWatch
from api.platform import Platform
from api.web.pages import web_plugin
from commands.tracing import UNTRACED, Tracing
from domain.booking.state import ALL_EVENTS

ROUTERS: Sequence[ControllerRouterHandler] = (
    login_router,
    me_router,
    notifications_router,
    keys_router,
    Router("/v1/hotels", route_handlers=[*SEARCHES, get_offers, get_availability, *WRITERS]),
    Router("/v1/hotels", tags=["Reviews"], route_handlers=[write_review, list_reviews]),
    reviews_router,
    bookings_router,
    booking_events_router,
    arrivals_router,
    cancellation_quotes_router,
    modifications_router,
    payments_router,
    analytics_router,
    operations_router,
    replays_router,
    audits_router,
    sagas_router,
    dead_letters_router,
    actions_router,
    logs_router,
    staff_router,
    imports_router,
    health_router,
    machines_router,
)


def create_app(platform: Platform, http: HttpSettings | None = None, tracing: Tracing = UNTRACED) -> Litestar:
    """The API and the pages of ``platform``; its requests are spans of ``tracing``.

    Serve it without trust in forwarding headers, except of known proxies: they are anybody's to write.
    """
    settings = http or HttpSettings()
    watch = StreamWatch(platform.logs["bookings"], frozenset(event.topic for event in ALL_EVENTS))

    @asynccontextmanager
    async def watching(_: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await watch.close()

    return Litestar(
        ROUTERS,
        after_exception=[note_error],
        before_send=[add_headers],
        debug=False,
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=[watching],
        logging_config=None,
        middleware=[RequestsFirst(), TracedRequests(tracing)],
        openapi_config=openapi_config(platform.version),
        plugins=[PydanticPlugin(), web_plugin()],
        request_class=ApiRequest,
        request_max_body_size=settings.max_body,
        state=State({"platform": platform, "http": settings, "bookings_watch": watch, "new_id": platform.new_id}),
    )
