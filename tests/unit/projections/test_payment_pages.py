"""Payment pages: where the money of a booking stands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

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
from projections.payment_pages import PaymentPages
from tests.unit.projections.recording import folded, recorded

IDS: dict[str, Any] = {"payment_id": UUID(int=1), "booking_id": UUID(int=2)}


def eur(minor: int) -> Money:
    return Money(minor=minor, currency="EUR")


def shown(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "EUR"}


def refunded(minor: int, number: int) -> PaymentRefunded:
    return PaymentRefunded(**IDS, refund_id=UUID(int=number), amount=eur(minor), reason="cancelled")


REQUESTED = PaymentRequested(**IDS, amount=eur(10000), provider="sandbox", token="tok_ok")
ACTION = PaymentActionRequired(**IDS, reference="r")
AUTHORISED = PaymentAuthorised(**IDS, amount=eur(10000), reference="r")
UNKNOWN = AuthorisationOutcomeUnknown(**IDS, attempt=1)
CAPTURE = CaptureRequested(**IDS, amount=eur(10000))
CAPTURED = PaymentCaptured(**IDS, amount=eur(10000))
VOID = VoidRequested(**IDS, reason="rejected")
VOIDED = PaymentVoided(**IDS, reason="rejected")
REFUND = RefundRequested(**IDS, refund_id=UUID(int=5), amount=eur(2500), reason="cancelled")
DECLINED = PaymentDeclined(**IDS, reason="declined")


def test_a_requested_payment_shows_what_is_asked_for() -> None:
    assert folded(PaymentPages(), REQUESTED) == {
        "payment_id": str(UUID(int=1)),
        "booking_id": str(UUID(int=2)),
        "status": "requested",
        "amount": shown("100.00"),
        "captured": shown("0.00"),
        "refunded": shown("0.00"),
        "provider": "sandbox",
        "action_url": None,
        "reason": None,
        "created_at": "2026-06-01T12:00:00.000000Z",
        "updated_at": "2026-06-01T12:00:00.000000Z",
        "version": 1,
    }


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ((REQUESTED, AUTHORISED), "authorised"),
        ((REQUESTED, UNKNOWN), "unknown"),
        ((REQUESTED, UNKNOWN, AUTHORISED), "authorised"),
        ((REQUESTED, AUTHORISED, CAPTURE), "authorised"),
        ((REQUESTED, AUTHORISED, CAPTURE, CAPTURED), "captured"),
        ((REQUESTED, AUTHORISED, VOID), "authorised"),
        ((REQUESTED, AUTHORISED, VOID, VOIDED), "voided"),
        ((REQUESTED, AUTHORISED, CAPTURE, CAPTURED, REFUND), "captured"),
        ((REQUESTED, AUTHORISED, CAPTURED, refunded(2500, 1)), "partially_refunded"),
        ((REQUESTED, AUTHORISED, CAPTURED, refunded(2500, 1), refunded(7500, 2)), "refunded"),
    ],
)
def test_the_status_is_what_the_provider_answered(events: tuple[Any, ...], status: str) -> None:
    page = folded(PaymentPages(), *events)
    assert (page["status"], page["version"]) == (status, len(events))


def test_money_that_was_taken_and_given_back_is_added_up() -> None:
    page = folded(PaymentPages(), REQUESTED, AUTHORISED, CAPTURED, refunded(2500, 1), refunded(1000, 2))
    assert (page["captured"], page["refunded"]) == (shown("100.00"), shown("35.00"))


def test_the_guest_is_sent_to_the_action_only_while_it_is_wanted() -> None:
    assert folded(PaymentPages(), REQUESTED, ACTION)["action_url"] == f"/v1/payments/{UUID(int=1)}/action"
    assert folded(PaymentPages(), REQUESTED, ACTION)["status"] == "requires_action"
    for ending in (AUTHORISED, DECLINED, VOIDED, UNKNOWN):
        assert folded(PaymentPages(), REQUESTED, ACTION, ending)["action_url"] is None
    assert folded(PaymentPages(), REQUESTED, ACTION, VOID)["action_url"] is not None


def test_an_end_without_money_says_why() -> None:
    assert folded(PaymentPages(), REQUESTED, DECLINED)["reason"] == "declined"
    assert folded(PaymentPages(), REQUESTED, AUTHORISED, VOIDED)["reason"] == "rejected"


def test_a_payment_that_was_voided_before_it_was_requested_has_a_page() -> None:
    page = folded(PaymentPages(), VOIDED, PaymentDeclined(**IDS, reason="voided_before"))
    assert (page["status"], page["reason"], page["amount"]) == ("declined", "voided_before", None)
    assert (page["payment_id"], page["booking_id"]) == (str(UUID(int=1)), str(UUID(int=2)))


def test_the_key_is_the_payment() -> None:
    assert tuple(PaymentPages().keys(recorded(VOID))) == (str(UUID(int=1)),)
