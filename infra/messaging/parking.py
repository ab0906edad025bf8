"""How failures become dead letters."""

from __future__ import annotations

import datetime as dt
import json
import traceback
from uuid import UUID, uuid5

from commands.ports import DeadLetter, RecordedEvent
from infra.messaging.wire import CloudEvent, CommandMessage
from projections.folding import CannotApply

_COMMANDS_OF = "commands:"


def consumer_of(service: str) -> str:
    """The name under which failed commands of ``service`` are parked, and of the feed that delivers them."""
    return f"{_COMMANDS_OF}{service}"


def delivers_commands(consumer: str) -> bool:
    """Whether a consumer carries out commands (and is no feed that takes events for itself)."""
    return consumer.startswith(_COMMANDS_OF)


def event_letter(
    consumer: str, recorded: RecordedEvent, error: Exception, attempts: int, now: dt.datetime
) -> DeadLetter:
    """An event that ``consumer`` could not handle."""
    error = culprit(error)
    return _of_event(consumer, recorded, now, error=describe(error), trace=trace(error), attempts=attempts)


def culprit(error: Exception) -> Exception:
    """What really went wrong: which projection and which event it was is known without CannotApply around it."""
    return error.cause if isinstance(error, CannotApply) else error


def follower_letter(consumer: str, recorded: RecordedEvent, now: dt.datetime) -> DeadLetter:
    """An event that has to wait because an earlier one of its stream is parked."""
    return _of_event(consumer, recorded, now, error="an earlier event of the stream is parked", behind=True)


def command_letter(
    service: str, message: CommandMessage, error: Exception, attempts: int, now: dt.datetime
) -> DeadLetter:
    """A command that could not be carried out."""
    return DeadLetter(
        letter_id=uuid5(message.command_id, consumer_of(service)),
        consumer=consumer_of(service),
        context=service,
        stream_id=None,
        position=None,
        topic=message.command,
        message=message.model_dump(mode="json"),
        error=describe(error),
        traceback=trace(error),
        attempts=attempts,
        behind=False,
        parked_at=now,
    )


def undecodable_letter(service: str, timer_id: UUID, stored: str, error: Exception, now: dt.datetime) -> DeadLetter:
    """A timer's command, as it is stored, that this version of the code cannot read.

    If the envelope around it is whole it is kept as the command that it is, so that a retry carries it out as soon as
    the code can read it again.
    """
    try:
        envelope = json.loads(stored)
        message = CommandMessage.model_validate(envelope | {"command": envelope["name"]})
    except (ValueError, TypeError, KeyError):
        return unreadable_letter(service, timer_id, stored.encode(), describe(error), now)
    return command_letter(service, message, error, 1, now)


def unreadable_letter(service: str, letter_id: UUID, body: bytes, reason: str, now: dt.datetime) -> DeadLetter:
    """A message on the command queue that is no run of commands."""
    return DeadLetter(
        letter_id=letter_id,
        consumer=consumer_of(service),
        context=service,
        stream_id=None,
        position=None,
        topic="unreadable",
        message={"body": body.decode(errors="replace")},
        error=reason,
        traceback="",
        attempts=1,
        behind=False,
        parked_at=now,
    )


def describe(error: BaseException) -> str:
    """One line: the type and what it says."""
    return f"{type(error).__name__}: {error}"


def trace(error: BaseException) -> str:
    """The traceback as Python prints it."""
    return "".join(traceback.format_exception(error))


def _of_event(
    consumer: str,
    recorded: RecordedEvent,
    now: dt.datetime,
    *,
    error: str,
    trace: str = "",
    attempts: int = 0,
    behind: bool = False,
) -> DeadLetter:
    return DeadLetter(
        letter_id=uuid5(recorded.event_id, consumer),
        consumer=consumer,
        context=recorded.context,
        stream_id=recorded.stream_id,
        position=recorded.position,
        topic=recorded.event.topic,
        message=CloudEvent.of(recorded).model_dump(mode="json"),
        error=error,
        traceback=trace,
        attempts=attempts,
        behind=behind,
        parked_at=now,
    )
