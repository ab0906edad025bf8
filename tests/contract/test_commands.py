"""The contract of commands that sagas issue, kept straight from the log and over RabbitMQ alike."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from commands.ports import Answer, CommandEnvelope, Temporary
from domain.saga.events import SagaCommandIssued
from tests.contract.messaging import (
    Broken,
    Inbox,
    Messaging,
    Way,
    eventually,
    label_of,
    open_messaging,
)


async def test_a_command_is_carried_out_once_despite_duplicates(messaging: Messaging) -> None:
    inbox = Inbox()
    await messaging.serve_commands(inbox)
    command_id = await messaging.issue("release", copies=3)
    await messaging.issue("another")
    await eventually(lambda: len(inbox.attempts) >= 4, "all copies arrive")
    assert sorted(inbox.executed) == ["another", "release"]
    assert inbox.metadata[command_id].actor == "saga:booking"
    assert inbox.metadata[command_id].causation_id is not None


async def test_a_failing_command_is_retried_then_parked_and_holds_up_no_other(messaging: Messaging) -> None:
    def fail(label: str) -> None:
        if label == "bad":
            raise Broken("bad command")

    inbox = Inbox(fail)
    delivery = await messaging.serve_commands(inbox)
    await messaging.issue("bad")
    await messaging.issue("good")
    await eventually(lambda: inbox.executed == ["good"], "the good one is carried out")
    assert inbox.attempts.count("bad") == 1

    async def parked() -> bool:
        return len(await messaging.parked("commands:inventory")) == 1

    await eventually(parked, "the bad one is parked after its retries")
    [letter] = await messaging.parked("commands:inventory")
    assert inbox.attempts.count("bad") == letter.attempts == 3
    assert letter.error == "Broken: bad command"
    assert letter.topic == "inventory.ReleaseHold"

    with pytest.raises(Broken):
        await delivery.retry(letter)
    inbox._fails = lambda _: None  # noqa: SLF001 - the handler is mended
    await delivery.retry(letter)
    assert inbox.executed == ["good", "bad"]
    assert not await messaging.parked("commands:inventory")


async def test_a_temporary_failure_of_a_command_uses_up_no_attempt(messaging: Messaging) -> None:
    failures = iter(range(5))

    def fail(_: str) -> None:
        if next(failures, None) is not None:
            raise Temporary("the provider is away")

    inbox = Inbox(fail)
    await messaging.serve_commands(inbox)
    await messaging.issue("patient")
    await eventually(lambda: inbox.executed == ["patient"], "it is carried out in the end")
    assert len(inbox.attempts) == 6
    assert not await messaging.parked("commands:inventory")


async def test_a_command_of_an_unknown_name_is_parked(messaging: Messaging) -> None:
    inbox = Inbox()
    await messaging.serve_commands(inbox)
    issued = SagaCommandIssued(
        saga_id=uuid4(), saga="booking", command_id=uuid4(), command="inventory.DoMagic", content={}
    )
    await messaging.append(uuid4(), issued, context="bookings")

    async def parked() -> bool:
        return len(await messaging.parked("commands:inventory")) == 1

    await eventually(parked, "it is parked")
    [letter] = await messaging.parked("commands:inventory")
    assert "inventory.DoMagic" in letter.error


async def test_commands_issued_while_the_service_is_away_wait_for_it(way: Way, database: str, amqp: str) -> None:
    async with open_messaging(way, database, amqp) as before:
        await before.issue("early")
    async with open_messaging(way, database, amqp) as after:
        inbox = Inbox()
        await after.serve_commands(inbox)
        await eventually(lambda: inbox.executed == ["early"], "it is carried out")


async def test_a_slow_command_holds_up_no_other(messaging: Messaging) -> None:
    gate = asyncio.Event()
    inbox = Inbox()

    async def dispatch(envelope: CommandEnvelope) -> Answer:
        if label_of(envelope) == "slow":
            await gate.wait()
        return await inbox(envelope)

    await messaging.serve_commands(dispatch)
    await messaging.issue("slow")
    await messaging.issue("first")
    await eventually(lambda: inbox.executed == ["first"], "the first is done")
    await messaging.issue("second")
    await eventually(lambda: inbox.executed == ["first", "second"], "the second does not wait for the slow one")
    gate.set()
    await eventually(lambda: inbox.executed == ["first", "second", "slow"], "the slow one is done")
