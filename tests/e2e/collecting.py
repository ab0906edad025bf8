"""A collector of OpenTelemetry spans: takes OTLP over HTTP, as the platform sends it, and keeps what it is sent."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it was sent; ids in hexadecimal, ``parent_id`` empty for the first of a trace."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    service: str
    failed: bool
    attributes: dict[str, Any]


class Collector:
    """Serves as long as the context is entered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[ReceivedSpan] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        """What to give the platform as NIGHTLEDGER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self) -> list[ReceivedSpan]:
        """Everything received so far."""
        with self._lock:
            return list(self._spans)

    def trace_of(self, correlation_id: str) -> list[ReceivedSpan]:
        """The spans of the trace that the request with that ``X-Request-Id`` belongs to; empty if there is none yet."""
        spans = self.spans()
        server = (span for span in spans if span.kind == "SERVER")
        of_request = (span for span in server if span.attributes["nightledger.correlation_id"] == correlation_id)
        first = next(of_request, None)
        return [] if first is None else [span for span in spans if span.trace_id == first.trace_id]

    def take(self, body: bytes) -> None:
        """Keep the spans of one export."""
        received = [
            _received(span, _value_of(resource.resource.attributes, "service.name"))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self._spans += received

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if self.path != "/v1/traces":
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return
                collector.take(self.rfile.read(int(self.headers["Content-Length"])))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
                """Say nothing: what was received is in the collector."""

        return Handler


def orphans_of(trace: list[ReceivedSpan]) -> list[ReceivedSpan]:
    """Spans of a trace whose parent is not there, apart from the one that began it."""
    known = {span.span_id for span in trace}
    return [span for span in trace if span.parent_id and span.parent_id not in known]


def _received(span: trace_pb2.Span, service: str) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        service=service,
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        attributes={each.key: _value_of(span.attributes, each.key) for each in span.attributes},
    )


def _value_of(attributes: Any, key: str) -> Any:
    value = next(each.value for each in attributes if each.key == key)
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [each.string_value for each in value.array_value.values]
    return getattr(value, kind)
