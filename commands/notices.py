"""What guests are told about their bookings, in words: in the list of their notifications, and by mail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from domain.booking.events import RejectionReason

NoticeKind = Literal["confirmed", "rejected", "cancelled", "no_show"]

_SUBJECTS: Mapping[NoticeKind, str] = {
    "confirmed": "Your booking at {hotel} is confirmed",
    "rejected": "Your booking at {hotel} could not be made",
    "cancelled": "Your booking at {hotel} is cancelled",
    "no_show": "{hotel} has been waiting for you",
}
_REASONS: Mapping[RejectionReason, str] = {
    "sold_out": "The last room of this kind was booked by somebody else a moment before.",
    "price_changed": "The price changed in the meantime.",
    "payment_declined": "The payment was declined.",
    "payment_expired": "The payment was not approved in time.",
    "provider_unavailable": "The payment provider could not be reached.",
}


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
                because = _REASONS[self.reason] if self.reason else ""
                return f"{stay} {because} Nothing was charged.".replace("  ", " ")
            case "cancelled":
                refund = f"{self.refund} go back to you." if self.refund else "There is nothing to refund."
                return f"{stay} {refund}"
            case "no_show":
                return f"{stay} You have not arrived. The room is kept until the end of the stay."
