"""What clients are answered about bookings and payments. See ``views``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from api.http.views import MoneyView, NightPriceView, TierView, View
from domain.booking.state import BookingStatus, ModificationOutcome


class StayView(View):
    """Nights from ``check_in`` to before ``check_out``, in the hotel's time zone; ``check_in_at`` is that instant."""

    check_in: str
    check_out: str
    nights: int
    check_in_at: str


class GuestView(View):
    """Who stays. ``forgotten``: they wanted everything erased that names them; ``name`` is then no name of theirs."""

    name: str
    email: str | None
    phone: str | None
    forgotten: bool


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


class PaidView(View):
    """What one payment keeps of the booking's money, if nothing was given back out of goodwill.

    A modification that cost more was paid by a payment of its own.
    """

    payment_id: UUID
    keeps: MoneyView
    href: str


class ModificationView(View):
    """The last modification that was asked for, and what the booking was to become by it.

    ``status`` is pending, awaiting_payment (the guest has to act on the payment at ``payment_href``), modified, or
    rejected for a ``reason``. ``charge`` is what it costs more, ``refund`` what goes back.
    """

    modification_id: UUID
    status: ModificationOutcome
    reason: str | None
    room_type_id: UUID
    rate_plan_id: UUID
    stay: StayView
    rooms: int
    adults: int
    children: int
    total: MoneyView
    charge: MoneyView
    refund: MoneyView
    payment_href: str | None


class SettlementView(View):
    """What a cancellation keeps and gives back."""

    charge: MoneyView
    refund: MoneyView
    reason: str


class BookingView(View):
    """One booking, from the booking's own record. ``reason`` is why it was rejected.

    ``payment`` is the one that it began with; ``payments`` are all that keep some of its money.
    """

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
    payments: list[PaidView]
    cancellation_policy: list[TierView]
    cancellation: SettlementView | None
    modification: ModificationView | None
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
    """What led to an event: another event (a command that a saga has issued is one), or a request, timer or import.

    ``event_id`` is in this history, if it is not None; ``command_id`` is that of the command, if there was one.
    """

    event_id: UUID | None
    what: str | None
    command_id: UUID | None


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
