"""What clients are answered about hotels, offers and availability. See ``views``."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from api.http.views import MoneyView, NightPriceView, TierView, View


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


class ReplyView(View):
    """What the hotel answers; ``text`` is empty when its author has been forgotten."""

    text: str
    written_at: str


class ReviewView(View):
    """One guest's rating from 1 to 10; ``text`` is empty when there is none, or its author has been forgotten.

    ``hidden_because`` is what the operator who has hidden it said.
    """

    review_id: UUID
    hotel_id: UUID
    rating: int
    text: str
    stayed_until: str
    written_at: str
    status: Literal["shown", "hidden"]
    hidden_because: str | None
    reply: ReplyView | None


class ReviewsView(View):
    """Reviews of one hotel that are seen, newest first."""

    items: list[ReviewView]
    next_cursor: str | None


class SuggestionsView(View):
    """Names of cities and hotels."""

    items: list[str]
    next_cursor: None


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
