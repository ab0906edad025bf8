"""Spans by OpenTelemetry, sent by OTLP over HTTP.

Loading this takes a good tenth of a second: only a platform that is told where to send spans does. The libraries' own
variables (``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_BSP_*``, ``OTEL_RESOURCE_ATTRIBUTES``) count as well.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from commands.ports import DuplicateMessage
from commands.tracing import Attributes, Span, SpanKind
from domain.shared.errors import DomainError

EXPORT_SECONDS = 5.0
"""How long one batch of spans is tried to be delivered; then it is given up."""
CLOSE_SECONDS = 5.0
"""How long the end of the process waits for the last spans to be delivered."""

_TRACEPARENT = "traceparent"
_KINDS: dict[SpanKind, trace.SpanKind] = {
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
    "internal": trace.SpanKind.INTERNAL,
}
_propagator = TraceContextTextMapPropagator()


class OpenTelemetrySpan:
    """See Span."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, trace.set_span_in_context(span))
        self.traceparent: str | None = carrier[_TRACEPARENT]

    def tell(self, attributes: Attributes) -> None:
        """See Span."""
        self._span.set_attributes(attributes)

    def fail(self, error: Exception | str) -> None:
        """See Span."""
        if isinstance(error, str):
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR, error))
            return
        self._span.set_attribute("error.type", type(error).__qualname__)
        self._span.record_exception(error)
        self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))


class OpenTelemetryTracing:
    """The Tracing of one process. ``processor`` takes the spans that end."""

    on = True

    def __init__(self, processor: SpanProcessor, service: str, version: str, ratio: float = 1.0) -> None:
        """``ratio`` of the traces that begin here are recorded; where a caller has decided, that counts."""
        resource = Resource.create(
            {"service.name": service, "service.version": version, "service.instance.id": str(uuid4())}
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)), resource=resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("nightledger", version)

    @contextmanager
    def span(self, name: str, kind: SpanKind, parent: str | None, attributes: Attributes) -> Iterator[Span]:
        """See Tracing."""
        context = _propagator.extract({} if parent is None else {_TRACEPARENT: parent})
        started = self._tracer.start_span(name, context, _KINDS[kind], attributes)
        span = OpenTelemetrySpan(started)
        try:
            yield span
        except DomainError as refusal:
            span.tell({"nightledger.refused": refusal.problem})
            raise
        except DuplicateMessage:
            span.tell({"nightledger.duplicate": True})
            raise
        except Exception as error:
            span.fail(error)
            raise
        finally:
            started.end()

    def close(self) -> None:
        """Hand over what has ended, and stop."""
        self._provider.shutdown()


class OtlpTracing(OpenTelemetryTracing):
    """Sends spans to the collector at ``endpoint`` (a base URL: ``/v1/traces`` is added), in batches, in a thread.

    Spans are dropped when more of them end than can be delivered: nothing waits for a collector.
    """

    def __init__(self, endpoint: str, service: str, version: str, ratio: float) -> None:
        self._exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
        super().__init__(BatchSpanProcessor(self._exporter), service, version, ratio)

    def close(self) -> None:
        """Deliver what has ended, for as long as the end of a process may take; blocks."""
        too_late = threading.Timer(CLOSE_SECONDS, self._exporter.shutdown)
        too_late.start()
        try:
            super().close()
        finally:
            too_late.cancel()
