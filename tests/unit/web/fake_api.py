"""An API of one hotel, as the pages see it: the same routes and shapes, in memory, with the pages beside it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from litestar import Litestar, Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.response import ServerSentEvent

from api.web.pages import web_plugin

HOTEL, ROOM, PLAN, BOOKING, PAYMENT, REVIEW = (f"00000000-0000-0000-0000-00000000000{n}" for n in range(1, 7))
CHECK_IN = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=40)
TRIP = {"check_in": CHECK_IN.isoformat(), "check_out": (CHECK_IN + dt.timedelta(days=2)).isoformat()}
ACCESS, REFRESH = "an-access-token", "a-refresh-token"

Json = Response[dict[str, Any]]
Asked = Request[Any, Any, Any]


def euros(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "EUR"}


def hotel() -> dict[str, Any]:
    return {
        "hotel_id": HOTEL,
        "name": "Harbour <House>",
        "city": "Lisbon",
        "country": "PT",
        "location": {"lat": 38.7, "lon": -9.1},
        "time_zone": "Europe/Lisbon",
        "currency": "EUR",
        "stars": 4,
        "amenities": ["wifi", "airport_shuttle"],
        "description": "By the river.",
        "images": ["javascript:alert(1)"],
        "room_types": [
            {
                "room_type_id": ROOM,
                "name": "Double",
                "max_adults": 2,
                "max_children": 1,
                "beds": "1 double bed",
                "amenities": [],
                "rooms": 4,
            }
        ],
        "rate_plans": [
            {
                "rate_plan_id": PLAN,
                "room_type_id": ROOM,
                "name": "Flexible",
                "board": "breakfast",
                "cancellation": [],
                "payment_policy": "deposit",
                "per_extra_adult": euros("0.00"),
                "per_child": euros("0.00"),
            }
        ],
        "rating": 8.4,
        "version": 1,
    }


def offer() -> dict[str, Any]:
    return {
        "offer_token": "sealed-offer",
        "room_type_id": ROOM,
        "room_type_name": "Double",
        "rate_plan_id": PLAN,
        "rate_plan_name": "Flexible",
        "board": "breakfast",
        "payment_policy": "deposit",
        "nightly": [{"date": TRIP["check_in"], **euros("100.00")}, {"date": TRIP["check_in"], **euros("134.50")}],
        "taxes": euros("0.00"),
        "total": euros("234.50"),
        "cancellation": [{"hours_before": 24, "percent": 0}, {"hours_before": 0, "percent": 100}],
        "rooms_left": 1,
    }


def booking(status: str) -> dict[str, Any]:
    return {
        "booking_id": BOOKING,
        "status": status,
        "reason": "sold_out" if status == "rejected" else None,
        "hotel_id": HOTEL,
        "room_type_id": ROOM,
        "rate_plan_id": PLAN,
        "stay": {**TRIP, "nights": 2, "check_in_at": f"{TRIP['check_in']}T14:00:00Z"},
        "rooms": 1,
        "adults": 2,
        "children": 0,
        "guest": {"name": "Ada", "email": "ada@example.com", "phone": None},
        "price": {"nightly": [], "taxes": euros("0.00"), "total": euros("234.50"), "due_now": euros("70.35")},
        "total": euros("234.50"),
        "payment": {
            "payment_id": PAYMENT,
            "provider": "sandbox",
            "policy": "deposit",
            "href": f"/v1/payments/{PAYMENT}",
        },
        "cancellation_policy": offer()["cancellation"],
        "cancellation": {"charge": euros("0.00"), "refund": euros("70.35"), "reason": ""}
        if status == "cancelled"
        else None,
        "payments": [{"payment_id": PAYMENT, "keeps": euros("70.35"), "href": f"/v1/payments/{PAYMENT}"}],
        "modification": None,
        "created_at": "2026-05-01T10:00:00Z",
        "updated_at": "2026-05-01T10:00:00Z",
        "version": 2,
        "links": {"review": f"/v1/reviews/{REVIEW}"},
    }


def modification_quote(charge: str) -> dict[str, Any]:
    """A night more, which costs ``charge`` now; or gives back 50 euros if that is nothing."""
    longer = {"check_out": (CHECK_IN + dt.timedelta(days=3)).isoformat(), "nights": 3}
    return {
        "quote_token": "sealed-quote",
        "booking_id": BOOKING,
        "room_type_id": ROOM,
        "rate_plan_id": PLAN,
        "stay": booking("confirmed")["stay"] | longer,
        "rooms": 1,
        "adults": 2,
        "children": 0,
        "price": {"nightly": [], "taxes": euros("0.00"), "total": euros("334.50"), "due_now": euros("100.35")},
        "difference": euros("100.00"),
        "charge": euros(charge),
        "refund": euros("50.00" if charge == "0.00" else "0.00"),
        "cancellation_policy": offer()["cancellation"],
        "quoted_at": "2026-05-01T10:00:00Z",
    }


def modification(status: str, reason: str | None = None) -> dict[str, Any]:
    quoted = modification_quote("30.00")
    names = ("room_type_id", "rate_plan_id", "stay", "rooms", "adults", "children", "charge", "refund")
    known = {name: quoted[name] for name in names} | {"total": quoted["price"]["total"]}
    return known | {
        "modification_id": REVIEW,
        "status": status,
        "reason": reason,
        "payment_href": f"/v1/payments/{REVIEW}",
    }


def review() -> dict[str, Any]:
    return {
        "review_id": REVIEW,
        "hotel_id": HOTEL,
        "rating": 9,
        "text": "Quiet <b>rooms</b>",
        "stayed_until": TRIP["check_out"],
        "written_at": "2026-05-01T10:00:00Z",
        "status": "shown",
        "hidden_because": None,
        "reply": {"text": "Thank you!", "written_at": "2026-05-02T10:00:00Z"},
    }


def problem(status: int, name: str, detail: str = "", **fields: str) -> Json:
    errors = [{"field": field_name.replace("__", "."), "message": text} for field_name, text in fields.items()]
    body = {"type": f"urn:nightledger:problem:{name}", "status": status, "detail": detail, "errors": errors}
    return Response(body, status_code=status, media_type="application/problem+json")


@dataclass
class FakeApi:
    """What it answers with, and what it was told."""

    status: str = "confirmed"
    user_id: str = "1"
    is_reviewed: bool = False
    roles: list[str] = field(default_factory=lambda: ["guest"])
    offers: list[dict[str, Any]] = field(default_factory=lambda: [offer()])
    refusals: dict[str, Json] = field(default_factory=dict)
    action_url: str | None = None
    refund: str = "70.35"
    charge: str = "30.00"
    modification: dict[str, Any] | None = None
    guest: dict[str, Any] | None = None
    told: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    refreshed: int = 0

    def app(self) -> Litestar:
        """The API and the pages."""
        state = State({"fake": self})
        return Litestar(HANDLERS, plugins=[web_plugin()], state=state, openapi_config=None, logging_config=None)

    def refusal(self, request: Asked) -> Json | None:
        return self.refusals.get(f"{request.method} {request.scope['path']}")

    def signed_in(self, request: Asked) -> Json | None:
        known = request.headers.get("authorization") == f"Bearer {ACCESS}"
        return self.refusal(request) if known else problem(401, "unauthenticated")

    async def note(self, request: Asked) -> None:
        path = request.scope["path"].removeprefix("/v1/")
        self.told.append((path, await request.json(), dict(request.headers)))


def fake(request: Asked) -> FakeApi:
    found: FakeApi = request.app.state.fake
    return found


@get("/v1/hotels")
async def search(request: Asked) -> Json:
    fake(request).told.append(("search", request.query_params.dict(), dict(request.headers)))
    hit = {name: hotel()[name] for name in ("hotel_id", "name", "city", "country", "stars", "amenities", "rating")}
    hit |= {
        "from_price": euros("100.00"),
        "from_total": euros("234.50") if "check_in" in request.query_params else None,
    }
    facets = {"city": {"Lisbon": 1}, "stars": {"4": 1}, "amenities": {"wifi": 1}}
    body = {"items": [hit], "total": 1, "facets": facets, "next_cursor": "next-page"}
    return fake(request).refusal(request) or Response(body)


@get("/v1/hotels/{hotel_id:uuid}")
async def one_hotel(request: Asked) -> Json:
    known = str(request.path_params["hotel_id"]) == HOTEL
    return Response(hotel()) if known else problem(404, "not-found")


@get("/v1/hotels/{hotel_id:uuid}/reviews")
async def reviews() -> Json:
    return Response({"items": [review()], "next_cursor": None})


@post("/v1/hotels/{hotel_id:uuid}/reviews", status_code=201)
async def write_review(request: Asked) -> Json:
    await fake(request).note(request)
    return fake(request).signed_in(request) or fake(request).refusal(request) or Response(review(), status_code=201)


@get("/v1/reviews/{review_id:uuid}")
async def one_review(request: Asked) -> Json:
    found = Response(review()) if fake(request).is_reviewed else problem(404, "not-found")
    return fake(request).signed_in(request) or found


@get("/v1/hotels/{hotel_id:uuid}/offers")
async def hotel_offers(request: Asked) -> Json:
    return fake(request).refusal(request) or Response({"offers": fake(request).offers})


@post("/v1/auth/register", status_code=201)
async def register(request: Asked) -> Json:
    await fake(request).note(request)
    return fake(request).refusal(request) or Response({"user_id": HOTEL}, status_code=201)


@post("/v1/auth/login", status_code=200)
async def login(request: Asked) -> Json:
    await fake(request).note(request)
    tokens = {"access_token": ACCESS, "refresh_token": REFRESH, "token_type": "Bearer", "expires_in": 900}
    return fake(request).refusal(request) or Response(tokens)


@post("/v1/auth/token", status_code=200)
async def token(request: Asked) -> Json:
    if (refusal := fake(request).refusal(request)) is not None:
        return refusal
    fake(request).refreshed += 1
    form = await request.form()
    if fake(request).refreshed > 1 or form["refresh_token"] != REFRESH:
        return problem(400, "invalid_grant")
    tokens = {"access_token": ACCESS, "refresh_token": "the-next", "token_type": "Bearer", "expires_in": 900}
    return Response(tokens)


@post("/v1/auth/logout", status_code=204)
async def logout(request: Asked) -> None:
    await fake(request).note(request)


@get("/v1/me")
async def me(request: Asked) -> Json:
    body: dict[str, Any] = {"name": "Ada", "email": "ada@example.com", "phone": None, "user_id": fake(request).user_id}
    body |= {"roles": fake(request).roles}
    return fake(request).signed_in(request) or Response(body)


@delete("/v1/me", status_code=202)
async def forget_me(request: Asked) -> Response[Any]:
    await fake(request).note(request)
    return fake(request).signed_in(request) or Response(None, status_code=204)


@post("/v1/bookings", status_code=202)
async def book(request: Asked) -> Json:
    await fake(request).note(request)
    return fake(request).signed_in(request) or Response(booking("pending"), status_code=202)


@get("/v1/bookings")
async def bookings(request: Asked) -> Json:
    item = booking(fake(request).status) | TRIP | {"refund": None}
    return fake(request).signed_in(request) or Response({"items": [item], "next_cursor": None})


@get("/v1/bookings/{booking_id:uuid}")
async def one_booking(request: Asked) -> Json:
    known = str(request.path_params["booking_id"]) == BOOKING
    return fake(request).signed_in(request) or (
        Response(
            booking(fake(request).status)
            | {"modification": fake(request).modification}
            | ({"guest": fake(request).guest} if fake(request).guest else {})
        )
        if known
        else problem(404, "not-found")
    )


@get("/v1/bookings/{booking_id:uuid}/history")
async def history(request: Asked) -> Json:
    entry = {
        "what": "bookings.v1.BookingRequested",
        "when": "2026-05-01T10:00:00Z",
        "who": "user:1",
        "why": "user:1 asked for it",
    }
    saga = entry | {"what": "bookings.v1.SagaReacted", "who": "saga:booking"}
    return fake(request).signed_in(request) or Response({"items": [entry, saga]})


@get("/v1/bookings/{booking_id:uuid}/events", media_type="text/event-stream")
async def events(request: Asked) -> Response[Any]:
    refused = fake(request).signed_in(request)
    return refused or ServerSentEvent(iter([f"after {request.headers.get('last-event-id')}"]))


@get("/v1/bookings/{booking_id:uuid}/cancellation-quote")
async def quote(request: Asked) -> Json:
    body = {"charge": euros("0.00"), "refund": euros(fake(request).refund), "quoted_at": "2026-05-01T10:00:00Z"}
    return fake(request).signed_in(request) or Response(body)


@post("/v1/bookings/{booking_id:uuid}/cancellation", status_code=202)
async def cancel(request: Asked) -> Json:
    await fake(request).note(request)
    return fake(request).signed_in(request) or Response(booking("confirmed"), status_code=202)


@post("/v1/bookings/{booking_id:uuid}/modification-quotes", status_code=200)
async def quote_modification(request: Asked) -> Json:
    await fake(request).note(request)
    refused = fake(request).signed_in(request) or fake(request).refusal(request)
    return refused or Response(modification_quote(fake(request).charge))


@post("/v1/bookings/{booking_id:uuid}/modifications", status_code=202)
async def modify(request: Asked) -> Json:
    await fake(request).note(request)
    refused = fake(request).signed_in(request) or fake(request).refusal(request)
    return refused or Response(booking("confirmed"), status_code=202)


@post("/v1/bookings/{booking_id:uuid}/{step:str}", status_code=200)
async def arrival(request: Asked) -> Json:
    await fake(request).note(request)
    return fake(request).signed_in(request) or fake(request).refusal(request) or Response(booking("checked_in"))


@get("/v1/payments/{payment_id:uuid}")
async def payment(request: Asked) -> Json:
    body = {
        "status": "requires_action" if fake(request).action_url else "captured",
        "amount": euros("70.35"),
        "captured": euros("70.35"),
        "refunded": euros("0.00"),
        "action_url": fake(request).action_url,
    }
    return fake(request).signed_in(request) or Response(body)


@post("/v1/payments/{payment_id:uuid}/action", status_code=200)
async def action(request: Asked) -> Json:
    await fake(request).note(request)
    return fake(request).signed_in(request) or Response({})


HANDLERS = [
    search,
    one_hotel,
    hotel_offers,
    reviews,
    write_review,
    one_review,
    register,
    login,
    token,
    logout,
    me,
    forget_me,
    book,
    bookings,
    one_booking,
    history,
    events,
    quote,
    cancel,
    quote_modification,
    modify,
    arrival,
    payment,
    action,
]
