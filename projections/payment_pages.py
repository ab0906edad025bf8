"""Payment pages: where the money of a booking stands.

Shape: ``{payment_id, booking_id, status, amount, captured, refunded, provider, action_url, reason, created_at,
updated_at, version}``; status is one of requested, requires_action, authorised, declined, unknown, captured, voided,
refunded, partially_refunded. Intents change no status: only what the provider answered does. A payment may be voided
before it is requested; then its page begins without amount and provider.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from commands.ports import RecordedEvent
from domain.payment.events import (
    AuthorisationOutcomeUnknown,
    CaptureRequested,
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
from domain.shared.money import Money
from projections.booking_pages import instant, money
from projections.ports import Document
from projections.projection import DocumentProjection


class PaymentPages(DocumentProjection):
    """Keyed by payment_id."""

    name = "payment_pages"
    version = 1
    service = "payments"
    takes = (
        PaymentRequested,
        PaymentActionRequired,
        PaymentAuthorised,
        PaymentDeclined,
        AuthorisationOutcomeUnknown,
        PaymentCaptured,
        PaymentVoided,
        PaymentRefunded,
        CaptureRequested,
        VoidRequested,
        RefundRequested,
    )

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Every payment event names its payment."""
        event: Any = recorded.event
        return (str(event.payment_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See Projection."""
        event: Any = recorded.event
        at = instant(recorded.metadata.at)
        page = (document or _unrequested(event) | {"created_at": at}) | {"updated_at": at, "version": recorded.version}
        match event:
            case PaymentRequested():
                nothing = money(Money.zero(event.amount.currency))
                known = {"amount": money(event.amount), "captured": nothing, "refunded": nothing}
                return page | known | {"status": "requested", "provider": event.provider}
            case PaymentActionRequired():
                action = f"/v1/payments/{event.payment_id}/action"
                return page | {"status": "requires_action", "action_url": action}
            case PaymentAuthorised():
                return page | {"status": "authorised", "action_url": None}
            case PaymentDeclined():
                return page | {"status": "declined", "reason": event.reason, "action_url": None}
            case AuthorisationOutcomeUnknown():
                return page | {"status": "unknown", "action_url": None}
            case PaymentCaptured():
                return page | {"status": "captured", "captured": money(event.amount)}
            case PaymentVoided():
                return page | {"status": "voided", "reason": event.reason, "action_url": None}
            case PaymentRefunded():
                return page | _refunded(page, event)
        return page


def _unrequested(event: Any) -> Document:
    unknown = ("amount", "captured", "refunded", "provider", "action_url", "reason")
    return {
        "payment_id": str(event.payment_id),
        "booking_id": str(event.booking_id),
        "status": "requested",
        **dict.fromkeys(unknown),
    }


def _refunded(page: Document, event: PaymentRefunded) -> Document:
    before = Money.parse(page["refunded"]["amount"], event.amount.currency)
    refunded = before + event.amount
    whole = refunded.minor >= Money.parse(page["captured"]["amount"], event.amount.currency).minor
    return {"status": "refunded" if whole else "partially_refunded", "refunded": money(refunded)}
