"""Spans kept in memory, with everything that OpenTelemetry does in between."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode

from infra.observability.otlp import OpenTelemetryTracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"


class KeptSpans:
    """``tracing`` for what is tested; what has ended is in ``ended``."""

    def __init__(self, ratio: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = OpenTelemetryTracing(SimpleSpanProcessor(self._exporter), "nightledger-test", "1.2.3", ratio)

    @property
    def ended(self) -> list[ReadableSpan]:
        """In the order in which they have ended."""
        return list(self._exporter.get_finished_spans())

    def only(self) -> ReadableSpan:
        """The only one."""
        (span,) = self.ended
        return span

    def named(self, name: str) -> ReadableSpan:
        """The only one of that name."""
        (span,) = (span for span in self.ended if span.name == name)
        return span


def name_of(span: ReadableSpan) -> str:
    """A recorded span as its traceparent would name it."""
    assert span.context is not None
    return _traceparent(span.context)


def parent_of(span: ReadableSpan) -> str | None:
    """The parent as its traceparent would name it."""
    return None if span.parent is None else _traceparent(span.parent)


def about(span: ReadableSpan) -> dict[str, object]:
    """The span's attributes."""
    return dict(span.attributes or {})


def failed(span: ReadableSpan) -> bool:
    """Whether it is marked as failed."""
    return span.status.status_code is StatusCode.ERROR


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
