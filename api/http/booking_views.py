"""One booking as clients see it, folded from its own stream: now, or as it was at any time."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any
from uuid import UUID

from api.http.forgetting import account_state
from api.http.requests import ApiRequest
from api.http.security import is_staff
from api.http.views import money_view, utc
from commands.ports import RecordedEvent
from domain.booking.events import BookingDetails, CancellationRequested
from domain.booking.modification import refunded
from domain.booking.state import BOOKING, OUTCOMES, BookingState, Modification
from domain.payment.events import RefundRequested
from domain.review.decide import review_id_of
from domain.shared.errors import Forbidden, NotFound
from domain.shared.money import Money

HOTEL_PAGES = "hotel_pages"
FORGOTTEN_GUEST = "forgotten guest"
_REMARKED = (CancellationRequested, RefundRequested)
"""Events that follow from requests with which people may write something."""


async def booking_events(request: ApiRequest, booking_id: UUID) -> Sequence[RecordedEvent]:
    """The booking's stream. Raises NotFound unless the principal may see the booking: its guest, its hotel, staff."""
    events = await request.platform.logs["bookings"].read_stream(booking_id)
    state = BOOKING.fold(recorded.event for recorded in events)
    if state.details is None or not await _may_see(request, state.details):
        raise unknown(booking_id)
    return events


def acting_for(request: ApiRequest, state: BookingState, what: str) -> UUID | None:
    """The guest's account; None for staff, who may act for guests. ``what`` is to be done. Raises Forbidden."""
    account_id = request.principal.account_id
    if state.details is not None and state.details.account_id == account_id:
        return account_id
    if not is_staff(request.principal):
        raise Forbidden(f"a booking is {what} by its guest or an operator")
    return None


def unknown(booking_id: UUID) -> NotFound:
    """There is no such booking, or none that the principal may know of: it looks the same."""
    return NotFound(f"there is no booking {booking_id}")


async def booking_view(request: ApiRequest, events: Sequence[RecordedEvent]) -> dict[str, Any]:
    """The booking after ``events``, which are some of its stream from the beginning."""
    state = BOOKING.fold(recorded.event for recorded in events)
    details = state.details
    if details is None:
        raise NotFound("the booking did not exist at that time")
    guest, cancellation = await asyncio.gather(_guest(request, details), _cancellation(request, events, state))
    return {
        "booking_id": str(details.booking_id),
        "status": state.status,
        "reason": state.rejection,
        **{name: str(getattr(details, name)) for name in ("hotel_id", "room_type_id", "rate_plan_id")},
        "stay": stay_view(details),
        "rooms": details.rooms,
        "adults": details.adults,
        "children": details.children,
        "guest": guest,
        "price": price_view(details),
        "total": money_view(details.total),
        "payment": _payment(state, details),
        "payments": [
            {"payment_id": str(paid.payment_id), "keeps": money_view(paid.amount), "href": _href(paid.payment_id)}
            for paid in state.paid
        ],
        "cancellation_policy": [
            {"hours_before": tier.hours_before, "percent": tier.percent_charged} for tier in details.cancellation
        ],
        "cancellation": cancellation,
        "modification": None if state.modification is None else _modification(state.modification),
        "created_at": utc(events[0].metadata.at),
        "updated_at": utc(events[-1].metadata.at),
        "version": events[-1].version,
        "links": _links(details),
    }


def as_of(events: Sequence[RecordedEvent], at: dt.datetime | None) -> Sequence[RecordedEvent]:
    """Those of one stream's ``events`` that had happened at ``at`` (None: all)."""
    # Up to the first that had not: the clocks of two machines may differ, and no event counts without those before it.
    return list(takewhile(lambda recorded: at is None or recorded.metadata.at <= at, events))


def at_rest(state: BookingState) -> bool:
    """Whether nothing more will happen to the booking by itself."""
    cancelling = state.settlement is not None and state.status != "cancelled"
    return state.status in OUTCOMES and not (cancelling or state.is_modifying)


async def _may_see(request: ApiRequest, details: BookingDetails) -> bool:
    principal = request.principal
    if is_staff(principal) or details.account_id == principal.account_id:
        return True
    if "hotelier" not in principal.roles:
        return False
    page = await request.platform.documents.get(HOTEL_PAGES, str(details.hotel_id))
    return page is not None and page.get("owner_id") == str(principal.account_id)


async def words_with(request: ApiRequest, events: Sequence[RecordedEvent]) -> Mapping[UUID, str]:
    """What people wrote with the requests that ``events`` followed from, by the id of the event."""
    caused = {
        recorded.event_id: recorded.metadata.causation_id
        for recorded in events
        if isinstance(recorded.event, _REMARKED) and recorded.metadata.causation_id is not None
    }
    words = await request.platform.accounts.remarks(list(caused.values())) if caused else {}
    return {event_id: words[cause] for event_id, cause in caused.items() if cause in words}


async def _guest(request: ApiRequest, details: BookingDetails) -> dict[str, Any] | None:
    """None if nobody was named, as in imported bookings."""
    person = await request.platform.accounts.person(details.guest_id)
    if person is not None:
        return {"name": person.name, "email": person.email, "phone": person.phone, "forgotten": False}
    if (await account_state(request, details.account_id)).is_forgotten:
        return {"name": FORGOTTEN_GUEST, "email": None, "phone": None, "forgotten": True}
    return None


def stay_view(details: BookingDetails) -> dict[str, Any]:
    """When, as clients see it."""
    return {
        "check_in": details.stay.check_in.isoformat(),
        "check_out": details.stay.check_out.isoformat(),
        "nights": len(details.stay.nights),
        "check_in_at": utc(details.check_in_at),
    }


def price_view(details: BookingDetails) -> dict[str, Any]:
    """What it costs, as clients see it."""
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
        "href": _href(details.payment_id),
    }


def _modification(modification: Modification) -> dict[str, Any]:
    asked, after = modification.asked, modification.asked.after
    charged = asked.charge.minor > 0
    return {
        "modification_id": str(asked.modification_id),
        "status": modification.outcome,
        "reason": modification.reason,
        "room_type_id": str(after.room_type_id),
        "rate_plan_id": str(after.rate_plan_id),
        "stay": stay_view(after),
        "rooms": after.rooms,
        "adults": after.adults,
        "children": after.children,
        "total": money_view(after.total),
        "charge": money_view(asked.charge),
        "refund": money_view(refunded(asked)),
        "payment_href": _href(asked.modification_id) if charged else None,
    }


def _href(payment_id: UUID) -> str:
    return f"/v1/payments/{payment_id}"


async def _cancellation(
    request: ApiRequest, events: Sequence[RecordedEvent], state: BookingState
) -> dict[str, Any] | None:
    settlement = state.settlement
    if settlement is None:
        return None
    words = await words_with(request, events)
    return {
        "charge": money_view(settlement.charge),
        "refund": money_view(settlement.refund),
        "reason": next(iter(words.values()), settlement.reason),
    }


def _links(details: BookingDetails) -> dict[str, str]:
    self = f"/v1/bookings/{details.booking_id}"
    return {
        "self": self,
        "history": f"{self}/history",
        "events": f"{self}/events",
        "cancellation": f"{self}/cancellation",
        "modification_quotes": f"{self}/modification-quotes",
        "modifications": f"{self}/modifications",
        "payment": _href(details.payment_id),
        "review": f"/v1/reviews/{review_id_of(details.booking_id)}",
    }
