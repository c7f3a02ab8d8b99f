"""The OpenTelemetry SDK at work: spans and measurements to a collector, by OTLP over HTTP (protobuf).

The SDK reads the standard variables itself: endpoint, headers, time-outs, sampler, resource. Two of its habits are left
out. It takes `tracestate` and baggage over from a caller: text of strangers, which would go out unlooked at. It writes
an exception's message and its stack into the span.
"""

import asyncio
import contextlib
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from holdfast import __version__, metrics
from holdfast.errors import HoldfastError
from holdfast.telemetry import NOTHING, Note
from holdfast.telemetry.attributes import allowed

FLUSH_SECONDS = 3.0
"""What a stopping server gives a collector that may be away."""
_KINDS = {"internal": trace.SpanKind.INTERNAL, "client": trace.SpanKind.CLIENT}
_PROPAGATOR = TraceContextTextMapPropagator()


class Otlp:
    """Spans and measurements of this process. To be made after a fork: the SDK sends from threads of its own."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        resource = _resource()
        self._closers: list[Callable[[], None]] = []
        self._tracer: trace.Tracer = trace.NoOpTracer()
        if _sends(environ, "TRACES"):
            spans = TracerProvider(resource=resource, shutdown_on_exit=False)
            spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            self._tracer = spans.get_tracer("holdfast", __version__)
            self._closers.append(spans.shutdown)
        if _sends(environ, "METRICS"):
            reader = PeriodicExportingMetricReader(OTLPMetricExporter())
            measures = MeterProvider(resource=resource, metric_readers=[reader], shutdown_on_exit=False)
            _measure(measures.get_meter("holdfast", __version__))
            self._closers += [_stop_measuring, measures.shutdown]

    @contextlib.contextmanager
    def span(self, name: str, kind: str, nested: bool, attributes: Mapping[str, object]) -> Iterator[Note]:
        if nested and not trace.get_current_span().is_recording():
            yield NOTHING
            return
        with self._open(name, _KINDS[kind], None, attributes) as note:
            yield note

    @contextlib.contextmanager
    def incoming(self, traceparent: str | None) -> Iterator[Note]:
        said = {} if traceparent is None else {"traceparent": traceparent}
        with self._open("call", trace.SpanKind.SERVER, _PROPAGATOR.extract(said, Context()), {}) as note:
            yield note

    @contextlib.contextmanager
    def _open(
        self, name: str, kind: trace.SpanKind, context: Context | None, attributes: Mapping[str, object]
    ) -> Iterator[Note]:
        with self._tracer.start_as_current_span(
            name,
            context,
            kind,
            attributes=allowed(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            note = _Note(span)
            try:
                yield note
            except BaseException as error:
                note.fail(error.code if isinstance(error, HoldfastError) else type(error).__name__)
                raise

    async def close(self) -> None:
        """Send what is left. A collector that is away must not keep a stopping server."""
        done, loop = asyncio.Event(), asyncio.get_running_loop()

        def shut() -> None:
            for close in self._closers:
                close()
            with contextlib.suppress(RuntimeError):  # the loop has not waited
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=shut, name="holdfast-telemetry-end", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), FLUSH_SECONDS)


class _Note:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, **attributes: object) -> None:
        self._span.set_attributes(allowed(attributes))

    def call(self, method: str, template: str | None) -> None:
        said = allowed({"method": method, "route": template})
        self._span.set_attributes(said)
        self._span.update_name(" ".join(map(str, said.values())))

    def fail(self, error: str) -> None:
        self.set(error=error)
        self._span.set_status(trace.StatusCode.ERROR)


def _sends(environ: Mapping[str, str], signal: str) -> bool:
    """Tell whether a signal has somewhere to go, and is not turned off by itself."""
    if environ.get(f"OTEL_{signal}_EXPORTER", "otlp") == "none":
        return False
    return bool(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))


def _resource() -> Resource:
    """Return who is speaking: the operator's own words, our name where there is none, and which process it is.

    What a detector says of the process is left out: a command line may hold a database's password."""
    # It warns of a header that it cannot read by printing it.
    logging.getLogger("opentelemetry.util.re").setLevel(logging.ERROR)
    ours = {"service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    found = Resource.create(ours).attributes
    kept = {name: value for name, value in found.items() if not name.startswith("process.")}
    if str(kept.get("service.name", "unknown_service")).startswith("unknown_service"):
        kept["service.name"] = "holdfast"
    return Resource(kept)


def _measure(meter: Meter) -> None:
    """Send what `/metrics` shows of this process: the same counts, looked at when they are sent."""
    for one in metrics.EVERYTHING:
        name = one.name.replace("_", ".", 1)
        if isinstance(one, metrics.Counts):
            meter.create_observable_counter(name, callbacks=[_looking_at(one)], description=one.help)
        else:
            histogram = meter.create_histogram(
                name.removesuffix("_seconds"), "s", one.help, explicit_bucket_boundaries_advisory=list(one.bounds)
            )
            one.also = histogram.record


def _stop_measuring() -> None:
    for one in metrics.EVERYTHING:
        if isinstance(one, metrics.Times):
            one.also = None


def _looking_at(counts: metrics.Counts) -> Callable[[CallbackOptions], Sequence[Observation]]:
    def look(_options: CallbackOptions) -> Sequence[Observation]:
        summed: dict[tuple[tuple[str, str | int], ...], int] = {}
        for labels, value in counts.values():
            key = tuple(allowed(_numbered(labels)).items())
            summed[key] = summed.get(key, 0) + value
        return [Observation(value, dict(key)) for key, value in summed.items()]

    return look


def _numbered(labels: Mapping[str, str]) -> dict[str, object]:
    """Return the labels with a status of HTTP's as the number that it is, and one of gRPC's by its own name."""
    status = labels.get("status", "")
    if status.isdigit():
        return {**labels, "status": int(status)}
    return {**labels, "status": None, "rpc_status": status or None}
