"""Payments with a provider that is slow, silent, away, or asked twice."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import pytest

from commands.dispatch import Dispatcher
from commands.payment_provider import CaptureRefused, ProviderTimeout, ProviderUnavailable
from commands.payments import RECONCILE_AFTER_SECONDS, VOID_AGAIN_AFTER_SECONDS, UnknownProvider, reconciliation_timer
from commands.ports import Answer, Idempotency
from domain.payment.commands import (
    AuthorisePayment,
    CapturePayment,
    RefundPayment,
    ResolvePaymentAction,
    VoidPayment,
)
from domain.payment.state import PAYMENT, PaymentState
from domain.shared.errors import IllegalTransition
from domain.shared.messages import Command
from domain.shared.money import Money
from tests.fakes import NOW, Fakes, envelope_of

PAYMENT_ID = UUID(int=1)
IDS: dict[str, Any] = {"payment_id": PAYMENT_ID, "booking_id": UUID(int=2)}
AMOUNT = Money(minor=10_000, currency="EUR")
REFERENCE = f"ref-{PAYMENT_ID}:authorise"
AUTHORISE = AuthorisePayment(**IDS, amount=AMOUNT, provider="sandbox", token="tok_ok")
CAPTURE = CapturePayment(**IDS, amount=AMOUNT)
VOID = VoidPayment(**IDS, reason="sold out")
REFUND = RefundPayment(**IDS, refund_id=UUID(int=3), amount=Money(minor=4_000, currency="EUR"), reason="cancelled")
APPROVE = ResolvePaymentAction(**IDS, approve=True)


class Service:
    """The payments service in memory, with its provider and timers in the test's hands."""

    def __init__(self) -> None:
        self.fakes = Fakes("payments")
        self.streams = self.fakes.streams["payments"]
        self.provider = self.fakes.provider
        self.dispatcher = Dispatcher(self.fakes.dependencies)

    async def send(self, command: Command, command_id: UUID | None = None, **how: Any) -> Answer:
        return await self.dispatcher.handle(envelope_of(command, command_id=command_id, **how))

    async def pass_time(self) -> float:
        """Deliver the reconciliation that is due next, and tell after how many seconds."""
        timer = self.streams.timers.pop(reconciliation_timer(PAYMENT_ID))
        wait = (timer.due_at - self.fakes.clock.now()).total_seconds()
        self.fakes.clock.advance(seconds=wait)
        await self.dispatcher.handle(timer.command)
        return wait

    async def state(self) -> PaymentState:
        return (await self.streams.load(PAYMENT, PAYMENT_ID)).state

    @property
    def story(self) -> list[str]:
        return [type(event).__name__ for event in self.streams.events(PAYMENT_ID)]

    def calls(self, operation: str) -> list[str]:
        return [key for called, key in self.provider.calls if called == operation]


@pytest.fixture
def service() -> Service:
    return Service()


class TestTheStraightWay:
    async def test_authorise_capture_refund(self, service: Service) -> None:
        assert (await service.send(AUTHORISE)).body == {
            "payment_id": str(PAYMENT_ID),
            "status": "authorised",
            "version": 2,
        }
        assert (await service.send(CAPTURE)).body["status"] == "captured"
        answer = await service.send(REFUND)
        assert answer.position == str(service.streams.log[-1].position)
        assert service.story == [
            "PaymentRequested",
            "PaymentAuthorised",
            "CaptureRequested",
            "PaymentCaptured",
            "RefundRequested",
            "PaymentRefunded",
        ]
        assert service.provider.captured == {REFERENCE: AMOUNT}
        assert service.provider.refunded == {REFERENCE: [REFUND.amount]}

    async def test_keys_are_made_of_the_payment(self, service: Service) -> None:
        for command in (AUTHORISE, CAPTURE, REFUND):
            await service.send(command)
        assert service.provider.calls == [
            ("authorise", f"{PAYMENT_ID}:authorise"),
            ("capture", f"{PAYMENT_ID}:capture"),
            ("refund", f"{PAYMENT_ID}:refund:{REFUND.refund_id}"),
        ]

    @pytest.mark.parametrize(("outcome", "status"), [("declined", "declined"), ("requires_action", "requires_action")])
    async def test_the_provider_may_say_otherwise(self, service: Service, outcome: str, status: str) -> None:
        service.provider.outcome = outcome
        assert (await service.send(AUTHORISE)).body["status"] == status

    async def test_a_capture_that_is_refused_for_good_ends_the_payment(self, service: Service) -> None:
        await service.send(AUTHORISE)
        service.provider.fail("capture", CaptureRefused)
        assert (await service.send(CAPTURE)).body["status"] == "voided"
        assert service.story[-2:] == ["CaptureRequested", "PaymentVoided"]
        assert service.provider.reserved == {}
        assert (await service.send(CAPTURE)).body["status"] == "voided"
        assert len(service.calls("capture")) == 1

    async def test_an_unknown_provider_declines(self, service: Service) -> None:
        answer = await service.send(AUTHORISE.model_copy(update={"provider": "barter"}))
        assert answer.body["status"] == "declined"
        assert (await service.state()).declined == "provider_unavailable"

    async def test_a_provider_that_was_taken_away_is_named(self, service: Service) -> None:
        await service.send(AUTHORISE)
        bare = Dispatcher(type(service.fakes.dependencies)(service.fakes.streams, service.fakes.clock, uuid4, {}))
        with pytest.raises(UnknownProvider, match="sandbox"):
            await bare.handle(envelope_of(CAPTURE))


class TestOnceOnly:
    @pytest.mark.parametrize("same_id", [True, False])
    @pytest.mark.parametrize(
        ("before", "command"),
        [([], AUTHORISE), ([AUTHORISE], CAPTURE), ([AUTHORISE], VOID), ([AUTHORISE, CAPTURE], REFUND)],
    )
    async def test_what_is_asked_twice_happens_once(
        self, service: Service, before: list[Command], command: Command, same_id: bool
    ) -> None:
        for earlier in before:
            await service.send(earlier)
        command_id = uuid4()
        first = await service.send(command, command_id)
        story, calls = service.story, list(service.provider.calls)
        second = await service.send(command, command_id if same_id else uuid4())
        assert service.story == story
        assert service.provider.calls == calls
        assert second.body == first.body

    async def test_the_clients_key_is_answered_by_the_outcome(self, service: Service) -> None:
        await service.send(AUTHORISE)
        await service.send(CAPTURE)
        key = Idempotency(scope="operator", key="k", fingerprint="f")
        answer = await service.send(REFUND, idempotency=key)
        assert service.streams.finished == {("operator", "k"): answer}
        assert answer.body["version"] == 6


class TestAfterACrash:
    """The process died between the provider's answer and the outcome: the command comes again."""

    @pytest.mark.parametrize(
        ("before", "command", "status"),
        [
            ([], AUTHORISE, "authorised"),
            ([AUTHORISE], CAPTURE, "captured"),
            ([AUTHORISE], VOID, "voided"),
            ([AUTHORISE, CAPTURE], REFUND, "captured"),
        ],
    )
    @pytest.mark.parametrize("took_effect", [True, False])
    async def test_it_goes_on_with_the_same_key(
        self, service: Service, before: list[Command], command: Command, status: str, took_effect: bool
    ) -> None:
        for earlier in before:
            await service.send(earlier)
        operation = type(command).__name__.removesuffix("Payment").lower()
        service.provider.fail(operation, ProviderUnavailable, after=took_effect)
        command_id = uuid4()
        with pytest.raises(ProviderUnavailable):
            await service.send(command, command_id)
        answer = await service.send(command, command_id)
        assert answer.body["status"] == status
        first, second = service.calls(operation)
        assert first == second
        assert service.story.count(service.story[-1]) == 1
        assert sum(amount.minor for amounts in service.provider.refunded.values() for amount in amounts) in {0, 4_000}

    @pytest.mark.parametrize(
        ("before", "command"), [([AUTHORISE], CAPTURE), ([AUTHORISE], VOID), ([AUTHORISE, CAPTURE], REFUND)]
    )
    async def test_a_timeout_is_repeated_as_well(
        self, service: Service, before: list[Command], command: Command
    ) -> None:
        for earlier in before:
            await service.send(earlier)
        operation = type(command).__name__.removesuffix("Payment").lower()
        service.provider.time_out(operation, after=True)
        with pytest.raises(ProviderTimeout):
            await service.send(command)
        await service.send(command)
        assert service.story[-1] in {"PaymentCaptured", "PaymentVoided", "PaymentRefunded"}


class TestTheGuestActs:
    @pytest.mark.parametrize(("approve", "status"), [(True, "authorised"), (False, "declined")])
    async def test_the_answer_tells_the_new_status(self, service: Service, approve: bool, status: str) -> None:
        service.provider.outcome = "requires_action"
        await service.send(AUTHORISE)
        answer = await service.send(ResolvePaymentAction(**IDS, approve=approve))
        assert answer.body["status"] == status
        assert (await service.state()).declined == (None if approve else "action_declined")

    async def test_once(self, service: Service) -> None:
        service.provider.outcome = "requires_action"
        await service.send(AUTHORISE)
        command_id = uuid4()
        first = await service.send(APPROVE, command_id)
        assert await service.send(APPROVE, command_id) == first
        with pytest.raises(IllegalTransition):
            await service.send(APPROVE)
        assert len(service.calls("resolve_action")) == 1

    async def test_after_a_crash_the_provider_is_asked_again(self, service: Service) -> None:
        service.provider.outcome = "requires_action"
        await service.send(AUTHORISE)
        service.provider.fail("resolve_action")
        command_id = uuid4()
        with pytest.raises(ProviderUnavailable):
            await service.send(APPROVE, command_id)
        assert (await service.send(APPROVE, command_id)).body["status"] == "authorised"

    async def test_too_late_when_it_was_voided(self, service: Service) -> None:
        service.provider.outcome = "requires_action"
        await service.send(AUTHORISE)
        await service.send(VOID)
        assert service.provider.reserved == {}
        with pytest.raises(IllegalTransition):
            await service.send(APPROVE)
        assert service.calls("resolve_action") == []


class TestNoAnswer:
    async def test_it_took_effect_all_the_same(self, service: Service) -> None:
        service.provider.time_out("authorise", after=True)
        assert (await service.send(AUTHORISE)).body["status"] == "unknown"
        assert await service.pass_time() == RECONCILE_AFTER_SECONDS[0]
        assert service.story == ["PaymentRequested", "AuthorisationOutcomeUnknown", "PaymentAuthorised"]
        assert service.streams.timers == {}

    async def test_it_never_arrived_and_is_made_again_with_the_same_key(self, service: Service) -> None:
        service.provider.time_out("authorise")
        await service.send(AUTHORISE)
        await service.pass_time()
        assert (await service.state()).status == "authorised"
        assert set(service.calls("authorise")) == {f"{PAYMENT_ID}:authorise"}

    async def test_imported_history_waits_in_real_time(self, service: Service) -> None:
        service.provider.time_out("authorise", after=True)
        long_ago = dt.datetime(2016, 1, 1, tzinfo=dt.UTC)
        await service.send(AUTHORISE, at=long_ago, historic=True)
        timer = service.streams.timers[reconciliation_timer(PAYMENT_ID)]
        assert timer.due_at == NOW + dt.timedelta(seconds=1)
        assert timer.command.metadata.at == long_ago

    async def test_a_provider_that_never_got_it_is_given_up_at_last(self, service: Service) -> None:
        for _ in range(len(RECONCILE_AFTER_SECONDS)):
            service.provider.time_out("authorise")
        await service.send(AUTHORISE)
        waits = [await service.pass_time() for _ in RECONCILE_AFTER_SECONDS]
        assert tuple(waits) == RECONCILE_AFTER_SECONDS
        state = await service.state()
        assert (state.status, state.declined) == ("declined", "provider_unavailable")
        assert service.streams.timers == {}
        assert service.story.count("AuthorisationOutcomeUnknown") == len(RECONCILE_AFTER_SECONDS)

    async def test_a_silent_provider_is_given_up_and_asked_until_what_it_reserved_is_void(
        self, service: Service
    ) -> None:
        service.provider.time_out("authorise", after=True)
        for _ in range(len(RECONCILE_AFTER_SECONDS) + 1):
            service.provider.fail("authorisation_of", ProviderUnavailable)
        await service.send(AUTHORISE)
        for _ in RECONCILE_AFTER_SECONDS:
            await service.pass_time()
        state = await service.state()
        assert (state.status, state.declined) == ("declined", "provider_unavailable")
        assert service.provider.reserved
        assert [await service.pass_time() for _ in range(2)] == [VOID_AGAIN_AFTER_SECONDS] * 2
        assert (await service.state()).status == "voided"
        assert service.provider.reserved == {}
        assert service.streams.timers == {}

    async def test_another_attempt_without_an_answer_leaves_the_questions_as_they_are(self, service: Service) -> None:
        first = uuid4()
        service.provider.fail("authorise")
        with pytest.raises(ProviderUnavailable):
            await service.send(AUTHORISE, first)
        service.provider.time_out("authorise", after=True)
        await service.send(AUTHORISE)
        for _ in RECONCILE_AFTER_SECONDS:
            service.provider.fail("authorisation_of")
            await service.pass_time()
        assert (await service.state()).voiding is not None
        service.provider.time_out("authorisation_of")
        await service.send(AUTHORISE, first)
        assert await service.pass_time() == VOID_AGAIN_AFTER_SECONDS
        assert service.story[-1] == "PaymentVoided"
        assert service.provider.reserved == {}

    async def test_a_late_reconciliation_changes_nothing(self, service: Service) -> None:
        service.provider.time_out("authorise", after=True)
        await service.send(AUTHORISE)
        timer = service.streams.timers[reconciliation_timer(PAYMENT_ID)].command
        await service.pass_time()
        story, calls = service.story, list(service.provider.calls)
        await service.dispatcher.handle(timer)
        await service.send(timer.command)
        assert (service.story, service.provider.calls) == (story, calls)


class TestVoiding:
    async def test_before_it_was_asked_for(self, service: Service) -> None:
        assert (await service.send(VOID)).body["status"] == "voided"
        assert (await service.send(AUTHORISE)).body["status"] == "declined"
        assert (await service.state()).declined == "voided_before"
        assert service.provider.calls == []

    async def test_what_is_authorised(self, service: Service) -> None:
        await service.send(AUTHORISE)
        await service.send(VOID)
        assert service.story[-2:] == ["VoidRequested", "PaymentVoided"]
        assert service.provider.reserved == {}

    async def test_what_is_declined_without_asking_the_provider(self, service: Service) -> None:
        service.provider.outcome = "declined"
        await service.send(AUTHORISE)
        await service.send(VOID)
        assert service.story[-1] == "PaymentVoided"
        assert service.calls("void") == []

    @pytest.mark.parametrize("took_effect", [True, False])
    async def test_while_the_outcome_is_unknown(self, service: Service, took_effect: bool) -> None:
        service.provider.time_out("authorise", after=took_effect)
        await service.send(AUTHORISE)
        await service.send(VOID)
        assert service.story[-2:] == ["VoidRequested", "PaymentVoided"]
        assert service.provider.reserved == {}
        await service.pass_time()
        assert service.story[-1] == "PaymentVoided"

    async def test_while_the_outcome_is_unknown_and_the_provider_is_away(self, service: Service) -> None:
        service.provider.time_out("authorise", after=True)
        await service.send(AUTHORISE)
        service.provider.fail("authorisation_of")
        with pytest.raises(ProviderUnavailable):
            await service.send(VOID)
        await service.pass_time()
        assert service.story[-2:] == ["VoidRequested", "PaymentVoided"]
        assert service.provider.reserved == {}

    async def test_a_void_that_fails_while_reconciling_is_tried_again(self, service: Service) -> None:
        service.provider.time_out("authorise", after=True)
        await service.send(AUTHORISE)
        service.provider.fail("authorisation_of")
        with pytest.raises(ProviderUnavailable):
            await service.send(VOID)
        service.provider.time_out("void")
        await service.pass_time()
        assert service.provider.reserved
        await service.pass_time()
        assert service.story[-1] == "PaymentVoided"
        assert service.provider.reserved == {}

    @pytest.mark.parametrize("outcome", ["authorised", "requires_action", "declined"])
    async def test_while_the_provider_works_on_the_authorisation(self, service: Service, outcome: str) -> None:
        service.provider.outcome = outcome
        service.provider.meanwhile = lambda: service.send(VOID)
        await service.send(AUTHORISE)
        assert service.story[-1] == "PaymentVoided"
        assert service.provider.reserved == {}

    async def test_before_the_provider_got_it_and_no_answer_came(self, service: Service) -> None:
        service.provider.time_out("authorise", after=True)
        service.provider.forget()
        service.provider.meanwhile = lambda: service.send(VOID)
        await service.send(AUTHORISE)
        assert service.story[-2:] == ["PaymentVoided", "AuthorisationOutcomeUnknown"]
        assert await service.pass_time() == RECONCILE_AFTER_SECONDS[0]
        assert service.story[-1] == "AuthorisationOutcomeUnknown", "it may be on its way yet"
        service.provider.remember()
        await service.pass_time()
        assert service.story[-1] == "PaymentVoided"
        assert service.provider.reserved == {}
        assert service.streams.timers == {}

    async def test_what_the_provider_never_gets_is_not_asked_after_for_ever(self, service: Service) -> None:
        service.provider.time_out("authorise", after=True)
        service.provider.forget()
        service.provider.meanwhile = lambda: service.send(VOID)
        await service.send(AUTHORISE)
        assert [await service.pass_time() for _ in RECONCILE_AFTER_SECONDS] == list(RECONCILE_AFTER_SECONDS)
        assert service.story[-1] == "PaymentVoided"
        assert service.streams.timers == {}

    async def test_before_the_provider_got_it_and_the_process_died_after(self, service: Service) -> None:
        """The void finds nothing; the authorisation lands afterwards, and its command comes again."""

        async def too_early() -> None:
            service.provider.forget()
            await service.send(VOID)
            service.provider.remember()

        service.provider.meanwhile = too_early
        service.provider.fail("authorise", after=True)
        command_id = uuid4()
        with pytest.raises(ProviderUnavailable):
            await service.send(AUTHORISE, command_id)
        assert service.story[-1] == "PaymentVoided"
        assert service.provider.reserved
        await service.send(AUTHORISE, command_id)
        assert service.provider.reserved == {}
        assert service.calls("authorise") == [f"{PAYMENT_ID}:authorise"]

    @pytest.mark.parametrize("before", [[AUTHORISE, CAPTURE]])
    async def test_not_what_is_captured(self, service: Service, before: list[Command]) -> None:
        for earlier in before:
            await service.send(earlier)
        with pytest.raises(IllegalTransition):
            await service.send(VOID)
