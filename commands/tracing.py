"""Traces: pieces of work (spans) that belong to one request, whichever process does them.

A span is named by its ``traceparent`` (W3C Trace Context: version, trace, span and flags in hexadecimal). Whoever does
work for a span hands its ``traceparent`` on in the metadata of commands and events. Only a request begins a trace: what
nobody asked for over HTTP (imports, the demo's hotels) belongs to none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal, Protocol
from uuid import UUID

from structlog.contextvars import bound_contextvars

from commands.ports import CommandEnvelope, Metadata, replace_metadata

SpanKind = Literal["server", "client", "producer", "consumer", "internal"]
Attributes = Mapping[str, str | int | float | bool | tuple[str, ...]]

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACE = slice(3, 35)


class Span(Protocol):
    """One piece of work while it is done. ``traceparent`` is the parent of what follows from it, None if untraced."""

    @property
    def traceparent(self) -> str | None:
        """Its name in metadata and messages."""
        ...

    def tell(self, attributes: Attributes) -> None:
        """Add what became known about it."""
        ...

    def fail(self, error: Exception | str) -> None:
        """Mark it as failed although no exception leaves it."""
        ...


class Tracing(Protocol):
    """Where spans go. ``on``: whether they go anywhere at all, so that nobody prepares what is not wanted."""

    on: bool

    def span(
        self, name: str, kind: SpanKind, parent: str | None, attributes: Attributes
    ) -> AbstractContextManager[Span]:
        """A span for as long as the context is entered; without ``parent`` (a traceparent) it begins a trace.

        An exception that leaves it marks it as failed, unless it is an answer: a DomainError, or DuplicateMessage.
        """
        ...


@dataclass(frozen=True, slots=True)
class Carried:
    """The span that is none: what follows belongs to the ``traceparent`` that was given, if any."""

    traceparent: str | None

    def tell(self, attributes: Attributes) -> None:
        """See Span: nobody listens."""

    def fail(self, error: Exception | str) -> None:
        """See Span: nobody listens."""


class Untraced:
    """The Tracing that records nothing, and carries through what callers send."""

    on = False

    def span(self, name: str, kind: SpanKind, parent: str | None, attributes: Attributes) -> nullcontext[Span]:  # noqa: ARG002 - see Tracing
        """See Tracing."""
        return nullcontext(Carried(parent))


UNTRACED = Untraced()


def valid_traceparent(text: str) -> str | None:
    """``text`` if it is a traceparent, None for anything else: what callers send is not to be trusted."""
    return text if _TRACEPARENT.fullmatch(text) else None


def trace_id_of(traceparent: str) -> str:
    """The trace that a span belongs to: 32 hexadecimal digits."""
    return traceparent[_TRACE]


def is_sampled(traceparent: str) -> bool:
    """Whether the trace is recorded."""
    return bool(int(traceparent[-2:], 16) & 1)


def logged_with(correlation_id: UUID, traceparent: str | None) -> AbstractContextManager[None]:
    """Everything logged inside, by whomever, bears ``correlation_id``, and ``trace_id`` where there is a trace."""
    fields = {"correlation_id": str(correlation_id)}
    if traceparent is not None:
        fields["trace_id"] = trace_id_of(traceparent)
    return bound_contextvars(**fields)


def logged_for(metadata: Metadata) -> AbstractContextManager[None]:
    """See ``logged_with``."""
    return logged_with(metadata.correlation_id, metadata.traceparent)


@contextmanager
def span_of_command(
    tracing: Tracing, name: str, kind: SpanKind, envelope: CommandEnvelope, attributes: Attributes
) -> Iterator[CommandEnvelope]:
    """A span about a command: yields the envelope whose metadata names that span as the parent of what follows.

    A command without a trace gets none.
    """
    parent = envelope.metadata.traceparent
    if parent is None or not tracing.on:
        yield envelope
        return
    about: Attributes = {
        "nightledger.command": envelope.command.name,
        "nightledger.command_id": str(envelope.command_id),
        "nightledger.correlation_id": str(envelope.metadata.correlation_id),
        **attributes,
    }
    with tracing.span(name, kind, parent, about) as span:
        yield replace(envelope, metadata=replace_metadata(envelope.metadata, traceparent=span.traceparent))
