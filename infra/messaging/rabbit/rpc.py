"""Requests over RabbitMQ: a command that somebody waits for, answered by whichever process runs the service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

import structlog
from faststream.rabbit import RabbitMessage
from pydantic import BaseModel, ConfigDict, ValidationError

from commands.ports import Answer, CommandEnvelope, ServiceUnavailable, Temporary
from commands.tracing import UNTRACED, Tracing, logged_for, span_of_command
from domain.shared.errors import DomainError
from infra.messaging.delivery import Dispatch
from infra.messaging.parking import describe
from infra.messaging.rabbit.connection import BrokerUnavailable, RabbitConnection, Subscription, Unroutable
from infra.messaging.rabbit.topology import reply_queue, rpc_queue
from infra.messaging.stats import Stats
from infra.messaging.wire import CommandMessage

log = structlog.get_logger(__name__)

REQUEST_SECONDS = 30.0
PREFETCH = 128


class Refusal(BaseModel):
    """A DomainError on its way. ``errors`` are (field, message) pairs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    problem: str
    status: int
    detail: str
    errors: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, error: DomainError) -> Refusal:
        """What can be told of a refusal."""
        return cls(problem=error.problem, status=error.status, detail=error.detail, errors=error.errors)

    def error(self) -> DomainError:
        """The same refusal again, of the class that bears its problem name."""
        found = _class_of(self.problem)
        error = DomainError.__new__(found or DomainError)
        DomainError.__init__(error, self.detail, errors=self.errors)
        if found is None:
            error.problem, error.status = self.problem, self.status
        return error


class Reply(BaseModel):
    """One of three: an answer, a refusal, or a failure (one line) that is nobody's business but the operator's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    answer: Answer | None = None
    refusal: Refusal | None = None
    failure: str | None = None


class RemoteFailure(Exception):
    """The service failed to handle the command; its own log has the traceback."""


class RpcServer:
    """Answers requests for the services of this process."""

    def __init__(self, connection: RabbitConnection, services: Sequence[str], dispatch: Dispatch, stats: Stats) -> None:
        self._connection = connection
        self._dispatch = dispatch
        self._stats = stats
        self._subscriptions = [Subscription(rpc_queue(service), self._take, prefetch=PREFETCH) for service in services]

    async def start(self) -> None:
        """Answer from now on, as soon as the broker is there."""
        for subscription in self._subscriptions:
            self._connection.subscribe(subscription)

    async def stop(self) -> None:
        """Stop when the requests at hand are answered."""
        for subscription in self._subscriptions:
            await self._connection.unsubscribe(subscription)

    async def _take(self, message: RabbitMessage) -> None:
        reply = await self._reply(message.body)
        self._stats.count("rpc_answered")
        # The asker may be gone, or the broker; the asker asks again with the same key, and gets the same answer.
        with suppress(Unroutable, BrokerUnavailable):
            await self._connection.publish(
                reply.model_dump_json().encode(),
                routing_key=message.reply_to,
                persist=False,
                correlation_id=message.correlation_id,
            )

    async def _reply(self, body: bytes) -> Reply:
        try:
            message = CommandMessage.model_validate_json(body)
        except ValidationError as error:
            log.exception("request_unreadable")
            return Reply(failure=describe(error))
        with logged_for(message.metadata):
            return await self._answer(message)

    async def _answer(self, message: CommandMessage) -> Reply:
        try:
            return Reply(answer=await self._dispatch(message.envelope()))
        except DomainError as error:
            return Reply(refusal=Refusal.of(error))
        except Temporary as error:
            return Reply(refusal=Refusal.of(ServiceUnavailable(f"{error}; send the request again")))
        except Exception as error:
            log.exception("request_failed")
            return Reply(failure=describe(error))


class RabbitBus:
    """The CommandBus over RabbitMQ."""

    def __init__(
        self, connection: RabbitConnection, seconds: float = REQUEST_SECONDS, tracing: Tracing = UNTRACED
    ) -> None:
        """``seconds``: how long an answer is waited for."""
        self._connection = connection
        self._tracing = tracing
        self._seconds = seconds
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._replies = Subscription(reply_queue(uuid4().hex), self._answered, prefetch=1000)

    async def start(self) -> None:
        """Receive answers from now on."""
        self._connection.subscribe(self._replies)

    async def stop(self) -> None:
        """Receive no more answers."""
        await self._connection.unsubscribe(self._replies)

    async def send(self, envelope: CommandEnvelope) -> Answer:
        """See CommandBus. Raises RemoteFailure when the handler failed in a way that is no refusal."""
        name, about = f"request {envelope.command.name}", {"messaging.system": "rabbitmq"}
        with span_of_command(self._tracing, name, "client", envelope, about) as spanned:
            return await self._ask(spanned)

    async def _ask(self, envelope: CommandEnvelope) -> Answer:
        service = envelope.command.service()
        request = uuid4().hex
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request] = answered
        try:
            async with asyncio.timeout(self._seconds):
                await self._replies.active.wait()
                await self._connection.publish(
                    CommandMessage.of(envelope).model_dump_json().encode(),
                    routing_key=rpc_queue(service).name,
                    persist=False,
                    expiration=self._seconds,
                    reply_to=self._replies.queue.name,
                    correlation_id=request,
                )
                reply = await answered
        except TimeoutError as error:
            raise ServiceUnavailable(
                f"{service} did not answer within {self._seconds:g} s; repeat the request with the same key"
            ) from error
        except Unroutable as error:
            raise ServiceUnavailable(f"no process runs the service {service!r}; start one") from error
        except BrokerUnavailable as error:
            raise ServiceUnavailable(f"{service} cannot be reached ({error}); repeat the request later") from error
        finally:
            del self._waiting[request]
        return self._open(service, reply)

    async def _answered(self, message: RabbitMessage) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is None or waiting.done():
            return  # it came too late: the asker was told so
        try:
            waiting.set_result(Reply.model_validate_json(message.body))
        except ValidationError as error:
            waiting.set_exception(RemoteFailure(f"the answer cannot be read: {error}"))

    @staticmethod
    def _open(service: str, reply: Reply) -> Answer:
        if reply.answer is not None:
            return reply.answer
        if reply.refusal is not None:
            raise reply.refusal.error()
        raise RemoteFailure(f"{service} failed: {reply.failure}")


def _class_of(problem: str) -> type[DomainError] | None:
    """The DomainError class that declares ``problem``."""
    classes: list[type[DomainError]] = [DomainError]
    for candidate in classes:
        if candidate.__dict__.get("problem") == problem:
            return candidate
        classes.extend(candidate.__subclasses__())
    return None
