"""Requests over RabbitMQ, and the buses that route them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from commands.ports import Answer, CommandEnvelope, IdempotencyMismatch, ServiceUnavailable, Temporary
from domain.inventory.commands import ReleaseHold
from domain.shared.errors import DomainError, InvalidCommand
from infra.messaging.bus import Bus, LocalBus
from infra.messaging.rabbit.connection import RabbitConnection
from infra.messaging.rabbit.rpc import RabbitBus, RemoteFailure, RpcServer
from infra.messaging.stats import Stats
from tests.contract.messaging import PATIENCE_SECONDS, SOMEBODY, metadata

Handle = Callable[[CommandEnvelope], Awaitable[Answer]]


def request(label: str = "x") -> CommandEnvelope:
    command = ReleaseHold(hotel_id=SOMEBODY, room_type_id=SOMEBODY, hold_id=SOMEBODY, booking_id=SOMEBODY, reason=label)
    return CommandEnvelope(uuid4(), command, metadata())


async def echo(envelope: CommandEnvelope) -> Answer:
    assert isinstance(envelope.command, ReleaseHold)
    return Answer(context="inventory", position="3.4", body={"label": envelope.command.reason})


@asynccontextmanager
async def served(url: str, handle: Handle | None, seconds: float = PATIENCE_SECONDS) -> AsyncIterator[RabbitBus]:
    """A bus in one process and, if ``handle`` is given, the service in another."""
    stats = Stats()
    asking, answering = (RabbitConnection(url, pytest.fail, stats) for _ in range(2))
    bus = RabbitBus(asking, seconds)
    await bus.start()
    await asking.start()
    await answering.start()
    if handle is not None:
        await RpcServer(answering, ["inventory"], handle, stats).start()
        assert await answering.wait_up(PATIENCE_SECONDS)
    try:
        yield bus
    finally:
        await bus.stop()
        await asking.stop()
        await answering.stop()


async def test_a_request_is_answered(rabbitmq_vhost: str) -> None:
    async with served(rabbitmq_vhost, echo) as bus:
        answer = await bus.send(request("hello"))
        assert answer == Answer(context="inventory", position="3.4", body={"label": "hello"})


async def test_many_requests_are_under_way_at_once(rabbitmq_vhost: str) -> None:
    met = asyncio.Barrier(20)

    async def meet(envelope: CommandEnvelope) -> Answer:
        await met.wait()
        return await echo(envelope)

    async with served(rabbitmq_vhost, meet) as bus:
        answers = await asyncio.gather(*(bus.send(request(str(number))) for number in range(20)))
        assert [answer.body["label"] for answer in answers] == [str(number) for number in range(20)]


async def test_a_refusal_comes_back_as_the_same_class(rabbitmq_vhost: str) -> None:
    async def refuse(envelope: CommandEnvelope) -> Answer:
        if (await echo(envelope)).body["label"] == "key":
            raise IdempotencyMismatch("another request had this key")
        raise InvalidCommand("no", errors=(("rooms", "must be positive"),))

    async with served(rabbitmq_vhost, refuse) as bus:
        with pytest.raises(InvalidCommand, match="no") as refused:
            await bus.send(request())
        assert refused.value.errors == (("rooms", "must be positive"),)
        with pytest.raises(IdempotencyMismatch, match="another request"):
            await bus.send(request("key"))


async def test_a_refusal_of_an_unknown_kind_keeps_its_name_and_status(rabbitmq_vhost: str) -> None:
    async def refuse(_: CommandEnvelope) -> Answer:
        refusal = DomainError("newer than this process")
        refusal.problem, refusal.status = "from-the-future", 418
        raise refusal

    async with served(rabbitmq_vhost, refuse) as bus:
        with pytest.raises(DomainError, match="newer") as refused:
            await bus.send(request())
        assert (refused.value.problem, refused.value.status) == ("from-the-future", 418)


async def test_failures_are_told_apart_from_refusals(rabbitmq_vhost: str) -> None:
    async def fail(envelope: CommandEnvelope) -> Answer:
        if (await echo(envelope)).body["label"] == "temporary":
            raise Temporary("the database is away")
        raise ZeroDivisionError("a bug")

    async with served(rabbitmq_vhost, fail) as bus:
        with pytest.raises(RemoteFailure, match="ZeroDivisionError: a bug"):
            await bus.send(request())
        with pytest.raises(ServiceUnavailable, match="the database is away"):
            await bus.send(request("temporary"))


async def test_nobody_who_runs_the_service(rabbitmq_vhost: str) -> None:
    async with served(rabbitmq_vhost, None) as bus:
        with pytest.raises(ServiceUnavailable, match="no process runs the service 'inventory'"):
            await bus.send(request())


async def test_a_service_that_does_not_answer_in_time(rabbitmq_vhost: str) -> None:
    asked = asyncio.Event()

    async def hang(_: CommandEnvelope) -> Answer:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with served(rabbitmq_vhost, hang, seconds=1.5) as bus:
        with pytest.raises(ServiceUnavailable, match="did not answer within"):
            await bus.send(request())
        assert asked.is_set()


async def test_a_broker_that_is_not_there() -> None:
    connection = RabbitConnection("amqp://guest:guest@127.0.0.1:1/", pytest.fail, Stats())
    bus = RabbitBus(connection, 0.3)
    await connection.start()
    await bus.start()
    with pytest.raises(ServiceUnavailable):
        await bus.send(request())
    await bus.stop()
    await connection.stop()


class Remote:
    async def send(self, envelope: CommandEnvelope) -> Answer:
        return Answer(context=envelope.command.service(), body={"way": "remote"})


async def test_the_bus_takes_the_short_way_where_it_can() -> None:
    assert (await Bus(LocalBus(echo, ["inventory"]), Remote()).send(request("near"))).body == {"label": "near"}
    assert (await Bus(LocalBus(echo, ["payments"]), Remote()).send(request())).body == {"way": "remote"}
    with pytest.raises(ServiceUnavailable, match="no broker"):
        await Bus(LocalBus(echo, ["payments"]), None).send(request())


async def test_a_temporary_failure_here_is_told_as_unavailable() -> None:
    async def away(_: CommandEnvelope) -> Answer:
        raise Temporary("the store is away")

    with pytest.raises(ServiceUnavailable, match="the store is away"):
        await LocalBus(away, ["inventory"]).send(request())
