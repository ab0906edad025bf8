"""What can be asked of a payment. All but ResolvePaymentAction and ReconcilePayment are sent by sagas."""

from __future__ import annotations

from uuid import UUID

from domain.shared.messages import Command
from domain.shared.money import Money


class PaymentCommand(Command):
    """Fields that every command of the aggregate has; the stream is ``payment_id``."""

    payment_id: UUID
    booking_id: UUID


class AuthorisePayment(PaymentCommand, name="payments.AuthorisePayment"):
    """Reserve ``amount``.

    Answered by PaymentAuthorised, PaymentActionRequired, PaymentDeclined or (for now) AuthorisationOutcomeUnknown.
    """

    amount: Money
    provider: str
    token: str


class ResolvePaymentAction(PaymentCommand, name="payments.ResolvePaymentAction"):
    """The guest has acted at the provider; answered by PaymentAuthorised or PaymentDeclined."""

    approve: bool


class ReconcilePayment(PaymentCommand, name="payments.ReconcilePayment"):
    """Ask the provider what became of an authorisation whose outcome is unknown. Sent by a timer."""

    attempt: int


class CapturePayment(PaymentCommand, name="payments.CapturePayment"):
    """Take ``amount`` of what is reserved; answered by PaymentCaptured."""

    amount: Money


class VoidPayment(PaymentCommand, name="payments.VoidPayment"):
    """Give back what is or may be reserved; answered by PaymentVoided, also when there was nothing."""

    reason: str


GOODWILL = "goodwill"
"""The reason of a refund that no policy asks for."""


class RefundPayment(PaymentCommand, name="payments.RefundPayment"):
    """Give ``amount`` of what was captured back; answered by PaymentRefunded, once per ``refund_id``."""

    refund_id: UUID
    amount: Money
    reason: str
