"""What happens to a booking. The stream is the booking.

Every event that changes the status carries the whole booking, so that a reader (facts, lists) needs no state.
No personal data: ``guest_id`` names a person whom only the users service knows.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.hotel.events import CancellationTier, NightPrice, PaymentPolicy
from domain.shared.messages import Event
from domain.shared.money import Money
from domain.shared.stay import Stay

RejectionReason = Literal["sold_out", "price_changed", "payment_declined", "payment_expired", "provider_unavailable"]


class BookingEvent(Event):
    """Fields that every event of the aggregate has."""

    booking_id: UUID


class BookingDetails(BookingEvent):
    """What was booked, by whom, at which price and on which terms.

    ``nightly`` is the price of one room for each night; ``total`` is for all rooms and nights. ``due_now`` is what the
    payment policy asks for before the booking is confirmed (0: paid at the hotel). ``check_in_at`` is when the stay
    begins, as an instant, from the hotel's own time zone. ``account_id`` booked, ``guest_id`` stays.
    """

    guest_id: UUID
    account_id: UUID
    hotel_id: UUID
    room_type_id: UUID
    rate_plan_id: UUID
    stay: Stay
    check_in_at: dt.datetime
    rooms: int
    adults: int
    children: int
    nightly: tuple[NightPrice, ...]
    total: Money
    due_now: Money
    payment_id: UUID
    payment_policy: PaymentPolicy
    cancellation: tuple[CancellationTier, ...]


class BookingRequested(BookingDetails, topic="bookings.v1.BookingRequested"):
    """Somebody wants these rooms. ``payment_token`` is the provider's name for the means of payment, no card data."""

    payment_provider: str
    payment_token: str


class BookingAwaitingPayment(BookingEvent, topic="bookings.v1.BookingAwaitingPayment"):
    """The guest has to act (3-D Secure, for example) before the payment can go on."""

    payment_id: UUID


class BookingConfirmed(BookingDetails, topic="bookings.v1.BookingConfirmed"):
    """The rooms are sold to the guest and what is due now was captured."""


class BookingRejected(BookingDetails, topic="bookings.v1.BookingRejected"):
    """It came to nothing; whatever was held or authorised has been given back."""

    reason: RejectionReason


class Paid(BaseModel):
    """What one payment keeps of a booking's money, or is to give back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    payment_id: UUID
    amount: Money


class CancellationRequested(BookingEvent, topic="bookings.v1.CancellationRequested"):
    """A confirmed booking is to be cancelled: ``charge`` is kept, ``refund`` goes back (0 if nothing was paid).

    ``hold_id`` is what it holds, ``refunds`` are the parts of the refund by payment; where neither is told, as before
    bookings could be modified, it is the hold and the payment that it began with.
    """

    hotel_id: UUID
    room_type_id: UUID
    payment_id: UUID
    charge: Money
    refund: Money
    reason: str
    hold_id: UUID | None = None
    refunds: tuple[Paid, ...] = ()


class ModificationRequested(BookingEvent, topic="bookings.v1.ModificationRequested"):
    """A confirmed booking is to become ``after`` instead of ``before``; until that is done it stays as it is.

    What the modification takes bears its id: a hold, to take the place of ``hold_id``, and a payment of ``charge``, if
    that is more than 0. ``refunds`` are what earlier payments are to give back then.
    """

    modification_id: UUID
    before: BookingDetails
    after: BookingDetails
    hold_id: UUID
    charge: Money
    refunds: tuple[Paid, ...]
    payment_provider: str
    payment_token: str


class ModificationAwaitingPayment(BookingEvent, topic="bookings.v1.ModificationAwaitingPayment"):
    """The guest has to act before what a modification costs more can be taken."""

    modification_id: UUID


class BookingModified(BookingDetails, topic="bookings.v1.BookingModified"):
    """It is another stay from now on, sold and paid. ``paid`` is what each payment keeps."""

    modification_id: UUID
    before: BookingDetails
    charge: Money
    refund: Money
    paid: tuple[Paid, ...]


class ModificationRejected(BookingDetails, topic="bookings.v1.ModificationRejected"):
    """The modification came to nothing, and what it had taken was given back: the booking is as it was."""

    modification_id: UUID
    reason: RejectionReason


class GuestCheckedIn(BookingDetails, topic="bookings.v1.GuestCheckedIn"):
    """The guest has arrived; after a no-show too, if they came late after all."""


class GuestCheckedOut(BookingDetails, topic="bookings.v1.GuestCheckedOut"):
    """The guest has left, perhaps earlier than booked; the booking is over."""


class NoShowRecorded(BookingDetails, topic="bookings.v1.NoShowRecorded"):
    """The stay has begun and nobody has come. The rooms stay the guest's, and what was paid stays the hotel's."""


class BookingCancelled(BookingDetails, topic="bookings.v1.BookingCancelled"):
    """The rooms are free again and the money is settled."""

    charge: Money
    refund: Money
    reason: str
