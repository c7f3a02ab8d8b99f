"""An OTLP collector: it takes what is sent over HTTP and reads it with OpenTelemetry's own protobuf messages."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Seen:
    """A span as it arrived."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    failed: bool
    attributes: dict[str, Any]
    whole: Any = field(repr=False)


class Collector:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.spans: list[Seen] = []
        self.resources: list[dict[str, Any]] = []
        self.metrics: dict[str, Any] = {}
        """The last state of each, by name."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def env(self) -> dict[str, str]:
        """What sends a server's telemetry here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_address[1]}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "300",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[Seen]:
        return [span for span in list(self.spans) if span.name == name]

    def wait_for(self, found: Callable[[], Any]) -> Any:
        """Return what `found` finds, as soon as that is something. Fails after a while."""
        until = time.monotonic() + WAIT_SECONDS
        while not (result := found()):
            assert time.monotonic() < until, sorted({span.name for span in self.spans})
            time.sleep(0.05)
        return result

    def _take(self, path: str, body: bytes) -> None:
        self.bodies.append(body)
        if path == "/v1/traces":
            sent = ExportTraceServiceRequest.FromString(body)
            for one in sent.resource_spans:
                self.resources.append(_read(one.resource.attributes))
                self.spans += [_seen(span) for scope in one.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in measured.scope_metrics:
                    self.metrics.update({metric.name: metric for metric in scope.metrics})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                take(self.path, self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _seen(span: Any) -> Seen:
    return Seen(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.status.code == 2,
        _read(span.attributes),
        span,
    )


def _read(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def points(metric: Any) -> dict[tuple[tuple[str, Any], ...], Any]:
    """Return a metric's points by their attributes: a sum's number, a histogram's count."""
    kind = metric.WhichOneof("data")
    return {
        tuple(sorted(_read(point.attributes).items())): point.count if kind == "histogram" else point.as_int
        for point in getattr(metric, kind).data_points
    }
