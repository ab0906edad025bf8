"""Handlers of the commands that sagas themselves are given, bound to the process's runtime."""

from __future__ import annotations

from commands.handling import Dependencies, Handlers, expect
from commands.ports import Answer, CommandEnvelope
from sagas.commands import CompensateSaga, PassDeadline, RetrySaga
from sagas.runtime import SagaRuntime


def saga_handlers(runtime: SagaRuntime) -> Handlers:
    """The handlers of a process that runs the bookings service. All are harmless when repeated."""

    async def pass_deadline(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
        del deps
        command = expect(PassDeadline, envelope)
        return await runtime.pass_deadline(command, envelope.command_id, envelope.metadata)

    async def retry_saga(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
        del deps
        command = expect(RetrySaga, envelope)
        return await runtime.retry(command.saga_id, envelope.command_id, envelope.metadata)

    async def compensate_saga(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
        del deps
        command = expect(CompensateSaga, envelope)
        return await runtime.compensate(command.saga_id, envelope.command_id, envelope.metadata)

    return {PassDeadline: pass_deadline, RetrySaga: retry_saga, CompensateSaga: compensate_saga}
