"""What clients are answered. These models document the answers; the tests hold every answer against its model."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal
from uuid import UUID

from litestar.openapi.datastructures import ResponseSpec
from pydantic import BaseModel, ConfigDict, Field

from domain.shared.money import Money

BookingStatus = Literal["pending", "awaiting_payment", "confirmed", "rejected", "cancelled"]


class View(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldError(View):
    """What is wrong with one field of the request."""

    field: str
    message: str


class Problem(View):
    """RFC 9457. ``type`` is ``urn:nightledger:problem:<name>`` and stable; ``instance`` names the request."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] = []


class Registered(View):
    """The new account."""

    user_id: UUID


class TokenSet(View):
    """RFC 6749, section 5.1; ``expires_in`` is in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int


class TokenProblem(View):
    """RFC 6749, section 5.2."""

    error: str
    error_description: str


class JwksView(View):
    """RFC 7517."""

    keys: list[dict[str, Any]]


class ServerMetadata(View):
    """RFC 8414."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    response_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]


class Me(View):
    """The account of the one who asks."""

    user_id: UUID
    email: str
    name: str
    phone: str | None
    locale: str | None
    roles: list[str]
    created_at: str


class MoneyView(View):
    """An exact amount as a decimal string, and its ISO 4217 currency."""

    amount: str
    currency: str


class LocationView(View):
    """Degrees, WGS 84."""

    lat: float
    lon: float


class HotelMade(View):
    """The new hotel."""

    hotel_id: UUID
    version: int


class VersionView(View):
    """The hotel's, or the room type's inventory's, version after the change."""

    version: int


class RoomTypeMade(View):
    """The new room type."""

    room_type_id: UUID
    version: int


class RatePlanMade(View):
    """The new rate plan."""

    rate_plan_id: UUID
    version: int


class TierView(View):
    """Cancelling with at least ``hours_before`` hours left costs ``percent`` % of the total."""

    hours_before: int
    percent: int


class RoomTypeView(View):
    """A room type of a hotel."""

    room_type_id: UUID
    name: str
    max_adults: int
    max_children: int
    beds: str
    amenities: list[str]
    rooms: int


class RatePlanView(View):
    """A rate plan of a hotel; supplements are per night."""

    rate_plan_id: UUID
    room_type_id: UUID
    name: str
    board: str
    cancellation: list[TierView]
    payment_policy: str
    per_extra_adult: MoneyView
    per_child: MoneyView


class HotelView(View):
    """A hotel's page."""

    hotel_id: UUID
    name: str
    city: str
    country: str
    location: LocationView
    time_zone: str
    currency: str
    stars: int
    amenities: list[str]
    description: str
    images: list[str]
    room_types: list[RoomTypeView]
    rate_plans: list[RatePlanView]
    rating: float | None
    version: int


class HotelHit(View):
    """A hotel that was found. ``from_price`` is its lowest price of a night, ``from_total`` of the stay asked for."""

    hotel_id: UUID
    name: str
    city: str
    country: str
    stars: int
    rating: float | None
    location: LocationView
    amenities: list[str]
    currency: str
    from_price: MoneyView | None
    from_total: MoneyView | None


class HotelHitsView(View):
    """Hotels, best first. ``facets`` count, per value, all hotels that match."""

    items: list[HotelHit]
    total: int
    facets: dict[str, dict[str, int]]
    next_cursor: str | None


class NightPriceView(View):
    """One room for one night."""

    date: str
    amount: str
    currency: str


class OfferView(View):
    """What can be booked, at a price that ``offer_token`` fixes for a quarter of an hour."""

    offer_token: str
    room_type_id: UUID
    room_type_name: str
    rate_plan_id: UUID
    rate_plan_name: str
    board: str
    payment_policy: str
    nightly: list[NightPriceView]
    taxes: MoneyView
    total: MoneyView
    cancellation: list[TierView]
    rooms_left: int


class OffersView(View):
    """Offers of one hotel for one stay and party, cheapest first."""

    hotel_id: UUID
    check_in: str
    check_out: str
    adults: int
    children: int
    rooms: int
    offers: list[OfferView]


class NightView(View):
    """How many rooms are probably left on a night."""

    date: str
    rooms_left: int
    closed: bool


class RoomTypeNights(View):
    """The nights of one room type."""

    room_type_id: UUID
    nights: list[NightView]


class AvailabilityView(View):
    """Per room type, each night asked for."""

    items: list[RoomTypeNights]
    next_cursor: None


class StayView(View):
    """Nights from ``check_in`` to before ``check_out``, in the hotel's time zone; ``check_in_at`` is that instant."""

    check_in: str
    check_out: str
    nights: int
    check_in_at: str


class GuestView(View):
    """Who stays."""

    name: str
    email: str
    phone: str | None


class PriceView(View):
    """``nightly`` is for one room; ``total`` for all; ``due_now`` is what is paid before the booking is confirmed."""

    nightly: list[NightPriceView]
    taxes: MoneyView
    total: MoneyView
    due_now: MoneyView


class BookingPayment(View):
    """Where the payment of a booking is found."""

    payment_id: UUID
    provider: str
    policy: str
    href: str


class SettlementView(View):
    """What a cancellation keeps and gives back."""

    charge: MoneyView
    refund: MoneyView
    reason: str


class BookingView(View):
    """One booking, from the booking's own record. ``reason`` is why it was rejected."""

    booking_id: UUID
    status: BookingStatus
    reason: str | None
    hotel_id: UUID
    room_type_id: UUID
    rate_plan_id: UUID
    stay: StayView
    rooms: int
    adults: int
    children: int
    guest: GuestView | None
    price: PriceView
    total: MoneyView
    payment: BookingPayment
    cancellation_policy: list[TierView]
    cancellation: SettlementView | None
    created_at: str
    updated_at: str
    version: int
    links: dict[str, str]


class BookingItem(View):
    """A booking in a list."""

    booking_id: UUID
    status: BookingStatus
    reason: str | None
    hotel_id: UUID
    room_type_id: UUID
    rate_plan_id: UUID
    check_in: str
    check_out: str
    rooms: int
    adults: int
    children: int
    total: MoneyView
    charge: MoneyView | None
    refund: MoneyView | None
    created_at: str
    updated_at: str
    version: int


class BookingsView(View):
    """Bookings, newest first."""

    items: list[BookingItem]
    next_cursor: str | None


class Cause(View):
    """What led to an event; ``what`` is None if that is not part of this history (the request itself, for example)."""

    event_id: UUID
    what: str | None


class HistoryItem(View):
    """One event about a booking: ``what`` happened ``when``, at the instance of ``who``, and ``why``."""

    event_id: UUID
    what: str
    when: str
    recorded_at: str
    who: str
    why: str
    caused_by: Cause | None
    correlation_id: UUID
    stream: str
    version: int
    details: dict[str, Any]


class HistoryView(View):
    """Every event about a booking, in the order in which they were recorded."""

    items: list[HistoryItem]
    next_cursor: None


class PaymentView(View):
    """Where the money of a booking stands. ``action_url`` is where a guest who has to act does so (POST)."""

    payment_id: UUID
    booking_id: UUID
    status: str
    amount: MoneyView | None
    captured: MoneyView | None
    refunded: MoneyView | None
    provider: str | None
    action_url: str | None
    reason: str | None
    created_at: str
    updated_at: str
    version: int


class ProjectionView(View):
    """A read model: its live build, how far that is, and what it lags behind by."""

    name: str
    version: int
    build: str | None
    state: str
    position: dict[str, str]
    lag_events: int | None
    lag_seconds: float | None
    last_error: str | None


class ProjectionsView(View):
    """All read models."""

    items: list[ProjectionView]
    next_cursor: None


class ReplayStarted(View):
    """A replay that will be carried out."""

    replay_id: UUID


class ReplayView(View):
    """How far a replay is. ``progress`` is from 0 to 1; ``eta_seconds`` None: cannot be said."""

    replay_id: UUID
    projection: str
    build: str
    version: int
    state: str
    events_done: int
    events_total: int
    progress: float
    events_per_second: float
    eta_seconds: float | None
    created_at: str
    finished_at: str | None
    error: str | None


class SagaItem(View):
    """Where one saga stands; times are real ones."""

    saga_id: UUID
    saga: str
    subject_id: UUID
    step: str
    status: str
    deadline: str | None
    started_at: str
    updated_at: str
    attempts: int
    note: str
    version: int
    age_seconds: float


class SagasView(View):
    """A page of sagas."""

    items: list[SagaItem]
    next_cursor: str | None


class SagaStep(View):
    """One event of a saga's stream."""

    at: str
    what: str
    details: dict[str, Any]


class SagaView(View):
    """One saga and everything that it has done."""

    saga_id: UUID
    saga: str
    subject_id: UUID
    step: str
    status: str
    deadline: str | None
    started_at: str
    updated_at: str
    attempts: int
    note: str
    version: int
    steps: list[SagaStep]


class DeadLetterView(View):
    """What could not be handled. ``behind``: it waits behind one of the same stream that could not."""

    letter_id: UUID
    consumer: str
    context: str
    stream_id: UUID | None
    position: str | None
    topic: str
    error: str
    attempts: int
    behind: bool
    parked_at: str
    message: dict[str, Any] = Field(default={}, description="only in the letter itself, not in lists")
    traceback: str = ""


class DeadLettersView(View):
    """Dead letters, oldest first."""

    items: list[DeadLetterView]
    next_cursor: None


class Live(View):
    """The process answers."""

    status: Literal["up"]
    version: str


class HealthPart(View):
    """One part of the platform."""

    part: str
    state: str
    detail: str


class HealthView(View):
    """Whether the platform can serve; ``parts`` say what is wrong."""

    status: str
    version: str
    parts: list[HealthPart]


def spec(model: type[View], *, description: str) -> ResponseSpec:
    """How an answer is described; its example is a real one, see ``examples``."""
    return ResponseSpec(model, generate_examples=False, description=description)


def money_view(money: Money) -> dict[str, str]:
    """Money as clients see it."""
    return {"amount": money.amount, "currency": money.currency}


def utc(at: dt.datetime | str) -> str:
    """An ISO 8601 time in UTC, with ``Z``; read models keep theirs as text."""
    moment = dt.datetime.fromisoformat(at) if isinstance(at, str) else at
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
