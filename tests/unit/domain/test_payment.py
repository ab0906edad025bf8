"""What may be done with a payment: every intent and every outcome, once, twice, early and late."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from domain.payment.commands import (
    AuthorisePayment,
    CapturePayment,
    ReconcilePayment,
    RefundPayment,
    ResolvePaymentAction,
    VoidPayment,
)
from domain.payment.decide import (
    AmountExceeded,
    decide_authorise,
    decide_capture,
    decide_capture_refused,
    decide_captured,
    decide_give_up,
    decide_outcome,
    decide_refund,
    decide_refunded,
    decide_resolve,
    decide_unknown,
    decide_unknown_still,
    decide_void,
    decide_voided,
)
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
from domain.payment.state import PAYMENT, PaymentState
from domain.shared.errors import IllegalTransition, InvalidCommand, NotFound
from domain.shared.messages import Event
from domain.shared.money import Money
from tests.unit.spec import given

IDS: dict[str, Any] = {"payment_id": UUID(int=1), "booking_id": UUID(int=2)}
REFUND_ID, OTHER_REFUND = UUID(int=3), UUID(int=4)


def eur(minor: int) -> Money:
    return Money(minor=minor, currency="EUR")


REQUESTED = PaymentRequested(**IDS, amount=eur(100), provider="sandbox", token="tok_ok")
UNKNOWN = AuthorisationOutcomeUnknown(**IDS, attempt=1)
ACTION = PaymentActionRequired(**IDS, reference="ref")
AUTHORISED = PaymentAuthorised(**IDS, amount=eur(100), reference="ref")
DECLINED = PaymentDeclined(**IDS, reason="declined")
CAPTURING = CaptureRequested(**IDS, amount=eur(100))
CAPTURED = PaymentCaptured(**IDS, amount=eur(100))
VOIDING = VoidRequested(**IDS, reason="sold out")
VOIDED = PaymentVoided(**IDS, reason="sold out")
REFUNDING = RefundRequested(**IDS, refund_id=REFUND_ID, amount=eur(60), reason="cancelled")
REFUNDED = PaymentRefunded(**IDS, refund_id=REFUND_ID, amount=eur(60), reason="cancelled")
TAKEN: list[Event] = [REQUESTED, AUTHORISED, CAPTURING, CAPTURED]


def authorising(state: PaymentState, amount: Money | None = None) -> list[Event]:
    command = AuthorisePayment(**IDS, amount=amount or eur(100), provider="sandbox", token="tok_ok")
    return decide_authorise(state, command)


def told(outcome: Any, **more: Any) -> Any:
    return lambda state: decide_outcome(state, RECONCILE, outcome, "ref", **more)


RECONCILE = ReconcilePayment(**IDS, attempt=1)
RESOLVE = ResolvePaymentAction(**IDS, approve=True)


def unknown(state: PaymentState) -> list[Event]:
    return decide_unknown(state, RECONCILE)


def still_unknown(attempt: int) -> Any:
    return lambda state: decide_unknown_still(state, RECONCILE, attempt)


def capturing(amount: Money | None = None) -> Any:
    return lambda state: decide_capture(state, CapturePayment(**IDS, amount=amount or eur(100)))


def captured(state: PaymentState) -> list[Event]:
    return decide_captured(state, CapturePayment(**IDS, amount=eur(100)))


def capture_refused(state: PaymentState) -> list[Event]:
    return decide_capture_refused(state, CapturePayment(**IDS, amount=eur(100)), "lapsed")


def voiding(state: PaymentState) -> list[Event]:
    return decide_void(state, VoidPayment(**IDS, reason="sold out"))


def voided(state: PaymentState) -> list[Event]:
    return decide_voided(state, RECONCILE)


def refunding(amount: int = 60, refund_id: UUID = REFUND_ID, currency: str = "EUR", reason: str = "cancelled") -> Any:
    command = RefundPayment(**IDS, refund_id=refund_id, amount=Money(minor=amount, currency=currency), reason=reason)
    return lambda state: decide_refund(state, command)


def refunded(state: PaymentState) -> list[Event]:
    return decide_refunded(state, RefundPayment(**IDS, refund_id=REFUND_ID, amount=eur(60), reason="cancelled"))


class TestAuthorising:
    def test_the_intent_is_recorded(self) -> None:
        given(PAYMENT).when(authorising).then(REQUESTED)

    @pytest.mark.parametrize(
        "history",
        [
            [REQUESTED],
            [REQUESTED, UNKNOWN],
            [REQUESTED, ACTION],
            [REQUESTED, AUTHORISED],
            [REQUESTED, DECLINED],
            [REQUESTED, AUTHORISED, VOIDING, VOIDED],
            TAKEN,
        ],
    )
    def test_it_is_asked_for_once(self, history: list[Event]) -> None:
        given(PAYMENT, *history).when(authorising).then_nothing()

    def test_what_was_voided_before_is_declined_without_asking_the_provider(self) -> None:
        refusal = PaymentDeclined(**IDS, reason="voided_before")
        given(PAYMENT, VOIDED).when(authorising).then(refusal)
        given(PAYMENT, VOIDED, refusal).when(authorising).then_nothing()

    @pytest.mark.parametrize("minor", [0, -1])
    def test_there_must_be_something_to_pay(self, minor: int) -> None:
        given(PAYMENT).when(lambda state: authorising(state, eur(minor))).then_refused(InvalidCommand, "amount")


class TestTheOutcome:
    @pytest.mark.parametrize("history", [[REQUESTED], [REQUESTED, UNKNOWN]])
    def test_the_provider_says_what_became_of_it(self, history: list[Event]) -> None:
        given(PAYMENT, *history).when(told("authorised")).then(AUTHORISED)
        given(PAYMENT, *history).when(told("declined")).then(DECLINED)
        given(PAYMENT, *history).when(told("requires_action")).then(ACTION)

    def test_the_guest_has_acted(self) -> None:
        given(PAYMENT, REQUESTED, ACTION).when(told("authorised")).then(AUTHORISED)
        given(PAYMENT, REQUESTED, ACTION).when(told("declined", refusal="action_declined")).then(
            PaymentDeclined(**IDS, reason="action_declined")
        )

    def test_the_guest_has_not_acted_yet(self) -> None:
        given(PAYMENT, REQUESTED, ACTION).when(told("requires_action")).then_nothing()

    @pytest.mark.parametrize("outcome", ["authorised", "declined", "requires_action"])
    @pytest.mark.parametrize(
        "history",
        [
            [REQUESTED, AUTHORISED],
            [REQUESTED, DECLINED],
            [REQUESTED, VOIDING],
            [REQUESTED, UNKNOWN, VOIDING],
            [REQUESTED, VOIDING, VOIDED],
            TAKEN,
        ],
    )
    def test_a_late_answer_changes_nothing(self, history: list[Event], outcome: str) -> None:
        given(PAYMENT, *history).when(told(outcome)).then_nothing()

    def test_without_an_answer_it_is_unknown_and_each_attempt_is_counted_once(self) -> None:
        given(PAYMENT, REQUESTED).when(unknown).then(UNKNOWN)
        given(PAYMENT, REQUESTED, UNKNOWN).when(unknown).then_nothing()
        given(PAYMENT, REQUESTED, UNKNOWN).when(still_unknown(1)).then_nothing()
        given(PAYMENT, REQUESTED, UNKNOWN).when(still_unknown(2)).then(UNKNOWN.model_copy(update={"attempt": 2}))

    def test_what_was_voided_before_the_provider_saw_it_may_be_reserved_yet(self) -> None:
        voided = given(PAYMENT, REQUESTED, VOIDING, VOIDED)
        voided.when(unknown).then(UNKNOWN)
        voided.when(still_unknown(1)).then_nothing()
        given(PAYMENT, REQUESTED, UNKNOWN, VOIDING, VOIDED).when(unknown).then(
            UNKNOWN.model_copy(update={"attempt": 2})
        )
        given(PAYMENT, REQUESTED, AUTHORISED, VOIDING, VOIDED).when(unknown).then_nothing()

    @pytest.mark.parametrize("history", [[REQUESTED, AUTHORISED], [REQUESTED, DECLINED], [VOIDED]])
    def test_what_is_known_does_not_become_unknown(self, history: list[Event]) -> None:
        given(PAYMENT, *history).when(unknown).then_nothing()
        given(PAYMENT, *history).when(still_unknown(1)).then_nothing()

    def test_a_silent_provider_is_given_up_and_what_it_may_have_reserved_is_voided(self) -> None:
        history = given(PAYMENT, REQUESTED, UNKNOWN)
        gone = PaymentDeclined(**IDS, reason="provider_unavailable")
        history.when(lambda state: decide_give_up(state, RECONCILE, may_be_reserved=False)).then(gone)
        intent = VoidRequested(**IDS, reason="the provider did not answer")
        history.when(lambda state: decide_give_up(state, RECONCILE, may_be_reserved=True)).then(intent, gone)
        given(PAYMENT, REQUESTED, UNKNOWN, intent, gone).when(voided).then(
            PaymentVoided(**IDS, reason="the provider did not answer")
        )

    @pytest.mark.parametrize("history", [[REQUESTED, AUTHORISED], [REQUESTED, UNKNOWN, VOIDING], [REQUESTED, DECLINED]])
    def test_nothing_else_is_given_up(self, history: list[Event]) -> None:
        given(PAYMENT, *history).when(
            lambda state: decide_give_up(state, RECONCILE, may_be_reserved=True)
        ).then_nothing()

    def test_an_action_is_resolved_only_where_one_is_waited_for(self) -> None:
        given(PAYMENT, REQUESTED, ACTION).when(lambda state: decide_resolve(state, RESOLVE)).then_nothing()
        given(PAYMENT).when(lambda state: decide_resolve(state, RESOLVE)).then_refused(NotFound)
        for history in ([REQUESTED], [REQUESTED, ACTION, AUTHORISED], [REQUESTED, ACTION, VOIDING], TAKEN):
            given(PAYMENT, *history).when(lambda state: decide_resolve(state, RESOLVE)).then_refused(IllegalTransition)


class TestCapturing:
    history = given(PAYMENT, REQUESTED, AUTHORISED)

    def test_what_is_authorised_is_captured_once(self) -> None:
        self.history.when(capturing()).then(CAPTURING)
        given(PAYMENT, REQUESTED, AUTHORISED, CAPTURING).when(capturing()).then_nothing()
        given(PAYMENT, *TAKEN).when(capturing()).then_nothing()

    def test_the_provider_has_captured_it_once(self) -> None:
        given(PAYMENT, REQUESTED, AUTHORISED, CAPTURING).when(captured).then(CAPTURED)
        given(PAYMENT, *TAKEN).when(captured).then_nothing()
        self.history.when(captured).then_nothing()

    def test_what_the_provider_will_not_give_any_more_is_void_and_stays_so(self) -> None:
        void = PaymentVoided(**IDS, reason="lapsed")
        given(PAYMENT, REQUESTED, AUTHORISED, CAPTURING).when(capture_refused).then(void)
        for past in ([REQUESTED, AUTHORISED], TAKEN, [REQUESTED, AUTHORISED, CAPTURING, void]):
            given(PAYMENT, *past).when(capture_refused).then_nothing()
        given(PAYMENT, REQUESTED, AUTHORISED, CAPTURING, void).when(captured).then_nothing()
        given(PAYMENT, REQUESTED, AUTHORISED, CAPTURING, void).when(capturing()).then_nothing()

    def test_less_may_be_captured_but_not_more(self) -> None:
        self.history.when(capturing(eur(99))).then(CAPTURING.model_copy(update={"amount": eur(99)}))
        self.history.when(capturing(eur(101))).then_refused(AmountExceeded)
        self.history.when(capturing(eur(0))).then_refused(InvalidCommand, "amount")
        self.history.when(capturing(Money(minor=1, currency="USD"))).then_refused(InvalidCommand)

    @pytest.mark.parametrize(
        "history",
        [
            [],
            [REQUESTED],
            [REQUESTED, UNKNOWN],
            [REQUESTED, ACTION],
            [REQUESTED, DECLINED],
            [REQUESTED, AUTHORISED, VOIDING],
            [REQUESTED, AUTHORISED, VOIDING, VOIDED],
        ],
    )
    def test_nothing_else_is_captured(self, history: list[Event]) -> None:
        given(PAYMENT, *history).when(capturing()).then_refused(IllegalTransition)


class TestVoiding:
    @pytest.mark.parametrize("history", [[], [REQUESTED, DECLINED]])
    def test_where_nothing_is_reserved_it_is_void_at_once(self, history: list[Event]) -> None:
        given(PAYMENT, *history).when(voiding).then(VOIDED)

    @pytest.mark.parametrize(
        "history", [[REQUESTED], [REQUESTED, UNKNOWN], [REQUESTED, ACTION], [REQUESTED, AUTHORISED]]
    )
    def test_what_is_or_may_be_reserved_is_voided_in_two_steps(self, history: list[Event]) -> None:
        given(PAYMENT, *history).when(voiding).then(VOIDING)
        given(PAYMENT, *history, VOIDING).when(voiding).then_nothing()
        given(PAYMENT, *history, VOIDING).when(voided).then(VOIDED)
        given(PAYMENT, *history, VOIDING, VOIDED).when(voided).then_nothing()
        given(PAYMENT, *history, VOIDING, VOIDED).when(voiding).then_nothing()

    @pytest.mark.parametrize("history", [[REQUESTED, AUTHORISED, CAPTURING], TAKEN, [*TAKEN, REFUNDING, REFUNDED]])
    def test_after_the_capture_only_a_refund_helps(self, history: list[Event]) -> None:
        given(PAYMENT, *history).when(voiding).then_refused(IllegalTransition)

    def test_nothing_is_void_that_nobody_wanted_void(self) -> None:
        given(PAYMENT, REQUESTED, AUTHORISED).when(voided).then_nothing()


class TestRefunding:
    def test_what_was_captured_goes_back_once_per_refund(self) -> None:
        given(PAYMENT, *TAKEN).when(refunding()).then(REFUNDING)
        given(PAYMENT, *TAKEN, REFUNDING).when(refunding()).then_nothing()
        given(PAYMENT, *TAKEN, REFUNDING).when(refunded).then(REFUNDED)
        given(PAYMENT, *TAKEN, REFUNDING, REFUNDED).when(refunded).then_nothing()
        given(PAYMENT, *TAKEN, REFUNDING, REFUNDED).when(refunding()).then_nothing()

    def test_an_outcome_without_an_intent_is_not_believed(self) -> None:
        given(PAYMENT, *TAKEN).when(refunded).then_nothing()

    @pytest.mark.parametrize("history", [[REFUNDING], [REFUNDING, REFUNDED]])
    def test_all_refunds_together_never_exceed_the_capture(self, history: list[Event]) -> None:
        given(PAYMENT, *TAKEN, *history).when(refunding(41, OTHER_REFUND)).then_refused(AmountExceeded)
        given(PAYMENT, *TAKEN, *history).when(refunding(40, OTHER_REFUND)).then(
            REFUNDING.model_copy(update={"refund_id": OTHER_REFUND, "amount": eur(40)})
        )

    def test_only_what_was_captured_goes_back(self) -> None:
        for history in ([], [REQUESTED, AUTHORISED], [REQUESTED, AUTHORISED, CAPTURING], [VOIDED]):
            given(PAYMENT, *history).when(refunding()).then_refused(IllegalTransition)

    def test_amounts_and_reasons_have_their_bounds(self) -> None:
        history = given(PAYMENT, *TAKEN)
        history.when(refunding(0)).then_refused(InvalidCommand, "amount")
        history.when(refunding(currency="USD")).then_refused(InvalidCommand)
        history.when(refunding(reason="\x00")).then_refused(InvalidCommand, "reason")
