"""What may be done with a payment. Pure: the state and a command (or a provider's answer) in, events out.

Each step at the provider is two decisions: the intent before the call, the outcome after it. Either may be asked for
again, late or twice; what is already so changes nothing.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from domain.payment.commands import (
    AuthorisePayment,
    CapturePayment,
    PaymentCommand,
    RefundPayment,
    ResolvePaymentAction,
    VoidPayment,
)
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
from domain.payment.state import PaymentState
from domain.shared.errors import DomainError, IllegalTransition, InvalidCommand, NotFound
from domain.shared.messages import Event
from domain.shared.money import Money
from domain.shared.validation import Problems

Outcome = Literal["authorised", "declined", "requires_action"]


class AmountExceeded(DomainError):
    """More would be captured than is authorised, or refunded than was captured."""

    problem = "amount-exceeded"


def decide_authorise(state: PaymentState, command: AuthorisePayment) -> list[Event]:
    """Intent to authorise, once. A payment that was voided before it was asked for is declined.

    Raises InvalidCommand unless the amount is positive.
    """
    if state.status == "none":
        _positive(command.amount)
        return [
            PaymentRequested(
                **_identity(command), amount=command.amount, provider=command.provider, token=command.token
            )
        ]
    if state.status == "voided" and state.amount is None and state.declined is None:
        return [PaymentDeclined(**_identity(command), reason="voided_before")]
    return []


def decide_outcome(
    state: PaymentState,
    command: PaymentCommand,
    outcome: Outcome,
    reference: str,
    *,
    refusal: DeclineReason = "declined",
) -> list[Event]:
    """What the provider says of the authorisation; of no interest any more once it is to be voided or is settled."""
    if state.voiding is not None or not (state.outcome_open or state.status == "requires_action"):
        return []
    match outcome:
        case "authorised" if state.amount is not None:
            return [PaymentAuthorised(**_identity(command), amount=state.amount, reference=reference)]
        case "requires_action" if state.status != "requires_action":
            return [PaymentActionRequired(**_identity(command), reference=reference)]
        case "declined":
            return [PaymentDeclined(**_identity(command), reason=refusal)]
    return []


def decide_unknown(state: PaymentState, command: PaymentCommand) -> list[Event]:
    """The provider was asked to authorise and did not answer; once, until something was learnt.

    Also when the payment was voided while it was asked: it may see the request after it has said that there is none.
    """
    voided_unseen = state.status == "voided" and state.amount is not None and state.reference is None
    if not (voided_unseen or (state.outcome_open and state.attempt == 0)):
        return []
    return [AuthorisationOutcomeUnknown(**_identity(command), attempt=state.attempt + 1)]


def decide_unknown_still(state: PaymentState, command: PaymentCommand, attempt: int) -> list[Event]:
    """It did not answer either when it was asked what had become of it: ``attempt`` to ask again follows."""
    if not state.outcome_open or attempt <= state.attempt:
        return []
    return [AuthorisationOutcomeUnknown(**_identity(command), attempt=attempt)]


def decide_give_up(state: PaymentState, command: PaymentCommand, *, may_be_reserved: bool) -> list[Event]:
    """The provider has not answered for too long: decline, and void what it may have reserved meanwhile."""
    if not state.outcome_open or state.voiding is not None:
        return []
    declined = PaymentDeclined(**_identity(command), reason="provider_unavailable")
    if not may_be_reserved:
        return [declined]
    return [VoidRequested(**_identity(command), reason="the provider did not answer"), declined]


def decide_resolve(state: PaymentState, command: ResolvePaymentAction) -> list[Event]:
    """Whether the guest's action can be resolved. Raises NotFound, IllegalTransition."""
    if state.amount is None:
        raise NotFound(f"there is no payment {command.payment_id}")
    if state.status != "requires_action" or state.voiding is not None:
        status = "about to be voided" if state.status == "requires_action" else state.status
        raise IllegalTransition(f"payment {command.payment_id} waits for no action of the guest: it is {status}")
    return []


def decide_capture(state: PaymentState, command: CapturePayment) -> list[Event]:
    """Intent to capture, once. Raises IllegalTransition unless authorised, AmountExceeded, InvalidCommand."""
    if state.capturing is not None:
        return []
    if state.status != "authorised" or state.amount is None or state.voiding is not None:
        raise IllegalTransition(f"payment {command.payment_id} is {_described(state)}: nothing can be captured")
    _positive(command.amount)
    if (command.amount - state.amount).minor > 0:
        raise AmountExceeded(f"{command.amount.amount} cannot be captured of {state.amount.amount} authorised")
    return [CaptureRequested(**_identity(command), amount=command.amount)]


def decide_captured(state: PaymentState, command: CapturePayment) -> list[Event]:
    """The provider has captured what was intended."""
    if state.status != "authorised" or state.capturing is None:
        return []
    return [PaymentCaptured(**_identity(command), amount=state.capturing)]


def decide_capture_refused(state: PaymentState, command: CapturePayment, reason: str) -> list[Event]:
    """The provider will not give any more what was reserved: nothing was captured, and nothing will be."""
    if state.status != "authorised" or state.capturing is None:
        return []
    return [PaymentVoided(**_identity(command), reason=reason)]


def decide_void(state: PaymentState, command: VoidPayment) -> list[Event]:
    """Intent to void; at once void where nothing can be reserved. Raises IllegalTransition from the capture on."""
    if state.capturing is not None:
        raise IllegalTransition(f"payment {command.payment_id} is {_described(state)}: refund it instead")
    if state.status == "voided" or state.voiding is not None:
        return []
    if state.status in {"none", "declined"}:
        return [PaymentVoided(**_identity(command), reason=command.reason)]
    return [VoidRequested(**_identity(command), reason=command.reason)]


def decide_voided(state: PaymentState, command: PaymentCommand) -> list[Event]:
    """The provider has nothing reserved any more."""
    if state.voiding is None or state.status == "voided":
        return []
    return [PaymentVoided(**_identity(command), reason=state.voiding)]


def decide_refund(state: PaymentState, command: RefundPayment) -> list[Event]:
    """Intent to refund, once per ``refund_id``; all refunds together never exceed what was captured.

    Raises IllegalTransition unless captured, AmountExceeded, InvalidCommand.
    """
    if command.refund_id in state.refunds:
        return []
    if state.status != "captured" or state.capturing is None:
        raise IllegalTransition(f"payment {command.payment_id} is {_described(state)}: there is nothing to refund")
    _positive(command.amount)
    problems = Problems()
    problems.text("reason", command.reason, 500, shortest=0, lines=True)
    problems.refuse()
    left = Money(minor=state.captured_minor - state.refunded_minor, currency=state.capturing.currency)
    if (command.amount - left).minor > 0:
        raise AmountExceeded(f"{command.amount.amount} cannot be refunded: {left.amount} is left of the capture")
    return [
        RefundRequested(**_identity(command), refund_id=command.refund_id, amount=command.amount, reason=command.reason)
    ]


def decide_refunded(state: PaymentState, command: RefundPayment) -> list[Event]:
    """The provider has given back what was intended under this ``refund_id``."""
    refund = state.refunds.get(command.refund_id)
    if refund is None or refund.done:
        return []
    return [
        PaymentRefunded(**_identity(command), refund_id=command.refund_id, amount=refund.amount, reason=refund.reason)
    ]


def _positive(amount: Money) -> None:
    if amount.minor <= 0:
        raise InvalidCommand(f"{amount.amount} is no amount to move", errors=(("amount", "must be more than 0"),))


def _described(state: PaymentState) -> str:
    if state.capturing is not None and state.status != "captured":
        return "being captured"
    return "being voided" if state.voiding is not None and state.status != "voided" else state.status


def _identity(command: PaymentCommand) -> dict[str, UUID]:
    return {"payment_id": command.payment_id, "booking_id": command.booking_id}
