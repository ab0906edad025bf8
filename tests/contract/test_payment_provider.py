"""What every payment provider promises, and what the sandbox's test tokens do, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from commands.payment_provider import (
    Authorisation,
    CaptureRefused,
    PaymentProvider,
    ProviderTimeout,
    ProviderUnavailable,
)
from domain.shared.money import Money
from infra.eventstore.pool import create_pool
from infra.providers.sandbox import SILENCE_SECONDS, SILENT_QUESTIONS, SandboxProvider, SandboxRefusal

AMOUNT = Money(minor=34_500, currency="EUR")
PART = Money(minor=10_000, currency="EUR")
MORE = Money(minor=34_501, currency="EUR")


class Waits:
    """Time that passes at once."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Note it."""
        self.seconds.append(seconds)


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with await create_pool(postgres_url) as pool:
        yield pool


@pytest.fixture
async def schema(pool: asyncpg.Pool, fresh_name: Callable[..., str]) -> AsyncIterator[str]:
    name = fresh_name("sandbox")
    yield name
    await pool.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
async def provider(pool: asyncpg.Pool, schema: str, waits: Waits) -> PaymentProvider:
    sandbox = SandboxProvider(pool, schema, waits)
    await asyncio.gather(*(sandbox.migrate() for _ in range(4)))  # several processes start at once
    return sandbox


async def authorised(provider: PaymentProvider, key: str = "p:authorise", token: str = "tok_ok") -> str:
    answer = await provider.authorise(key, AMOUNT, token)
    assert answer.outcome == "authorised"
    return answer.reference


async def test_an_authorisation_is_captured_and_refunded_in_parts(provider: PaymentProvider) -> None:
    reference = await authorised(provider)
    await provider.capture("p:capture", reference, AMOUNT)
    await provider.refund("p:refund:1", reference, PART)
    await provider.refund("p:refund:2", reference, AMOUNT - PART)
    with pytest.raises(SandboxRefusal, match="cannot be refunded"):
        await provider.refund("p:refund:3", reference, Money(minor=1, currency="EUR"))


async def test_a_key_takes_effect_once(provider: PaymentProvider) -> None:
    first = await provider.authorise("p:authorise", AMOUNT, "tok_ok")
    assert await provider.authorise("p:authorise", AMOUNT, "tok_ok") == first
    assert await provider.authorisation_of("p:authorise") == first
    for _ in range(2):
        await provider.capture("p:capture", first.reference, AMOUNT)
    for _ in range(2):
        await provider.refund("p:refund", first.reference, AMOUNT)  # a second refund would exceed the capture
    assert await provider.authorise("p:authorise", AMOUNT, "tok_ok") == first


async def test_a_key_is_for_one_authorisation(provider: PaymentProvider) -> None:
    await authorised(provider)
    with pytest.raises(SandboxRefusal, match="another authorisation"):
        await provider.authorise("p:authorise", PART, "tok_ok")
    with pytest.raises(SandboxRefusal, match="another authorisation"):
        await provider.authorise("p:authorise", AMOUNT, "tok_declined")


async def test_a_refund_key_is_for_one_refund(provider: PaymentProvider) -> None:
    reference = await authorised(provider)
    await provider.capture("p:capture", reference, AMOUNT)
    await provider.refund("p:refund", reference, PART)
    with pytest.raises(SandboxRefusal):
        await provider.refund("p:refund", reference, Money(minor=1, currency="EUR"))


async def test_different_keys_are_different_authorisations(provider: PaymentProvider) -> None:
    assert await authorised(provider, "a") != await authorised(provider, "b")


async def test_nothing_is_known_of_a_call_that_never_came(provider: PaymentProvider) -> None:
    assert await provider.authorisation_of("never") is None


@pytest.mark.parametrize("token", ["tok_declined", "tok_of_a_stranger", ""])
async def test_other_tokens_are_declined(provider: PaymentProvider, token: str) -> None:
    assert (await provider.authorise("p", AMOUNT, token)).outcome == "declined"
    declined = await provider.authorisation_of("p")
    assert declined is not None
    assert declined.outcome == "declined"
    with pytest.raises(SandboxRefusal):
        await provider.capture("p:capture", declined.reference, AMOUNT)


async def test_what_is_void_cannot_be_captured(provider: PaymentProvider) -> None:
    reference = await authorised(provider)
    for _ in range(2):
        await provider.void("p:void", reference)
    assert await provider.authorisation_of("p:authorise") == Authorisation(reference, "declined")
    with pytest.raises(CaptureRefused):
        await provider.capture("p:capture", reference, AMOUNT)


async def test_what_is_captured_stays_when_voided(provider: PaymentProvider) -> None:
    reference = await authorised(provider)
    await provider.capture("p:capture", reference, AMOUNT)
    await provider.void("p:void", reference)
    await provider.refund("p:refund", reference, AMOUNT)


async def test_there_is_nothing_to_void_of_an_unknown_reference(provider: PaymentProvider) -> None:
    await provider.void("p:void", "nobody's")
    with pytest.raises(SandboxRefusal, match="knows no authorisation"):
        await provider.capture("p:capture", "nobody's", AMOUNT)
    with pytest.raises(SandboxRefusal, match="knows no authorisation"):
        await provider.refund("p:refund", "nobody's", AMOUNT)
    with pytest.raises(SandboxRefusal, match="knows no authorisation"):
        await provider.resolve_action("nobody's", approve=True)


async def test_no_more_is_captured_than_reserved(provider: PaymentProvider) -> None:
    reference = await authorised(provider)
    with pytest.raises(SandboxRefusal):
        await provider.capture("p:capture", reference, MORE)
    with pytest.raises(SandboxRefusal):
        await provider.capture("p:capture", reference, Money(minor=1, currency="USD"))
    await provider.capture("p:capture", reference, PART)
    with pytest.raises(SandboxRefusal):
        await provider.refund("p:refund", reference, AMOUNT)


@pytest.mark.parametrize(("approve", "outcome"), [(True, "authorised"), (False, "declined")])
async def test_an_action_is_resolved_once(provider: PaymentProvider, approve: bool, outcome: str) -> None:
    asked = await provider.authorise("p", AMOUNT, "tok_requires_action")
    assert asked.outcome == "requires_action"
    resolved = await provider.resolve_action(asked.reference, approve=approve)
    assert resolved == Authorisation(asked.reference, outcome)  # type: ignore[arg-type]  # a parameter of the test
    assert await provider.resolve_action(asked.reference, approve=not approve) == resolved
    assert await provider.authorisation_of("p") == resolved


async def test_an_action_that_was_voided_cannot_be_approved(provider: PaymentProvider) -> None:
    asked = await provider.authorise("p", AMOUNT, "tok_requires_action")
    await provider.void("p:void", asked.reference)
    assert (await provider.resolve_action(asked.reference, approve=True)).outcome == "declined"


async def test_timeout_is_silent_until_payments_have_given_up(provider: PaymentProvider, waits: Waits) -> None:
    with pytest.raises(ProviderTimeout):
        await provider.authorise("p", AMOUNT, "tok_timeout")
    with pytest.raises(ProviderTimeout):
        await provider.authorise("p", AMOUNT, "tok_timeout")
    for _ in range(SILENT_QUESTIONS):
        with pytest.raises(ProviderTimeout):
            await provider.authorisation_of("p")
    assert waits.seconds == [SILENCE_SECONDS] * (SILENT_QUESTIONS + 2)
    assert await provider.authorisation_of("p") is None


async def test_authorize_unknown_reserves_without_an_answer(provider: PaymentProvider) -> None:
    with pytest.raises(ProviderTimeout):
        await provider.authorise("p", AMOUNT, "tok_authorize_unknown")
    found = await provider.authorisation_of("p")
    assert found is not None
    assert found.outcome == "authorised"
    assert await provider.authorise("p", AMOUNT, "tok_authorize_unknown") == found
    await provider.capture("p:capture", found.reference, AMOUNT)


async def test_capture_fails_once(provider: PaymentProvider) -> None:
    reference = await authorised(provider, token="tok_capture_fails_once")
    with pytest.raises(ProviderUnavailable):
        await provider.capture("p:capture", reference, AMOUNT)
    for _ in range(2):
        await provider.capture("p:capture", reference, AMOUNT)
    await provider.refund("p:refund", reference, AMOUNT)


async def test_repeated_calls_at_the_same_time_take_effect_once(provider: PaymentProvider) -> None:
    answers = await asyncio.gather(*(provider.authorise("p", AMOUNT, "tok_ok") for _ in range(20)))
    assert len(set(answers)) == 1
    reference = answers[0].reference
    await asyncio.gather(*(provider.capture("p:capture", reference, AMOUNT) for _ in range(20)))
    await asyncio.gather(*(provider.refund("p:refund", reference, PART) for _ in range(20)))
    left = Money(minor=AMOUNT.minor - PART.minor, currency="EUR")
    await provider.refund("p:rest", reference, left)


async def test_refunds_at_the_same_time_do_not_exceed_the_capture(provider: PaymentProvider) -> None:
    reference = await authorised(provider)
    await provider.capture("p:capture", reference, AMOUNT)
    outcomes = await asyncio.gather(
        *(provider.refund(f"p:refund:{number}", reference, PART) for number in range(10)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 3
    assert sum(isinstance(outcome, SandboxRefusal) for outcome in outcomes) == 7


async def test_of_capture_and_void_at_the_same_time_one_wins(provider: PaymentProvider) -> None:
    for number in range(10):
        reference = await authorised(provider, f"p{number}")
        captured, _ = await asyncio.gather(
            provider.capture("c", reference, AMOUNT), provider.void("v", reference), return_exceptions=True
        )
        found = await provider.authorisation_of(f"p{number}")
        assert found is not None
        assert found.outcome == ("authorised" if captured is None else "declined")


async def test_a_capture_may_be_refused_for_good(provider: PaymentProvider) -> None:
    reference = await authorised(provider, token="tok_capture_refused")
    for _ in range(2):
        with pytest.raises(CaptureRefused):
            await provider.capture("p:capture", reference, AMOUNT)
    assert await provider.authorisation_of("p:authorise") == Authorisation(reference, "declined")
    with pytest.raises(SandboxRefusal):
        await provider.refund("p:refund", reference, AMOUNT)


async def test_a_restart_forgets_nothing(
    provider: PaymentProvider, postgres_url: str, schema: str, waits: Waits
) -> None:
    reference = await authorised(provider, token="tok_capture_fails_once")
    with pytest.raises(ProviderUnavailable):
        await provider.capture("p:capture", reference, AMOUNT)
    async with await create_pool(postgres_url) as other_pool:
        restarted = SandboxProvider(other_pool, schema, waits)
        await restarted.migrate()
        assert await restarted.authorisation_of("p:authorise") == Authorisation(reference, "authorised")
        await restarted.capture("p:capture", reference, AMOUNT)


async def test_a_database_that_is_away_is_a_provider_without_an_answer(postgres_url: str, waits: Waits) -> None:
    pool = await create_pool(postgres_url)
    await pool.close()
    with pytest.raises(ProviderTimeout):
        await SandboxProvider(pool, "payments", waits).authorise("p", AMOUNT, "tok_ok")
