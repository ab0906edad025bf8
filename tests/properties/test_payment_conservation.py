"""Whatever is asked of a payment, with a provider that fails at any moment: money is where the books say it is."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from commands.dispatch import Dispatcher
from commands.payment_provider import ProviderTimeout, ProviderUnavailable
from commands.ports import CommandEnvelope
from domain.payment.commands import (
    AuthorisePayment,
    CapturePayment,
    RefundPayment,
    ResolvePaymentAction,
    VoidPayment,
)
from domain.payment.state import PAYMENT, PaymentState
from domain.shared.errors import DomainError
from domain.shared.messages import Command
from domain.shared.money import Money
from tests.fakes import Fakes, envelope_of

PAYMENT_ID = UUID(int=1)
IDS: dict[str, Any] = {"payment_id": PAYMENT_ID, "booking_id": UUID(int=2)}
AUTHORISED = 100

amounts = st.integers(1, 120).map(lambda minor: Money(minor=minor, currency="EUR"))
commands = st.one_of(
    st.just(AuthorisePayment(**IDS, amount=Money(minor=AUTHORISED, currency="EUR"), provider="sandbox", token="tok")),
    st.builds(CapturePayment, payment_id=st.just(PAYMENT_ID), booking_id=st.just(IDS["booking_id"]), amount=amounts),
    st.just(VoidPayment(**IDS, reason="given up")),
    st.builds(
        RefundPayment,
        payment_id=st.just(PAYMENT_ID),
        booking_id=st.just(IDS["booking_id"]),
        refund_id=st.integers(1, 3).map(lambda number: UUID(int=number)),
        amount=amounts,
        reason=st.just("cancelled"),
    ),
    st.builds(
        ResolvePaymentAction,
        payment_id=st.just(PAYMENT_ID),
        booking_id=st.just(IDS["booking_id"]),
        approve=st.booleans(),
    ),
)
operations = st.sampled_from(["authorise", "authorisation_of", "resolve_action", "capture", "void", "refund"])
failures = st.tuples(operations, st.sampled_from([ProviderUnavailable, ProviderTimeout]), st.booleans())
steps = st.lists(st.one_of(commands, commands, failures, st.just("timer")), max_size=14)
outcomes = st.sampled_from(["authorised", "authorised", "requires_action", "declined"])


class Story:
    """One payment, its provider, and what has still to be repeated."""

    def __init__(self, outcome: str) -> None:
        self.fakes = Fakes("payments")
        self.streams = self.fakes.streams["payments"]
        self.provider = self.fakes.provider
        self.provider.outcome = outcome
        self.dispatcher = Dispatcher(self.fakes.dependencies)
        self.unfinished: list[CommandEnvelope] = []

    async def send(self, envelope: CommandEnvelope) -> None:
        try:
            await self.dispatcher.handle(envelope)
        except DomainError:
            pass
        except (ProviderUnavailable, ProviderTimeout):
            self.unfinished.append(envelope)

    async def fire_timers(self) -> None:
        due, self.streams.timers = list(self.streams.timers.values()), {}
        for timer in due:
            await self.send(timer.command)

    async def settle(self) -> None:
        """The provider is well again: repeat what failed, and let timers fire until none is left."""
        self.provider.heal()
        while self.unfinished or self.streams.timers:
            again, self.unfinished = self.unfinished, []
            for envelope in again:
                await self.send(envelope)
            await self.fire_timers()

    async def state(self) -> PaymentState:
        return (await self.streams.load(PAYMENT, PAYMENT_ID)).state

    def minor_captured(self) -> int:
        return sum(amount.minor for amount in self.provider.captured.values())

    def minor_refunded(self) -> int:
        return sum(amount.minor for back in self.provider.refunded.values() for amount in back)


async def _tell(outcome: str, script: list[Any]) -> None:
    story = Story(outcome)
    for step in script:
        match step:
            case Command():
                await story.send(envelope_of(step))
            case (operation, error, after):
                story.provider.fail(operation, error, after=after)
            case _:
                await story.fire_timers()
        assert 0 <= story.minor_refunded() <= story.minor_captured() <= AUTHORISED
    await story.settle()
    state = await story.state()
    assert state.captured_minor == story.minor_captured()
    assert state.refunded_minor == story.minor_refunded()
    assert all(refund.done for refund in state.refunds.values())
    assert bool(story.provider.reserved) == (state.status in {"authorised", "requires_action"})
    assert state.status not in {"requested", "unknown"}


@settings(max_examples=400, deadline=None)
@given(outcomes, steps)
def test_money_is_where_the_books_say_it_is(outcome: str, script: list[Any]) -> None:
    asyncio.run(_tell(outcome, script))
