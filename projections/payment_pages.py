"""Payment pages: where the money of a booking stands.

Shape: ``{payment_id, booking_id, status, amount, captured, refunded, provider, action_url, reason, created_at,
updated_at, version}``; status is one of requested, requires_action, authorised, declined, unknown, captured, voided,
refunded, partially_refunded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from commands.ports import RecordedEvent
from domain.payment.events import (
    AuthorisationOutcomeUnknown,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentRequested,
    PaymentVoided,
)
from domain.shared.money import Money
from projections.booking_pages import money
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
    )

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Every payment event names its payment."""
        event: Any = recorded.event
        return (str(event.payment_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See Projection."""
        at = recorded.metadata.at.isoformat()
        page = (document or {}) | {"updated_at": at, "version": recorded.version, "action_url": None}
        match recorded.event:
            case PaymentRequested() as event:
                return page | _requested(event) | {"created_at": at}
            case PaymentActionRequired() as event:
                action = f"/v1/payments/{event.payment_id}/action"
                return page | {"status": "requires_action", "action_url": action}
            case PaymentAuthorised():
                return page | {"status": "authorised"}
            case PaymentDeclined() as event:
                return page | {"status": "declined", "reason": event.reason}
            case AuthorisationOutcomeUnknown():
                return page | {"status": "unknown"}
            case PaymentCaptured() as event:
                return page | {"status": "captured", "captured": money(event.amount)}
            case PaymentVoided():
                return page | {"status": "voided"}
            case PaymentRefunded() as event:
                return page | _refunded(page, event)
        return page


def _requested(event: PaymentRequested) -> Document:
    nothing = money(Money.zero(event.amount.currency))
    return {
        "payment_id": str(event.payment_id),
        "booking_id": str(event.booking_id),
        "status": "requested",
        "amount": money(event.amount),
        "captured": nothing,
        "refunded": nothing,
        "provider": event.provider,
        "reason": None,
    }


def _refunded(page: Document, event: PaymentRefunded) -> Document:
    before = Money.parse(page["refunded"]["amount"], event.amount.currency)
    refunded = before + event.amount
    whole = refunded.minor >= Money.parse(page["captured"]["amount"], event.amount.currency).minor
    return {"status": "refunded" if whole else "partially_refunded", "refunded": money(refunded)}
