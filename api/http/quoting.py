"""What can be booked: hotel pages and calendars in, prices out. Calendars say "probably free"; inventory decides."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from domain.hotel.events import CancellationTier, NightPrice, PaymentPolicy
from domain.hotel.pricing import Quote, fits, quote
from domain.shared.stay import Stay
from projections.ports import CalendarStore, Document

CALENDARS = "calendars"
CHECK_IN_TIME = dt.time(15)
"""When rooms are ready, by the hotel's clock."""


@dataclass(frozen=True, slots=True)
class Party:
    """Who travels, and in how many rooms."""

    adults: int
    children: int
    rooms: int


@dataclass(frozen=True, slots=True)
class Priced:
    """A rate plan that fits a stay and a party. ``plan`` and ``room_type`` are as in the hotel's page."""

    plan: Document
    room_type: Document
    quote: Quote
    rooms_left: int


class Offered(BaseModel):
    """What an offer token seals: all that is needed to book at its price. ``nightly`` has minor units per night."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hotel_id: UUID
    room_type_id: UUID
    rate_plan_id: UUID
    check_in: dt.date
    check_out: dt.date
    time_zone: str
    rooms: int
    adults: int
    children: int
    nightly: tuple[int, ...]
    currency: str
    payment_policy: PaymentPolicy
    cancellation: tuple[tuple[int, int], ...]

    @property
    def stay(self) -> Stay:
        """The nights."""
        return Stay(check_in=self.check_in, check_out=self.check_out)

    @property
    def night_prices(self) -> tuple[NightPrice, ...]:
        """The price of one room for each night."""
        priced = zip(self.stay.nights, self.nightly, strict=True)
        return tuple(NightPrice(date=night, amount_minor=minor) for night, minor in priced)

    @property
    def tiers(self) -> tuple[CancellationTier, ...]:
        """What cancelling costs."""
        return tuple(
            CancellationTier(hours_before=hours, percent_charged=percent) for hours, percent in self.cancellation
        )

    def terms(self, now: dt.datetime) -> dict[str, Any]:
        """The fields of a command that asks for what was offered, without those about payment."""
        names = ("room_type_id", "rate_plan_id", "stay", "check_in_at", "rooms", "adults", "children", "currency")
        return {name: getattr(self, name) for name in names} | {
            "today": now.astimezone(ZoneInfo(self.time_zone)).date(),
            "nightly": self.night_prices,
            "payment_policy": self.payment_policy,
            "cancellation": self.tiers,
        }

    @property
    def check_in_at(self) -> dt.datetime:
        """The instant at which the stay begins."""
        local = dt.datetime.combine(self.check_in, CHECK_IN_TIME, ZoneInfo(self.time_zone))
        return local.astimezone(dt.UTC)


def offered(page: Document, priced: Priced, stay: Stay, party: Party) -> Offered:
    """What to seal for one offer."""
    return Offered(
        hotel_id=page["hotel_id"],
        room_type_id=priced.room_type["room_type_id"],
        rate_plan_id=priced.plan["rate_plan_id"],
        check_in=stay.check_in,
        check_out=stay.check_out,
        time_zone=page["time_zone"],
        rooms=party.rooms,
        adults=party.adults,
        children=party.children,
        nightly=tuple(night.amount_minor for night in priced.quote.nightly),
        currency=page["currency"],
        payment_policy=priced.plan["payment_policy"],
        cancellation=tuple((tier["hours_before"], tier["percent"]) for tier in priced.plan["cancellation"]),
    )


async def priced_plans(
    calendars: CalendarStore, pages: Sequence[Document], stay: Stay, party: Party
) -> Mapping[str, list[Priced]]:
    """Per hotel the rate plans that can be booked now, cheapest first; two reads whatever the number of hotels."""
    fitting = [(page, plan, room) for page in pages for plan, room in _fitting(page, party)]
    nights = len(stay.nights)
    room_keys = list({room["room_type_id"] for _, _, room in fitting})
    plan_keys = [plan["rate_plan_id"] for _, plan, _ in fitting]
    if not plan_keys:
        return {}
    rooms = await calendars.read(CALENDARS, "rooms", room_keys, stay.check_in, nights)
    prices = await calendars.read(CALENDARS, "price", plan_keys, stay.check_in, nights)
    found: dict[str, list[Priced]] = {}
    for page, plan, room in fitting:
        left = min((count or 0 for count in rooms.get(room["room_type_id"], ())), default=0)
        base = prices.get(plan["rate_plan_id"], ())
        if left >= party.rooms and len(base) == nights and all(base):
            priced = Priced(plan, room, quote_for(page, plan, stay, base, party), left)
            found.setdefault(page["hotel_id"], []).append(priced)
    for plans in found.values():
        plans.sort(key=lambda each: each.quote.total.minor)
    return found


def _fitting(page: Document, party: Party) -> Iterable[tuple[Document, Document]]:
    room_types = {room["room_type_id"]: room for room in page["room_types"]}
    for plan in page["rate_plans"]:
        room = room_types.get(plan["room_type_id"])
        if room is not None and fits(
            adults=party.adults,
            children=party.children,
            rooms=party.rooms,
            max_adults=room["max_adults"],
            max_children=room["max_children"],
        ):
            yield plan, room


def quote_for(page: Document, plan: Document, stay: Stay, base: Sequence[Any], party: Party) -> Quote:
    """The price for a party, given the plan's price of each night in minor units."""
    nightly = [NightPrice(date=night, amount_minor=minor) for night, minor in zip(stay.nights, base, strict=True)]
    return quote(
        nightly,
        page["currency"],
        adults=party.adults,
        children=party.children,
        rooms=party.rooms,
        per_extra_adult_minor=plan["per_extra_adult_minor"],
        per_child_minor=plan["per_child_minor"],
    )
