"""Whether, and where, the traces of a process go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from commands.tracing import UNTRACED, Tracing
from infra.settings import SERVICES, Settings


@asynccontextmanager
async def running_tracing(settings: Settings, services: Sequence[str]) -> AsyncIterator[Tracing]:
    """Where this process's spans go, for as long as the context is entered; at its end they are delivered."""
    if settings.otlp_endpoint is None:
        yield UNTRACED
        return
    # Loading the libraries takes a good tenth of a second, which nobody has to wait who does not trace.
    from infra.observability.otlp import OtlpTracing  # noqa: PLC0415

    ratio = settings.trace_ratio
    tracing = OtlpTracing(settings.otlp_endpoint, service_name(services), version("nightledger"), ratio)
    try:
        yield tracing
    finally:
        await asyncio.to_thread(tracing.close)


def service_name(services: Sequence[str]) -> str:
    """How a process is called in traces: by the services that it runs, unless it runs all of them."""
    return "-".join(("nightledger", *(() if set(services) == set(SERVICES) else services)))
