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
    BookingRejected,
    NoShowRecorded,
    RejectionReason,
)
from domain.shared.money import Money

NoticeKind = Literal["confirmed", "rejected", "cancelled", "no_show"]

TOLD: Mapping[type[BookingDetails], NoticeKind] = {
    BookingConfirmed: "confirmed",
    BookingRejected: "rejected",
    BookingCancelled: "cancelled",
    NoShowRecorded: "no_show",
}
"""The events that guests are told of."""
_SUBJECTS: Mapping[NoticeKind, str] = {
    "confirmed": "Your booking at {hotel} is confirmed",
    "rejected": "Your booking at {hotel} could not be made",
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


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. ``total`` and ``refund`` are amounts with their currency; ``reason`` is a rejection's."""

    kind: NoticeKind
    hotel: str
    check_in: dt.date
    check_out: dt.date
    total: str
    refund: str | None = None
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
            case "cancelled":
                refund = f"{self.refund} go back to you." if self.refund else "There is nothing to refund."
                return f"{stay} {refund}"
            case "no_show":
                return f"{stay} You have not arrived. The room is kept until the end of the stay."


def notice_of(event: BookingDetails, hotel: str) -> Notice:
    """What is to be told of one of TOLD, at a hotel of this name."""
    return Notice(
        TOLD[type(event)],
        hotel,
        event.stay.check_in,
        event.stay.check_out,
        _shown(event.total),
        refund=_shown(event.refund) if isinstance(event, BookingCancelled) and event.refund.minor else None,
        reason=event.reason if isinstance(event, BookingRejected) else None,
    )


def _shown(money: Money) -> str:
    return f"{money.amount} {money.currency}"
