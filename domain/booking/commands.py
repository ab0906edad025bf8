"""What can be asked of a booking.

``asked_by`` is the account that asks; None stands for a saga, an operator or the system.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from domain.booking.events import RejectionReason
from domain.hotel.events import CancellationTier, NightPrice, PaymentPolicy
from domain.shared.messages import Command
from domain.shared.stay import Stay


class BookingCommand(Command):
    """Fields that every command of the aggregate has; the stream is ``booking_id``."""

    booking_id: UUID


class TermsCommand(BookingCommand):
    """What is wanted, at the price that a signed offer fixed.

    ``today`` is the date in the hotel's time zone at the time of asking: a stay cannot begin before it.
    """

    room_type_id: UUID
    rate_plan_id: UUID
    stay: Stay
    today: dt.date
    check_in_at: dt.datetime
    rooms: int
    adults: int
    children: int
    nightly: tuple[NightPrice, ...]
    currency: str
    payment_policy: PaymentPolicy
    cancellation: tuple[CancellationTier, ...]
    payment_provider: str
    payment_token: str


class RequestBooking(TermsCommand, name="bookings.RequestBooking"):
    """Book. Answers {booking_id, payment_id, status, version}."""

    guest_id: UUID
    account_id: UUID
    hotel_id: UUID


class AwaitPayment(BookingCommand, name="bookings.AwaitPayment"):
    """Note that the guest has to act. Sent by the booking saga."""

    payment_id: UUID


class ConfirmBooking(BookingCommand, name="bookings.ConfirmBooking"):
    """The rooms are sold and the money is captured. Sent by the booking saga."""


class RejectBooking(BookingCommand, name="bookings.RejectBooking"):
    """Everything was given back. Sent by the booking saga."""

    reason: RejectionReason


class RequestCancellation(BookingCommand, name="bookings.RequestCancellation"):
    """Cancel a confirmed booking under its policy. Answers {booking_id, status, charge, refund, version}."""

    reason: str = ""
    asked_by: UUID | None = None
    expected_version: int | None = None


class RequestModification(TermsCommand, name="bookings.RequestModification"):
    """Make another stay of a confirmed booking. Answers {booking_id, status, version, modification_id}.

    ``quoted_version`` is that of the booking for which the price was made. ``payment_provider`` and ``payment_token``
    are empty if nothing is to be paid.
    """

    modification_id: UUID
    quoted_version: int
    asked_by: UUID | None = None


class AwaitModificationPayment(BookingCommand, name="bookings.AwaitModificationPayment"):
    """Note that the guest has to act. Sent by the modification saga."""

    modification_id: UUID


class CompleteModification(BookingCommand, name="bookings.CompleteModification"):
    """The rooms are exchanged and the money is settled. Sent by the modification saga."""

    modification_id: UUID


class RejectModification(BookingCommand, name="bookings.RejectModification"):
    """What the modification had taken was given back. Sent by the modification saga."""

    modification_id: UUID
    reason: RejectionReason


class CheckIn(BookingCommand, name="bookings.CheckIn"):
    """The guest is here. ``today`` is the date in the hotel's time zone. Answers {booking_id, status, version}."""

    today: dt.date
    expected_version: int | None = None


class CheckOut(BookingCommand, name="bookings.CheckOut"):
    """The guest leaves. Answers {booking_id, status, version}."""

    expected_version: int | None = None


class RecordNoShow(BookingCommand, name="bookings.RecordNoShow"):
    """The stay has begun and the guest has not come. Answers {booking_id, status, version}."""

    expected_version: int | None = None


class CompleteCancellation(BookingCommand, name="bookings.CompleteCancellation"):
    """Rooms and money are given back. Sent by the cancellation saga."""
