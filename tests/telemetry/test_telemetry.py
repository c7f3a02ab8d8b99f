"""Traces and metrics as a collector gets them, from a real server; and a server without one."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.telemetry.attributes import ALLOWED
from tests.attacks.app import ADA, App, anyone
from tests.parts.collector import Collector, Seen, points
from tests.parts.server import HoldfastProcess

TOKEN = "POST /data-integrations/{slug}/token"
SERVER, CLIENT = 2, 3


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def app(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    server = HoldfastProcess(tmp_path_factory.mktemp("traced"), env=collector.env)
    app = App.of(server)
    app.make_sandbox()
    yield app
    app.http.close()
    assert server.stop() == 0


def _traceparent() -> tuple[str, str]:
    trace = os.urandom(16).hex()
    return trace, f"00-{trace}-00f067aa0ba902b7-01"


def _read(app: App, user: str, **body: object) -> str:
    """Read a token; return the trace it was read in."""
    trace, said = _traceparent()
    reply = app.call(
        "POST", "/data-integrations/sandbox/token", {"user_id": user, **body}, headers={"traceparent": said}
    )
    assert reply.json()["active"], reply.text
    return trace


def _in(collector: Collector, trace: str, *names: str) -> dict[str, Seen]:
    """Wait until a trace has spans of these names; return its spans by name."""

    def found() -> dict[str, Seen] | None:
        spans = {span.name: span for span in list(collector.spans) if span.trace == trace}
        return spans if spans.keys() >= set(names) else None

    spans: dict[str, Seen] = collector.wait_for(found)
    return spans


def test_a_call_is_a_span_of_its_callers_trace_and_says_route_door_and_status(app: App, collector: Collector) -> None:
    app.connect(user := anyone(), person=ADA)
    for _ in range(2):  # the first read goes through the operations, the next one through the lane
        spans = _in(collector, _read(app, user), TOKEN)
        call = spans[TOKEN]
        assert (call.parent, call.kind, call.failed) == ("00f067aa0ba902b7", SERVER, False)
        assert call.attributes.pop("holdfast.request.id").startswith("req_")
        assert call.attributes == {
            "http.request.method": "POST",
            "http.route": "/data-integrations/{slug}/token",
            "http.response.status_code": 200,
            "holdfast.door": "workos",
        }


def test_a_refresh_is_traced_from_the_read_to_the_provider_and_into_the_database(
    app: App, collector: Collector
) -> None:
    app.connect(user := anyone(), person=ADA)
    app.control("expire")
    spans = _in(collector, _read(app, user, min_ttl=3600), TOKEN, "refresh", "outbound", "transaction")
    refresh, outbound = spans["refresh"], spans["outbound"]
    assert len(refresh.attributes.pop("holdfast.account.id")) == 26
    assert refresh.attributes == {"holdfast.provider": "sandbox", "holdfast.outcome": "refreshed"}
    assert outbound.parent == refresh.id
    assert outbound.kind == CLIENT
    assert outbound.attributes.pop("server.port")
    assert outbound.attributes == {
        "http.request.method": "POST",
        "server.address": "localhost",
        "http.response.status_code": 200,
    }
    assert spans["transaction"].attributes == {"db.system.name": "sqlite"}


def test_a_proxied_call_says_whose_provider_and_which_host_and_not_what_for(app: App, collector: Collector) -> None:
    app.connect(user := anyone(), person=ADA)
    trace, said = _traceparent()
    headers = {"x-relay-user": user, "traceparent": said}
    reply = app.call("GET", "/relay/sandbox/userinfo?q=what-was-asked", headers=headers)
    assert "x-relay-upstream-status" in reply.headers, reply.text
    spans = _in(collector, trace, "GET /relay/{slug}/{path}", "proxy", "outbound")
    assert spans["GET /relay/{slug}/{path}"].attributes["holdfast.door"] == "proxy"
    proxied = spans["proxy"]
    assert proxied.attributes["holdfast.provider"] == "sandbox"
    assert proxied.attributes["server.address"] == "localhost"
    assert proxied.attributes["http.response.status_code"] == reply.status_code
    assert proxied.attributes["holdfast.request.id"] == reply.headers["x-holdfast-request-id"]
    assert spans["outbound"].parent == proxied.id
    assert not any(b"what-was-asked" in body for body in collector.bodies)


def test_pages_and_unknown_addresses_have_templates_or_none(app: App, collector: Collector) -> None:
    for path, name in (("/dashboard/sign-in", "GET /dashboard/sign-in"), ("/no/such/secret-place", "GET")):
        trace, said = _traceparent()
        app.http.get(app.base_url + path, headers={"traceparent": said})
        [call] = collector.wait_for(
            lambda trace=trace: [s for s in collector.spans if s.trace == trace and s.kind == 2]
        )
        assert call.name == name
    assert not any(b"secret-place" in body for body in collector.bodies)


def test_health_checks_leave_no_trace(app: App, collector: Collector) -> None:
    app.http.get(app.base_url + "/healthz")
    trace, said = _traceparent()
    app.http.get(app.base_url + "/openapi.json", headers={"traceparent": said})
    _in(collector, trace, "GET /openapi.json")
    assert not [span for span in collector.spans if "healthz" in str(span)]


def test_what_a_caller_adds_to_its_trace_stays_here(app: App, collector: Collector) -> None:
    """tracestate and baggage are text of strangers, and would go out unlooked at."""
    trace, said = _traceparent()
    headers = {"traceparent": said, "tracestate": "vendor=canary-state", "baggage": "key=canary-baggage"}
    app.http.get(app.base_url + "/openapi.json", headers=headers)
    spans = _in(collector, trace, "GET /openapi.json")
    assert spans["GET /openapi.json"].whole.trace_state == ""
    assert not any(b"canary" in body for body in collector.bodies)


def test_a_traceparent_that_is_none_begins_a_trace_of_our_own(app: App, collector: Collector) -> None:
    before = len(collector.named("GET /openapi.json"))
    app.http.get(app.base_url + "/openapi.json", headers={"traceparent": "00-zz-1-01"})
    fresh = collector.wait_for(lambda: collector.named("GET /openapi.json")[before:])
    assert (fresh[0].parent, len(fresh[0].trace)) == ("", 32)


def test_the_counts_behind_the_metrics_page_are_sent_too(app: App, collector: Collector) -> None:
    app.connect(user := anyone(), person=ADA)
    _read(app, user)
    app.control("expire")
    _read(app, user, min_ttl=3600)
    read = (("holdfast.operation", "get_access_token"), ("http.response.status_code", 200))

    def found() -> bool:
        if not {"holdfast.requests", "holdfast.refresh_duration"} <= collector.metrics.keys():
            return False
        asked, took = collector.metrics["holdfast.requests"], collector.metrics["holdfast.refresh_duration"]
        return points(asked).get(read, 0) >= 2 and points(took).get((), 0) >= 1

    collector.wait_for(found)
    assert collector.metrics["holdfast.refresh_duration"].unit == "s"


def test_nothing_is_said_that_is_not_on_the_list(app: App, collector: Collector) -> None:
    _in(collector, _read(app, _connected(app)), TOKEN)
    names = {name for name, _ in ALLOWED.values()}
    spans = list(collector.spans)
    assert spans
    assert {name for span in spans for name in span.attributes} <= names
    assert not [span for span in spans if span.whole.events or span.whole.links or span.whole.status.message]
    assert {resource["service.name"] for resource in collector.resources} == {"holdfast"}
    assert not [name for resource in collector.resources for name in resource if name.startswith("process.")]


def _connected(app: App) -> str:
    app.connect(user := anyone(), person=ADA)
    return user


# Without a collector, or without one that answers

LOADED = {"PYTHONPROFILEIMPORTTIME": "1"}
"""Python names each module it loads on standard error."""


def test_a_server_without_a_collector_does_not_load_opentelemetry(tmp_path: Path) -> None:
    server = HoldfastProcess(tmp_path, env=LOADED)
    app = App.of(server)
    app.make_sandbox()
    user = _connected(app)
    app.control("expire")
    assert app.token(user, min_ttl=3600)["active"]
    app.http.close()
    assert server.stop() == 0
    assert "holdfast.telemetry\n" in server.log(), "this is the right place to look at"
    assert "opentelemetry" not in server.log()


def test_the_commands_do_not_load_opentelemetry() -> None:
    code = "import sys, holdfast.cli.main, holdfast.cli.serve; print([m for m in sys.modules if 'opentelemetry' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"),
        ({"PYTHONPATH": "{shadow}"}, "pip install 'holdfast[otel]'"),
        ({"OTEL_ATTRIBUTE_COUNT_LIMIT": "many"}, "OTEL_ATTRIBUTE_COUNT_LIMIT must be a non-negative integer"),
        ({"OTEL_SDK_DISABLED": "true"}, ""),
    ],
    ids=["another protocol", "no packages", "an unreadable variable", "disabled"],
)
def test_a_server_that_cannot_send_serves_all_the_same(tmp_path: Path, env: dict[str, str], reason: str) -> None:
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "opentelemetry.py").write_text("raise ImportError('not installed')")
    paths = os.pathsep.join((str(shadow), os.environ.get("PYTHONPATH", "")))
    env = {name: value.replace("{shadow}", paths) for name, value in env.items()}
    server = HoldfastProcess(tmp_path, env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **env})
    app = App.of(server)
    assert app.http.get(server.base_url + "/readyz").status_code == 200
    assert server.stop() == 0
    assert reason in server.log()
    assert ("telemetry_off" in server.log()) is bool(reason)


def test_a_collector_that_is_away_keeps_nobody(tmp_path: Path) -> None:
    server = HoldfastProcess(tmp_path, env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    app = App.of(server)
    app.make_sandbox()
    assert app.token(_connected(app))["active"]
    app.http.close()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 15
