"""What a booking costs as another stay. Calendars say "probably free"; inventory decides."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from api.http.quoting import CALENDARS, Offered, Party, quote_for
from domain.booking.events import BookingDetails
from domain.hotel.pricing import fits
from domain.shared.errors import DomainError, InvalidCommand
from domain.shared.stay import Stay
from projections.ports import CalendarKind, CalendarStore, Document

ByNight = Mapping[dt.date, int | None]
"""What a calendar has on each night."""


class NotAvailable(DomainError):
    """What is wanted is not for sale: too few rooms are left, or no price is set."""

    problem = "not-available"


class Requoted(BaseModel):
    """What a quote token seals: the booking, its version when it was quoted, and what it may become."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    booking_id: UUID
    version: int
    offer: Offered


@dataclass(frozen=True, slots=True)
class Wanted:
    """The stay that a booking is to become."""

    room_type_id: UUID
    rate_plan_id: UUID
    stay: Stay
    party: Party


async def requoted(calendars: CalendarStore, page: Document, booked: BookingDetails, wanted: Wanted) -> Offered:
    """What to seal for ``wanted``: rooms that the booking has are there for it.

    For the same rooms, people and rate plan the nights that it keeps keep their price, and it keeps its terms.
    Raises InvalidCommand for what the hotel does not sell, or to such a party; NotAvailable.
    """
    plan, room = _sold_as(page, wanted)
    if (wanted.room_type_id, wanted.party) != (booked.room_type_id, _party_of(booked)):
        _require_beds(room, wanted.party)
    left = await _by_night(calendars, "rooms", wanted.room_type_id, wanted.stay)
    base = await _by_night(calendars, "price", wanted.rate_plan_id, wanted.stay)
    _require_rooms(booked, wanted, left)
    same_plan = wanted.rate_plan_id == booked.rate_plan_id
    kept = [(tier.hours_before, tier.percent_charged) for tier in booked.cancellation]
    usual = [(tier["hours_before"], tier["percent"]) for tier in plan["cancellation"]]
    return Offered(
        hotel_id=booked.hotel_id,
        room_type_id=room["room_type_id"],
        rate_plan_id=plan["rate_plan_id"],
        check_in=wanted.stay.check_in,
        check_out=wanted.stay.check_out,
        time_zone=page["time_zone"],
        rooms=wanted.party.rooms,
        adults=wanted.party.adults,
        children=wanted.party.children,
        nightly=_nightly(page, plan, booked, wanted, base),
        currency=page["currency"],
        payment_policy=booked.payment_policy if same_plan else plan["payment_policy"],
        cancellation=tuple(kept if same_plan else usual),
    )


async def _by_night(calendars: CalendarStore, kind: CalendarKind, key: UUID, stay: Stay) -> ByNight:
    cells = await calendars.read(CALENDARS, kind, [str(key)], stay.check_in, len(stay.nights))
    return dict(zip(stay.nights, cells.get(str(key), ()), strict=False))


def _sold_as(page: Document, wanted: Wanted) -> tuple[Document, Document]:
    plan = next((each for each in page["rate_plans"] if each["rate_plan_id"] == str(wanted.rate_plan_id)), None)
    room = next((each for each in page["room_types"] if each["room_type_id"] == str(wanted.room_type_id)), None)
    if plan is None or room is None or plan["room_type_id"] != room["room_type_id"]:
        field = "rate_plan_id" if room is not None else "room_type_id"
        raise InvalidCommand(
            f"this hotel sells no room type {wanted.room_type_id} by rate plan {wanted.rate_plan_id}",
            errors=((field, "must be one of this hotel's that go together"),),
        )
    return plan, room


def _require_beds(room: Document, party: Party) -> None:
    """Those who have booked already may be lodged as the hotel has agreed to: with more rooms than adults, for one."""
    if not fits(
        adults=party.adults,
        children=party.children,
        rooms=party.rooms,
        max_adults=room["max_adults"],
        max_children=room["max_children"],
    ):
        raise InvalidCommand(
            f"{party.rooms} rooms have no place for {party.adults} adults and {party.children} children",
            errors=(("rooms", "must have beds for everybody, and an adult each"),),
        )


def _require_rooms(booked: BookingDetails, wanted: Wanted, left: ByNight) -> None:
    own = frozenset(booked.stay.nights) if wanted.room_type_id == booked.room_type_id else frozenset[dt.date]()
    missing = []
    for night in wanted.stay.nights:
        more = wanted.party.rooms - (booked.rooms if night in own else 0)
        if more > 0 and (left.get(night) or 0) < more:
            missing.append(night)
    if missing:
        raise NotAvailable(
            f"there are not enough rooms on {', '.join(night.isoformat() for night in missing[:10])}",
            errors=(("check_in", "must be a stay with enough rooms on every night"),),
        )


def _nightly(page: Document, plan: Document, booked: BookingDetails, wanted: Wanted, base: ByNight) -> tuple[int, ...]:
    """The price of one room for each night, in minor units."""
    agreed = {night.date: night.amount_minor for night in booked.nightly} if _same_deal(booked, wanted) else {}
    unpriced = [night for night in wanted.stay.nights if night not in agreed and not base.get(night)]
    if unpriced:
        raise NotAvailable(f"the hotel has set no price for {', '.join(night.isoformat() for night in unpriced[:10])}")
    fresh = quote_for(page, plan, wanted.stay, [base.get(night) or 0 for night in wanted.stay.nights], wanted.party)
    return tuple(agreed.get(night.date, night.amount_minor) for night in fresh.nightly)


def _same_deal(booked: BookingDetails, wanted: Wanted) -> bool:
    before = (booked.room_type_id, booked.rate_plan_id, _party_of(booked))
    return before == (wanted.room_type_id, wanted.rate_plan_id, wanted.party)


def _party_of(booked: BookingDetails) -> Party:
    return Party(booked.adults, booked.children, booked.rooms)
