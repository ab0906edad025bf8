"""One booking as clients see it, folded from its own stream: now, or as it was at any time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from api.http.requests import ApiRequest
from api.http.security import is_staff
from api.http.views import money_view, utc
from commands.accounts import Person
from commands.ports import RecordedEvent
from domain.booking.events import BookingDetails
from domain.booking.state import BOOKING, BookingState
from domain.shared.errors import NotFound
from domain.shared.money import Money

HOTEL_PAGES = "hotel_pages"


async def booking_events(request: ApiRequest, booking_id: UUID) -> Sequence[RecordedEvent]:
    """The booking's stream. Raises NotFound unless the principal may see the booking: its guest, its hotel, staff."""
    events = await request.platform.logs["bookings"].read_stream(booking_id)
    state = BOOKING.fold(recorded.event for recorded in events)
    if state.details is None or not await _may_see(request, state.details):
        raise unknown(booking_id)
    return events


def unknown(booking_id: UUID) -> NotFound:
    """There is no such booking, or none that the principal may know of: it looks the same."""
    return NotFound(f"there is no booking {booking_id}")


async def booking_view(request: ApiRequest, events: Sequence[RecordedEvent]) -> dict[str, Any]:
    """The booking after ``events``, which are some of its stream from the beginning."""
    state = BOOKING.fold(recorded.event for recorded in events)
    details = state.details
    if details is None:
        raise NotFound("the booking did not exist at that time")
    person = await request.platform.accounts.person(details.guest_id)
    return {
        "booking_id": str(details.booking_id),
        "status": state.status,
        "reason": state.rejection,
        **{name: str(getattr(details, name)) for name in ("hotel_id", "room_type_id", "rate_plan_id")},
        "stay": {
            "check_in": details.stay.check_in.isoformat(),
            "check_out": details.stay.check_out.isoformat(),
            "nights": len(details.stay.nights),
            "check_in_at": utc(details.check_in_at),
        },
        "rooms": details.rooms,
        "adults": details.adults,
        "children": details.children,
        "guest": _guest(person),
        "price": _price(details),
        "total": money_view(details.total),
        "payment": _payment(state, details),
        "cancellation_policy": [
            {"hours_before": tier.hours_before, "percent": tier.percent_charged} for tier in details.cancellation
        ],
        "cancellation": _cancellation(state),
        "created_at": utc(events[0].metadata.at),
        "updated_at": utc(events[-1].metadata.at),
        "version": events[-1].version,
        "links": _links(details),
    }


def as_of(events: Sequence[RecordedEvent], at: dt.datetime | None) -> Sequence[RecordedEvent]:
    """Those of ``events`` that had happened at ``at`` (None: all)."""
    return [recorded for recorded in events if at is None or recorded.metadata.at <= at]


def at_rest(state: BookingState) -> bool:
    """Whether nothing more will happen to the booking by itself."""
    cancelling = state.settlement is not None and state.status != "cancelled"
    return state.status in {"confirmed", "rejected", "cancelled"} and not cancelling


async def _may_see(request: ApiRequest, details: BookingDetails) -> bool:
    principal = request.principal
    if is_staff(principal) or details.account_id == principal.account_id:
        return True
    if "hotelier" not in principal.roles:
        return False
    page = await request.platform.documents.get(HOTEL_PAGES, str(details.hotel_id))
    return page is not None and page.get("owner_id") == str(principal.account_id)


def _guest(person: Person | None) -> dict[str, Any] | None:
    return None if person is None else {"name": person.name, "email": person.email, "phone": person.phone}


def _price(details: BookingDetails) -> dict[str, Any]:
    currency = details.total.currency
    return {
        "nightly": [
            {"date": night.date.isoformat(), **money_view(Money(minor=night.amount_minor, currency=currency))}
            for night in details.nightly
        ],
        "taxes": money_view(Money.zero(currency)),
        "total": money_view(details.total),
        "due_now": money_view(details.due_now),
    }


def _payment(state: BookingState, details: BookingDetails) -> dict[str, Any]:
    return {
        "payment_id": str(details.payment_id),
        "provider": state.payment_provider,
        "policy": details.payment_policy,
        "href": f"/v1/payments/{details.payment_id}",
    }


def _cancellation(state: BookingState) -> dict[str, Any] | None:
    settlement = state.settlement
    if settlement is None:
        return None
    return {
        "charge": money_view(settlement.charge),
        "refund": money_view(settlement.refund),
        "reason": settlement.reason,
    }


def _links(details: BookingDetails) -> dict[str, str]:
    self = f"/v1/bookings/{details.booking_id}"
    return {
        "self": self,
        "history": f"{self}/history",
        "events": f"{self}/events",
        "cancellation": f"{self}/cancellation",
        "payment": f"/v1/payments/{details.payment_id}",
    }
