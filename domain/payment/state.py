"""Where the money of one booking stands."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.payment.events import (
    AuthorisationOutcomeUnknown,
    CaptureRequested,
    DeclineReason,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentRequested,
    PaymentVoided,
    RefundRequested,
    VoidRequested,
)
from domain.shared.aggregate import Aggregate
from domain.shared.messages import Event
from domain.shared.money import Money

PaymentStatus = Literal[
    "none", "requested", "unknown", "requires_action", "authorised", "declined", "voided", "captured"
]


class Refund(BaseModel):
    """Money on its way back to the guest, or there (``done``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Money
    reason: str
    done: bool = False


class PaymentState(BaseModel):
    """``version`` counts the stream's events.

    ``request`` is what was to be authorised. ``voiding`` is why it is to be voided, from the intent on; ``capturing``
    is the amount to be captured, from the intent on. ``reference`` is the provider's name for the authorisation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 0
    status: PaymentStatus = "none"
    amount: Money | None = None
    provider: str = ""
    token: str = ""
    reference: str | None = None
    attempt: int = 0
    declined: DeclineReason | None = None
    voiding: str | None = None
    capturing: Money | None = None
    refunds: dict[UUID, Refund] = {}

    @property
    def outcome_open(self) -> bool:
        """Whether it has yet to be learnt what became of the authorisation."""
        return self.status in {"requested", "unknown"}

    @property
    def may_be_reserved(self) -> bool:
        """Whether something may be reserved that we know no reference of, also when it was voided meanwhile."""
        return self.amount is not None and self.reference is None and (self.outcome_open or self.voiding is not None)

    @property
    def captured_minor(self) -> int:
        """What was captured, in minor units."""
        return self.capturing.minor if self.capturing is not None and self.status == "captured" else 0

    @property
    def refunded_minor(self) -> int:
        """What went back or is on its way back, in minor units."""
        return sum(refund.amount.minor for refund in self.refunds.values())


def evolve(state: PaymentState, event: Event) -> PaymentState:
    """The state after ``event``."""
    return state.model_copy(update={"version": state.version + 1, **_changes(state, event)})


def _changes(state: PaymentState, event: Event) -> dict[str, Any]:
    match event:
        case PaymentRequested():
            return {"status": "requested", "amount": event.amount, "provider": event.provider, "token": event.token}
        case PaymentActionRequired():
            return {"status": "requires_action", "reference": event.reference}
        case PaymentAuthorised():
            return {"status": "authorised", "reference": event.reference}
        case PaymentDeclined():
            return {"status": "declined", "declined": event.reason}
        case AuthorisationOutcomeUnknown():
            return {"status": "unknown", "attempt": event.attempt}
    return _changes_after_authorisation(state, event)


def _changes_after_authorisation(state: PaymentState, event: Event) -> dict[str, Any]:
    match event:
        case VoidRequested():
            return {"voiding": event.reason}
        case PaymentVoided():
            return {"status": "voided", "voiding": event.reason}
        case CaptureRequested():
            return {"capturing": event.amount}
        case PaymentCaptured():
            return {"status": "captured", "capturing": event.amount}
        case RefundRequested():
            refund = Refund(amount=event.amount, reason=event.reason)
            return {"refunds": {**state.refunds, event.refund_id: refund}}
        case PaymentRefunded():
            refund = Refund(amount=event.amount, reason=event.reason, done=True)
            return {"refunds": {**state.refunds, event.refund_id: refund}}
    return {}


PAYMENT = Aggregate(name="payment", context="payments", initial=PaymentState(), evolve=evolve)
