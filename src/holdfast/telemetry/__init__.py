"""Telemetry: traces and metrics for OpenTelemetry, where an operator has named a collector.

Owns: when it is on (`wanted`), what a span is given (`span`, `incoming`) and what it may say (`attributes`, the one
list of allowed ones). `otlp` alone imports OpenTelemetry, and is itself imported only when telemetry is on: a server
without it has neither loaded the packages nor anything to do at a span but to look at one name.

Leaves to others: what is counted (`holdfast.metrics`), and where spans begin and end (the rooms). No exception's words,
no URL, no header and no id of a user ever gets here; if a caller tries, the list drops it.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

ROUTE = "holdfast.route"
"""In a request's scope: the template of the path, put there by the door that knows it."""
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
"""https://opentelemetry.io/docs/specs/otel/protocol/exporter/"""


class Note(Protocol):
    """What a span is told. Attributes are named as in `attributes.ALLOWED`; any other is dropped."""

    def set(self, **attributes: object) -> None: ...

    def call(self, method: str, template: str | None) -> None:
        """Say which operation it is, in its attributes and as its name."""
        ...

    def fail(self, error: str) -> None:
        """Mark it as failed; `error` is a stable code or a class's name, never a message."""
        ...


class Spans(Protocol):
    """What makes spans while telemetry is on."""

    def span(
        self, name: str, kind: str, nested: bool, attributes: Mapping[str, object]
    ) -> AbstractContextManager[Note]: ...

    def incoming(self, traceparent: str | None) -> AbstractContextManager[Note]: ...

    async def close(self) -> None: ...


class _Nothing:
    """A span while telemetry is off."""

    def __enter__(self) -> Note:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        return None

    def set(self, **attributes: object) -> None:
        return None

    def call(self, method: str, template: str | None) -> None:
        return None

    def fail(self, error: str) -> None:
        return None


NOTHING = _Nothing()
_spans: Spans | None = None


def span(
    name: str, *, kind: str = "internal", nested: bool = False, **attributes: object
) -> AbstractContextManager[Note]:
    """Open a span around a `with` block. An exception that leaves the block marks it by its code alone.

    `kind`: internal or client. `nested`: none is made outside of another one, so that what idle loops do is no trace.
    """
    return NOTHING if _spans is None else _spans.span(name, kind, nested, attributes)


def incoming(traceparent: str | None) -> AbstractContextManager[Note]:
    """Open the span of a call that came in, within its caller's trace (W3C Trace Context), if that says one."""
    return NOTHING if _spans is None else _spans.incoming(traceparent)


def is_on() -> bool:
    return _spans is not None


def wanted(environ: Mapping[str, str]) -> bool:
    """Tell whether the standard variables name a collector, and do not turn all off."""
    return environ.get("OTEL_SDK_DISABLED", "").lower() != "true" and any(environ.get(name) for name in ENDPOINTS)


def begin(spans: Spans) -> None:
    """Send spans there, from now on."""
    global _spans
    _spans = spans


async def end() -> None:
    """Send what is left, for a few seconds at most; then telemetry is off."""
    global _spans
    spans, _spans = _spans, None
    if spans is not None:
        await spans.close()
