"""Watches over commands, whichever way they come: counts what becomes of them, and makes each a span."""

from __future__ import annotations

from time import monotonic

from commands.ports import Answer, CommandEnvelope, DuplicateMessage, Temporary
from commands.tracing import Tracing, logged_for, span_of_command
from domain.shared.errors import DomainError
from infra.messaging.delivery import Dispatch
from infra.messaging.stats import Stats


def counted(dispatch: Dispatch, stats: Stats) -> Dispatch:
    """``dispatch``, with its times and outcomes in ``stats``: done, duplicate, temporary, failed, or the refusal."""

    async def handle(envelope: CommandEnvelope) -> Answer:
        begun = monotonic()
        outcome = "cancelled"
        try:
            answer = await dispatch(envelope)
        except DuplicateMessage:
            outcome = "duplicate"
            raise
        except DomainError as refusal:
            outcome = refusal.problem
            raise
        except Temporary:
            outcome = "temporary"
            raise
        except Exception:
            outcome = "failed"
            raise
        else:
            outcome = "done"
            return answer
        finally:
            stats.count("commands", command=envelope.command.name, outcome=outcome)
            stats.observe("command_seconds", monotonic() - begun, service=envelope.command.service())

    return handle


def traced(dispatch: Dispatch, tracing: Tracing) -> Dispatch:
    """``dispatch``, with a span for each command; its events belong to that span, and what it logs to its request."""

    async def handle(envelope: CommandEnvelope) -> Answer:
        with (
            span_of_command(tracing, envelope.command.name, "consumer", envelope, {}) as spanned,
            logged_for(spanned.metadata),
        ):
            return await dispatch(spanned)

    return handle
