"""Handlers of the payments service.

The provider is called outside transactions, in three steps: the intent is committed, the provider is called with a key
made from the payment, and the outcome is committed. Each commit is idempotent by itself, so that a command that comes
again after a crash goes on where it was, with the same key. A provider that is away makes the command fail, so that it
is repeated; only an authorisation without an answer is not repeated blindly but reconciled, by a timer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

from commands.handling import Dependencies, Handlers, expect
from commands.payment_provider import (
    Authorisation,
    CaptureRefused,
    PaymentProvider,
    ProviderTimeout,
    ProviderUnavailable,
)
from commands.ports import Answer, CommandEnvelope, Decide, ServiceUnavailable, SetTimer, caused_by
from domain.payment.commands import (
    GOODWILL,
    AuthorisePayment,
    CapturePayment,
    PaymentCommand,
    ReconcilePayment,
    RefundPayment,
    ResolvePaymentAction,
    VoidPayment,
)
from domain.payment.decide import (
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
from domain.payment.state import PAYMENT, PaymentState
from domain.shared.errors import DomainError
from domain.shared.messages import Event

RECONCILE_AFTER_SECONDS = (1, 2, 4, 8, 15)
"""Waits before each attempt to learn the outcome of an authorisation; after the last one the payment is declined."""

VOID_AGAIN_AFTER_SECONDS = 300
"""Wait between attempts to void what a silent provider may have reserved; there is no last one."""

Timers = Callable[[PaymentState, Sequence[Event]], Sequence[SetTimer]]
"""Which timers go with a commit: given the state after its events, and these."""


class UnknownProvider(DomainError):
    """No such payment provider is installed (any more)."""

    problem = "unknown-provider"
    status = 400


class _Step:
    """One command about one payment: its commits, and the keys of its calls."""

    def __init__(self, deps: Dependencies, envelope: CommandEnvelope, command: PaymentCommand) -> None:
        self._deps = deps
        self._envelope = envelope
        self._command = command

    async def intend(self, decide: Decide[PaymentState]) -> PaymentState:
        """Commit the intent, once, and return the state as it is now."""
        await self._commit(decide, "intent")
        return await self.state()

    async def state(self) -> PaymentState:
        """The payment as it is now."""
        return (await self._deps.streams["payments"].load(PAYMENT, self._command.payment_id)).state

    async def conclude(self, decide: Decide[PaymentState], *, ask_again: Timers = lambda *_: ()) -> Answer:
        """Commit the outcome, once, and the timer to ask again, if there is to be one."""
        return await self._commit(decide, None, ask_again)

    def begin_to_ask(self, state: PaymentState, events: Sequence[Event]) -> Sequence[SetTimer]:
        """The first question after an authorisation without an answer; if it was noted before, it is asked already."""
        return [self._timer(state.attempt)] if events else ()

    def go_on_asking(self, attempt: int) -> Timers:
        """The question after the one that this command is, if there is still something to learn."""
        return lambda state, _: () if _settled(state) else [self._timer(attempt)]

    async def doubt_still(self, attempt: int) -> Answer:
        """Commit that nothing was learnt, and the timer of ``attempt`` to ask again."""
        return await self.conclude(
            lambda state: decide_unknown_still(state, self._command, attempt), ask_again=self.go_on_asking(attempt)
        )

    async def withdraw(self) -> Answer:
        """Commit that the provider has nothing reserved any more."""
        return await self._commit(lambda state: decide_voided(state, self._command), "voided")

    def key(self, operation: str) -> str:
        """The idempotency key of a call: the same whenever and by whomever the call is repeated."""
        return f"{self._command.payment_id}:{operation}"

    def provider(self, state: PaymentState) -> PaymentProvider:
        """The provider of the payment. Raises UnknownProvider."""
        provider = self._deps.providers.get(state.provider)
        if provider is None:
            raise UnknownProvider(f"there is no payment provider {state.provider!r} in this installation")
        return provider

    async def void_at_provider(self, state: PaymentState, found: Authorisation | None) -> None:
        """Give back what is reserved, if anything is; harmless twice."""
        if found is not None and found.outcome != "declined":
            await self.provider(state).void(self.key("void"), found.reference)

    async def _commit(self, decide: Decide[PaymentState], step: str | None, timers: Timers = lambda *_: ()) -> Answer:
        def body(state: PaymentState) -> dict[str, Any]:
            return {
                "payment_id": str(self._command.payment_id),
                "status": state.status,
                "version": state.version,
            }

        # The client's idempotency key is answered by the last commit of the command, not by one on the way.
        return await self._deps.streams["payments"].execute(
            PAYMENT,
            self._command.payment_id,
            decide,
            self._envelope if step is None else replace(self._envelope, idempotency=None),
            body=body,
            timers=timers,
            message_id=None if step is None else uuid5(self._envelope.command_id, step),
        )

    def _timer(self, attempt: int) -> SetTimer:
        late = attempt > len(RECONCILE_AFTER_SECONDS)
        wait = VOID_AGAIN_AFTER_SECONDS if late else RECONCILE_AFTER_SECONDS[attempt - 1]
        due_at = self._deps.clock.now() + dt.timedelta(seconds=wait)
        payment_id = self._command.payment_id
        asking = CommandEnvelope(
            # Made of what is asked after: a payment may come into doubt again when an earlier doubt was settled.
            command_id=uuid5(self._envelope.command_id, f"reconcile:{attempt}"),
            command=ReconcilePayment(payment_id=payment_id, booking_id=self._command.booking_id, attempt=attempt),
            metadata=caused_by(self._envelope.metadata, self._envelope.command_id, "timer", due_at),
        )
        return SetTimer(reconciliation_timer(payment_id), due_at, asking)


def reconciliation_timer(payment_id: UUID) -> UUID:
    """The id of the timer that asks what became of an authorisation."""
    return uuid5(payment_id, "reconcile")


def _settled(state: PaymentState) -> bool:
    """Whether nothing is left to learn about the authorisation."""
    return state.status == "voided" or not state.may_be_reserved


async def authorise_payment(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Reserve the amount. Answers {payment_id, status, version}. Raises ProviderUnavailable: repeat the command."""
    command = expect(AuthorisePayment, envelope)
    step = _Step(deps, envelope, command)
    state = await step.intend(lambda state: decide_authorise(state, command))
    if state.provider not in deps.providers:
        return await step.conclude(
            lambda state: decide_outcome(state, command, "declined", "", refusal="provider_unavailable")
        )
    if not state.may_be_reserved or state.amount is None:
        return await step.conclude(lambda _: [])
    provider = step.provider(state)
    found: Authorisation | None
    try:
        if state.voiding is None:
            found = await provider.authorise(step.key("authorise"), state.amount, state.token)
        else:
            found = await provider.authorisation_of(step.key("authorise"))
    except ProviderTimeout:
        return await step.conclude(lambda state: decide_unknown(state, command), ask_again=step.begin_to_ask)
    return await _learn(step, command, found)


async def reconcile_payment(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Learn what became of an authorisation without an answer: settle it, ask again later, or give up and void it."""
    command = expect(ReconcilePayment, envelope)
    step = _Step(deps, envelope, command)
    state = await step.state()
    if _settled(state) or state.amount is None:
        return await step.conclude(lambda _: [])
    last = command.attempt >= len(RECONCILE_AFTER_SECONDS)
    following = command.attempt + 1
    try:
        provider = step.provider(state)
        found = await provider.authorisation_of(step.key("authorise"))
        if state.voiding is not None:
            if found is None and not last:  # the request may be on its way yet
                return await step.doubt_still(following)
            await step.void_at_provider(state, found)
            return await step.conclude(lambda state: decide_voided(state, command))
        if found is None and not last:
            found = await provider.authorise(step.key("authorise"), state.amount, state.token)
    except (ProviderTimeout, ProviderUnavailable):
        if last:
            return await step.conclude(
                lambda state: decide_give_up(state, command, may_be_reserved=True),
                ask_again=step.go_on_asking(following),
            )
        return await step.doubt_still(following)
    if found is None:
        return await step.conclude(lambda state: decide_give_up(state, command, may_be_reserved=False))
    return await _learn(step, command, found)


async def _learn(step: _Step, command: PaymentCommand, found: Authorisation | None) -> Answer:
    """Record what the provider says; what was voided while the provider worked is given back."""
    answer = await step.conclude(
        lambda state: [] if found is None else decide_outcome(state, command, found.outcome, found.reference)
    )
    state = await step.state()
    if state.voiding is not None and state.reference is None:
        await step.void_at_provider(state, found)
        return await step.withdraw()
    return answer


async def resolve_payment_action(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Take in what the guest did. Answers {payment_id, status, version}. Raises IllegalTransition, NotFound."""
    command = expect(ResolvePaymentAction, envelope)
    step = _Step(deps, envelope, command)
    state = await step.intend(lambda state: decide_resolve(state, command))
    if state.status != "requires_action" or state.reference is None:
        return await step.conclude(lambda _: [])
    found = await step.provider(state).resolve_action(state.reference, approve=command.approve)
    return await step.conclude(
        lambda state: decide_outcome(state, command, found.outcome, found.reference, refusal="action_declined")
    )


async def capture_payment(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Take the amount. Answers {payment_id, status, version}: ``voided`` if the provider will not give it any more.

    Raises ProviderUnavailable or ProviderTimeout: repeat.
    """
    command = expect(CapturePayment, envelope)
    step = _Step(deps, envelope, command)
    state = await step.intend(lambda state: decide_capture(state, command))
    if state.status == "authorised" and state.capturing is not None and state.reference is not None:
        provider = step.provider(state)
        try:
            await provider.capture(step.key("capture"), state.reference, state.capturing)
        except CaptureRefused as error:
            await provider.void(step.key("void"), state.reference)
            reason = f"the provider refused the capture: {error}"
            return await step.conclude(lambda state: decide_capture_refused(state, command, reason))
    return await step.conclude(lambda state: decide_captured(state, command))


async def void_payment(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Give back what is reserved. Answers {payment_id, status, version}.

    Raises ProviderUnavailable or ProviderTimeout: repeat.
    """
    command = expect(VoidPayment, envelope)
    step = _Step(deps, envelope, command)
    state = await step.intend(lambda state: decide_void(state, command))
    # Without an amount it was void before it was asked for: no provider ever heard of it.
    if state.voiding is not None and state.status != "voided" and state.amount is not None:
        provider = step.provider(state)
        if state.reference is not None:
            await provider.void(step.key("void"), state.reference)
        else:
            await step.void_at_provider(state, await provider.authorisation_of(step.key("authorise")))
    return await step.conclude(lambda state: decide_voided(state, command))


async def refund_payment(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Give the amount back. Answers {payment_id, status, version}.

    Raises ProviderUnavailable or ProviderTimeout: repeat. For goodwill, which no saga repeats, ServiceUnavailable:
    whoever asked asks again with the same key.
    """
    command = expect(RefundPayment, envelope)
    step = _Step(deps, envelope, command)
    state = await step.intend(lambda state: decide_refund(state, command))
    refund = state.refunds.get(command.refund_id)
    if refund is not None and not refund.done and state.reference is not None:
        try:
            await step.provider(state).refund(step.key(f"refund:{command.refund_id}"), state.reference, refund.amount)
        except (ProviderTimeout, ProviderUnavailable) as error:
            if command.reason != GOODWILL:
                raise
            raise ServiceUnavailable("the provider does not answer; ask again with the same key") from error
    return await step.conclude(lambda state: decide_refunded(state, command))


HANDLERS: Handlers = {
    AuthorisePayment: authorise_payment,
    ReconcilePayment: reconcile_payment,
    ResolvePaymentAction: resolve_payment_action,
    CapturePayment: capture_payment,
    VoidPayment: void_payment,
    RefundPayment: refund_payment,
}
