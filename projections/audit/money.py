"""What was taken and given back, against what the bookings came to."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from commands.ports import RecordedEvent
from domain.booking.state import STANDING
from domain.payment.commands import GOODWILL
from domain.payment.events import (
    CaptureRequested,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    RefundRequested,
)
from domain.shared.money import Money
from projections.audit.bookings import Booking, Bookings
from projections.audit.findings import Cut, Findings, Period, Place

RESERVED_AT_MOST = dt.timedelta(minutes=15)
"""How long an authorisation of a rejected booking may wait to be voided: as long as voiding is retried."""


@dataclass(slots=True)
class Intended:
    """A refund as it was asked for."""

    amount: Money
    reason: str
    at: dt.datetime
    done: bool = False


@dataclass(slots=True)
class Payment:
    """One stream. Amounts are minor units by currency, because nothing says that forged events agree on one."""

    booking_id: UUID
    at: dt.datetime
    authorised: Money | None = None
    authorised_at: dt.datetime | None = None
    intended: Money | None = None
    captured: Money | None = None
    voided: bool = False
    kept: dict[str, int] = field(default_factory=dict)
    goodwill: dict[str, int] = field(default_factory=dict)
    refunds: dict[UUID, Intended] = field(default_factory=dict)

    def move(self, amount: Money, sign: int) -> None:
        """Money that came in (1) or went back (-1)."""
        self.kept[amount.currency] = self.kept.get(amount.currency, 0) + sign * amount.minor

    def reserves_since(self, moment: dt.datetime) -> bool:
        """Whether something was authorised before ``moment`` and neither taken nor given back."""
        untouched = self.captured is None and not self.voided
        return untouched and self.authorised_at is not None and self.authorised_at < moment


def keep(payments: Sequence[Payment], amount: Money) -> bool:
    """Whether they keep exactly ``amount`` together, but for what was given back out of goodwill."""
    due = Counter[str]()
    for payment in payments:
        due.update(payment.kept)
        due.update(payment.goodwill)
    return {currency: minor for currency, minor in due.items() if minor} == (
        {amount.currency: amount.minor} if amount.minor else {}
    )


def told(payments: Sequence[Payment]) -> str:
    """What they keep together, in words."""
    kept = Counter[str]()
    for payment in payments:
        kept.update(payment.kept)
    amounts = [f"{Money(minor=minor, currency=currency).amount} {currency}" for currency, minor in kept.items()]
    return " and ".join(amounts) or "nothing"


class Payments:
    """Follows payments."""

    takes = (PaymentAuthorised, CaptureRequested, PaymentCaptured, PaymentVoided, RefundRequested, PaymentRefunded)

    def __init__(self, period: Period) -> None:
        self.money = Findings("money", "What is kept of captured money is what the booking came to.")
        self.refunds = Findings("refunds", "Every refund was asked for, with a reason, and is made once.")
        self._period = period
        self._payments: dict[UUID, Payment] = {}

    def take(self, recorded: RecordedEvent) -> None:
        """Look at the next event of the log."""
        event = recorded.event
        if not isinstance(event, PaymentEvent):
            return
        payment = self._payments.setdefault(recorded.stream_id, Payment(event.booking_id, recorded.metadata.at))
        match event:
            case PaymentAuthorised():
                payment.authorised, payment.authorised_at = event.amount, recorded.recorded_at
            case CaptureRequested():
                payment.intended = event.amount
            case PaymentCaptured():
                self._captured(payment, recorded, event)
            case PaymentVoided():
                payment.voided = True
            case RefundRequested():
                payment.refunds.setdefault(event.refund_id, Intended(event.amount, event.reason, recorded.recorded_at))
            case PaymentRefunded():
                self._refunded(payment, recorded, event)

    def judge(self, cut: Cut, bookings: Bookings) -> None:
        """Hold the money against the bookings, as far as those are settled."""
        for booking_id, booking in bookings.judged(cut):
            self.money.checked += 1
            self._judge_settled(cut, booking_id, booking)
        for payment_id, payment in self._payments.items():
            self._judge_goodwill(payment_id, payment, cut.now - RESERVED_AT_MOST)
            if any(payment.kept.values()) and self._period.has(payment.at):
                self._judge_captured(payment_id, payment, bookings.by_id.get(payment.booking_id))

    def _judge_settled(self, cut: Cut, booking_id: UUID, booking: Booking) -> None:
        ids = sorted(booking.payment_ids & self._payments.keys(), key=lambda each: each != booking.payment_id)
        payments = [self._payments[payment_id] for payment_id in ids]
        proof = [Place("bookings", booking_id)]
        proof += [Place("payments", payment_id) for payment_id in ids or (booking.payment_id,)]
        kept = booking.kept
        if not keep(payments, kept):
            self.money.violation(
                f"booking {booking_id} is {booking.status}: {kept.amount} {kept.currency} are to be kept, and"
                f" {told(payments)} is kept",
                *proof,
            )
        elif any(payment.reserves_since(cut.now - RESERVED_AT_MOST) for payment in payments):
            self.money.violation(
                f"booking {booking_id} is {booking.status}, and its authorisation was not given back", *proof
            )

    def _judge_goodwill(self, payment_id: UUID, payment: Payment, before: dt.datetime) -> None:
        """Goodwill is carried out by nobody but whoever asked for it: it may have been forgotten halfway."""
        for refund_id, intended in payment.refunds.items():
            forgotten = intended.reason == GOODWILL and not intended.done and intended.at < before
            if forgotten and self._period.has(payment.at):
                self.refunds.violation(
                    f"payment {payment_id}: refund {refund_id} of {intended.amount.amount} was asked for and not made;"
                    " ask again with the same key",
                    Place("payments", payment_id),
                )

    def _judge_captured(self, payment_id: UUID, payment: Payment, booking: Booking | None) -> None:
        """Money that nobody is going to ask for: the booking is not known, stands still, or has another payment."""
        proof = Place("payments", payment_id), Place("bookings", payment.booking_id)
        captured = f"payment {payment_id} keeps {told([payment])} for booking {payment.booking_id}, which"
        if booking is None:
            self.money.violation(f"{captured} is not on record", proof[0])
        elif payment_id not in booking.payment_ids:
            self.money.violation(f"{captured} is paid by {booking.payment_id}", *proof)
        elif booking.quarantined and booking.status not in STANDING:
            self.money.violation(f"{captured} is {booking.status} and whose saga is quarantined", *proof)

    def _captured(self, payment: Payment, recorded: RecordedEvent, event: PaymentCaptured) -> None:
        wrong = None
        if payment.captured is not None:
            wrong = f"{event.amount.amount} were captured after {payment.captured.amount} had been"
        elif payment.intended != event.amount:
            wrong = f"{event.amount.amount} were captured, which nobody had asked for"
        elif payment.authorised is None or not _covers(payment.authorised, event.amount):
            wrong = f"{event.amount.amount} were captured without such an authorisation"
        payment.captured = event.amount
        payment.move(event.amount, 1)
        self._irregular(self.money, recorded, wrong)

    def _refunded(self, payment: Payment, recorded: RecordedEvent, event: PaymentRefunded) -> None:
        self.refunds.checked += self._period.has(recorded.metadata.at)
        intended = payment.refunds.get(event.refund_id)
        wrong = None
        if intended is None:
            wrong = f"refund {event.refund_id} of {event.amount.amount} was made, but never asked for"
        elif intended.done:
            wrong = f"refund {event.refund_id} of {event.amount.amount} was made twice"
        elif intended.amount != event.amount:
            wrong = f"refund {event.refund_id} of {intended.amount.amount} was made over {event.amount.amount}"
        elif not intended.reason.strip() or not event.reason.strip():
            wrong = f"refund {event.refund_id} of {event.amount.amount} has no reason"
        if intended is not None:
            intended.done = True
        payment.move(event.amount, -1)
        if wrong is None and event.reason == GOODWILL:
            known = payment.goodwill.get(event.amount.currency, 0)
            payment.goodwill[event.amount.currency] = known + event.amount.minor
        self._irregular(self.refunds, recorded, wrong)
        if payment.kept[event.amount.currency] < 0:
            self._irregular(self.money, recorded, "more was given back than was captured")

    def _irregular(self, findings: Findings, recorded: RecordedEvent, wrong: str | None) -> None:
        if wrong is not None and self._period.has(recorded.metadata.at):
            proof = Place(recorded.context, recorded.stream_id)
            findings.violation(f"payment {recorded.stream_id}: {wrong}", proof)


def _covers(authorised: Money, amount: Money) -> bool:
    return authorised.currency == amount.currency and amount.minor <= authorised.minor
