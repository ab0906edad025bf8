"""What clients may send. Unknown fields are refused; limits of meaning are the domain's, these are those of form."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, StringConstraints, validate_email
from pydantic_core import PydanticCustomError

from domain.hotel.commands import CancellationPolicyName
from domain.hotel.events import Board, CancellationTier, PaymentPolicy
from domain.shared.money import Money

_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_PRINTABLE)]
Text = Annotated[str, StringConstraints(max_length=10_000)]
Count = Annotated[int, Field(ge=-1_000_000, le=1_000_000, strict=True)]
Decimals = Annotated[str, StringConstraints(pattern=r"^\d{1,12}(\.\d{1,4})?$")]
Words = Annotated[str, StringConstraints(max_length=4_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
SomeWords = Annotated[Words, StringConstraints(strip_whitespace=True, min_length=1)]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9 ()./-]{3,40}$")]
Password = Annotated[str, StringConstraints(min_length=8, max_length=200)]
Night = Annotated[dt.date, Field(description="ISO 8601 date on which a night begins")]
Email = Annotated[EmailStr, Field(max_length=254)]


class Body(BaseModel):
    """Base of every body."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Registration(Body):
    """A new account, with the role of a guest."""

    email: Email
    password: Password
    name: Line
    phone: Phone | None = None
    locale: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}$")] | None = None


def _as_registered(text: str) -> str:
    """An address in the form in which registration keeps it (of domains in ``xn--``, say); other texts as they are."""
    try:
        return validate_email(text)[1]
    except PydanticCustomError:
        return text


class Login(Body):
    """Credentials. Their form is not checked, so that every failure looks the same."""

    email: Annotated[str, StringConstraints(max_length=254), AfterValidator(_as_registered)]
    password: Annotated[str, StringConstraints(max_length=200)]


class ProfileChange(Body):
    """What an account's owner may change; what is not given stays."""

    name: Line = ""
    phone: Phone | None = None
    locale: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}$")] | None = None


class Farewell(Body):
    """The account's password, which confirms that its owner wants to be forgotten."""

    password: Annotated[str, StringConstraints(max_length=200)]


class Location(Body):
    """Degrees, WGS 84."""

    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]


class NewHotel(Body):
    """A hotel to bring onto the platform; its owner is whoever asks."""

    name: Line
    city: Line
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    location: Location
    time_zone: Line
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    stars: Count
    amenities: Annotated[tuple[Line, ...], Field(max_length=50)] = ()
    description: Text = ""
    images: Annotated[tuple[Annotated[str, StringConstraints(max_length=2_000)], ...], Field(max_length=50)] = ()


class HotelChange(Body):
    """Details to change; what is not given stays."""

    name: Line | None = None
    city: Line | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    location: Location | None = None
    time_zone: Line | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None
    stars: Count | None = None
    amenities: Annotated[tuple[Line, ...], Field(max_length=50)] | None = None
    description: Text | None = None
    images: Annotated[tuple[Annotated[str, StringConstraints(max_length=2_000)], ...], Field(max_length=50)] | None = (
        None
    )


class NewRoomType(Body):
    """A room type; ``rooms`` of it are offered on every night for which no other allotment is set."""

    name: Line
    max_adults: Count
    max_children: Count = 0
    beds: Annotated[str, StringConstraints(max_length=200)] = ""
    amenities: Annotated[tuple[Line, ...], Field(max_length=50)] = ()
    rooms: Count


class Nights(Body):
    """Nights from ``from`` to ``to``, both included."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_alias=True, serialize_by_alias=True)

    first: Night = Field(alias="from")
    last: Night = Field(alias="to")


class Allotment(Nights):
    """Offer ``rooms`` rooms on each of the nights."""

    rooms: Count


class RestrictionsBody(Nights):
    """Restrictions of each of the nights, in place of those before: what is not given is not restricted."""

    closed: bool = False
    closed_to_arrival: bool = False
    closed_to_departure: bool = False
    min_nights: Count | None = None
    max_nights: Count | None = None


class Tier(Body):
    """Cancelling with at least ``hours_before`` hours left to check-in costs ``percent`` % of the total."""

    hours_before: Count
    percent: Count

    def to_domain(self) -> CancellationTier:
        """The domain's tier."""
        return CancellationTier(hours_before=self.hours_before, percent_charged=self.percent)


class NewRatePlan(Body):
    """Terms on which a room type can be booked."""

    name: Line
    room_type_id: UUID
    board: Board = "room_only"
    cancellation_policy: CancellationPolicyName | Annotated[tuple[Tier, ...], Field(max_length=10)] = "flexible"
    payment_policy: PaymentPolicy = "prepaid"


class MoneyBody(Body):
    """An exact amount as a decimal string, and its ISO 4217 currency."""

    amount: Decimals
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]

    def to_domain(self) -> Money:
        """The domain's money. Raises InvalidCommand if the currency has no such fraction."""
        return Money.parse(self.amount, self.currency)


Price = Decimals | MoneyBody


class Prices(Nights):
    """The price of one room for up to two adults on each of the nights that begins on one of ``weekdays``.

    Weekdays are 1 (Monday) to 7 (Sunday). Supplements are per night; those not given stay as they were.
    """

    amount: Price
    weekdays: Annotated[frozenset[Annotated[int, Field(ge=1, le=7)]], Field(min_length=1)] | None = None
    per_extra_adult: Price | None = None
    per_child: Price | None = None


class Guest(Body):
    """Who stays."""

    name: Line
    email: Email
    phone: Phone | None = None


class PaymentMeans(Body):
    """How it is paid: ``token`` is the provider's reference, never card data."""

    provider: Literal["sandbox", "stripe", "paypal"]
    token: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]


class NewBooking(Body):
    """What an offer describes, for a guest. ``rooms`` may be more than was asked for, at the offer's price per room."""

    offer_token: Annotated[str, StringConstraints(min_length=1, max_length=16_000)]
    rooms: Count | None = None
    guest: Guest
    payment: PaymentMeans


class Cancellation(Body):
    """Why a booking is cancelled."""

    reason: Annotated[Words, StringConstraints(max_length=500)] = ""


class ModificationWish(Body):
    """What a booking is to become; what is not given stays as it is."""

    check_in: dt.date | None = None
    check_out: dt.date | None = None
    adults: Count | None = None
    children: Count | None = None
    rooms: Count | None = None
    room_type_id: UUID | None = None
    rate_plan_id: UUID | None = None


class Modification(Body):
    """The change that was quoted, and how a charge is paid; ``payment`` is not needed where there is none."""

    quote_token: Annotated[str, StringConstraints(min_length=1, max_length=16_000)]
    payment: PaymentMeans | None = None


class NewReview(Body):
    """What a guest says of a stay that is over."""

    booking_id: UUID
    rating: Count
    text: Words = ""


class Reply(Body):
    """What the hotel answers."""

    text: SomeWords


class Moderation(Body):
    """Whether a review is to be seen, and why."""

    visible: bool
    reason: SomeWords


class NewRefund(Body):
    """What is given back out of goodwill, and why."""

    amount: MoneyBody
    reason: SomeWords


class PaymentAction(Body):
    """What the guest does at the sandbox provider."""

    approve: bool
