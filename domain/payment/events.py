"""What happens to a payment: a booking begins with one, a modification may add another. The stream is the payment.

Each call to a provider is preceded by the event that records the intent, so that after a crash it is known that the
call may have been made; it is then made again with the same idempotency key, which the provider answers once.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from domain.shared.messages import Event
from domain.shared.money import Money

DeclineReason = Literal["declined", "action_declined", "provider_unavailable", "voided_before"]


class PaymentEvent(Event):
    """Fields that every event of the aggregate has."""

    payment_id: UUID
    booking_id: UUID


class PaymentRequested(PaymentEvent, topic="payments.v1.PaymentRequested"):
    """Intent: ``amount`` is to be authorised at ``provider`` with ``token``."""

    amount: Money
    provider: str
    token: str


class PaymentActionRequired(PaymentEvent, topic="payments.v1.PaymentActionRequired"):
    """The provider wants the guest to act; ``reference`` is the provider's name for the authorisation."""

    reference: str


class PaymentAuthorised(PaymentEvent, topic="payments.v1.PaymentAuthorised"):
    """``amount`` is reserved at the provider under ``reference``."""

    amount: Money
    reference: str


class PaymentDeclined(PaymentEvent, topic="payments.v1.PaymentDeclined"):
    """Nothing is reserved and nothing will be."""

    reason: DeclineReason


class AuthorisationOutcomeUnknown(PaymentEvent, topic="payments.v1.AuthorisationOutcomeUnknown"):
    """The provider did not answer: it may have reserved the amount or not. To be asked again, never guessed."""

    attempt: int


class CaptureRequested(PaymentEvent, topic="payments.v1.CaptureRequested"):
    """Intent: ``amount`` is to be taken."""

    amount: Money


class PaymentCaptured(PaymentEvent, topic="payments.v1.PaymentCaptured"):
    """``amount`` was taken."""

    amount: Money


class VoidRequested(PaymentEvent, topic="payments.v1.VoidRequested"):
    """Intent: what is or may be reserved is to be given back. ``reason`` says why."""

    reason: str


class PaymentVoided(PaymentEvent, topic="payments.v1.PaymentVoided"):
    """Nothing is reserved any more; an authorisation that arrives later is void from the start."""

    reason: str


class RefundRequested(PaymentEvent, topic="payments.v1.RefundRequested"):
    """Intent: ``amount`` is to go back to the guest."""

    refund_id: UUID
    amount: Money
    reason: str


class PaymentRefunded(PaymentEvent, topic="payments.v1.PaymentRefunded"):
    """``amount`` went back to the guest."""

    refund_id: UUID
    amount: Money
    reason: str
