"""What guests are told about their bookings, in words: in the list of their notifications, and by mail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from domain.booking.events import (
    BookingCancelled,
    BookingConfirmed,
    BookingDetails,
    BookingModified,
    BookingRejected,
    ModificationRejected,
    NoShowRecorded,
    RejectionReason,
)
from domain.shared.money import Money

NoticeKind = Literal["confirmed", "rejected", "modified", "modification_rejected", "cancelled", "no_show"]

TOLD: Mapping[type[BookingDetails], NoticeKind] = {
    BookingConfirmed: "confirmed",
    BookingRejected: "rejected",
    BookingModified: "modified",
    ModificationRejected: "modification_rejected",
    BookingCancelled: "cancelled",
    NoShowRecorded: "no_show",
}
"""The events that guests are told of."""
_SUBJECTS: Mapping[NoticeKind, str] = {
    "confirmed": "Your booking at {hotel} is confirmed",
    "rejected": "Your booking at {hotel} could not be made",
    "modified": "Your booking at {hotel} has changed",
    "modification_rejected": "Your booking at {hotel} could not be changed",
    "cancelled": "Your booking at {hotel} is cancelled",
    "no_show": "{hotel} has been waiting for you",
}
REASONS: Mapping[str, str] = {
    "sold_out": "The last room of this kind was booked by somebody else a moment before you. Nothing was charged.",
    "price_changed": "The price changed while you were booking. Nothing was charged.",
    "payment_declined": "The payment was declined. Nothing was charged, and the room is free again.",
    "payment_expired": "The payment was not approved in time. Nothing was charged, and the room is free again.",
    "provider_unavailable": "The payment provider could not be reached. Nothing was charged; please try again.",
}
"""Why a booking was rejected (RejectionReason), in words for its guest."""
UNCHANGED_BECAUSE: Mapping[str, str] = {
    "sold_out": "There are not enough rooms of this kind on all of the nights.",
    "price_changed": "The price has changed.",
    "payment_declined": "The payment of the difference was declined.",
    "payment_expired": "The payment of the difference was not approved in time.",
    "provider_unavailable": "The payment provider could not be reached; please try again.",
}
"""Why a modification was rejected (RejectionReason), in words for the booking's guest."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. ``total``, ``refund`` and ``charge`` are amounts with their currency.

    ``charge`` is what a modification cost more; ``reason`` is a rejection's.
    """

    kind: NoticeKind
    hotel: str
    check_in: dt.date
    check_out: dt.date
    total: str
    refund: str | None = None
    charge: str | None = None
    reason: RejectionReason | None = None

    @property
    def subject(self) -> str:
        """In one line."""
        return _SUBJECTS[self.kind].format(hotel=self.hotel)

    @property
    def text(self) -> str:
        """In a few sentences."""
        stay = f"{self.hotel}, {self.check_in:%a %d %b %Y} to {self.check_out:%a %d %b %Y}."
        match self.kind:
            case "confirmed":
                return f"{stay} The price of the stay is {self.total}."
            case "rejected":
                return f"{stay} {REASONS[self.reason]}" if self.reason else stay
            case "modified":
                return f"{stay} The price of the stay is {self.total} now.{self._difference}"
            case "modification_rejected":
                why = f" {UNCHANGED_BECAUSE[self.reason]}" if self.reason else ""
                return f"{stay}{why} The booking stays as it was, and what was paid for it too."
            case "cancelled":
                return f"{stay} {self._difference.strip() or 'There is nothing to refund.'}"
            case "no_show":
                return f"{stay} You have not arrived. The room is kept until the end of the stay."

    @property
    def _difference(self) -> str:
        if self.refund:
            return f" {self.refund} go back to you."
        return f" You have paid {self.charge} more." if self.charge else ""


def notice_of(event: BookingDetails, hotel: str) -> Notice:
    """What is to be told of one of TOLD, at a hotel of this name."""
    return Notice(
        TOLD[type(event)],
        hotel,
        event.stay.check_in,
        event.stay.check_out,
        _shown(event.total),
        refund=_some(event.refund) if isinstance(event, BookingCancelled | BookingModified) else None,
        charge=_some(event.charge) if isinstance(event, BookingModified) else None,
        reason=event.reason if isinstance(event, BookingRejected | ModificationRejected) else None,
    )


def _some(money: Money) -> str | None:
    return _shown(money) if money.minor else None


def _shown(money: Money) -> str:
    return f"{money.amount} {money.currency}"
