"""Canary secrets through every path, then grep what reached the collector (security list, rows 28 and 35)."""

from pathlib import Path

from tests.attacks.app import App
from tests.attacks.provider import EvilProvider
from tests.attacks.test_stored_secrets import _hits, _journey
from tests.parts.collector import Collector
from tests.parts.server import HoldfastProcess


def test_telemetry_leak_no_secret_is_in_a_span_or_a_measurement(tmp_path: Path, evil: EvilProvider) -> None:
    with Collector() as collector:
        server = HoldfastProcess(tmp_path, env={**collector.env, "HOLDFAST_LOG_LEVEL": "debug"})
        app = App.of(server)
        try:
            canaries, _ = _journey(app, evil)
            canaries |= {"canary-in-the-path", "canary-in-the-query", "canaryinthemethod", "canary-in-a-header"}
            headers = {"x-secret": "canary-in-a-header", "tracestate": "v=canary-in-a-header"}
            app.call("GET", "/data-integrations/canary-in-the-path?q=canary-in-the-query", headers=headers)
            app.call("GET", "/relay/sandbox/canary-in-the-path?q=canary-in-the-query", headers={"x-relay-user": "u"})
            app.call("canaryinthemethod", "/data-integrations")
        finally:
            app.http.close()
            assert server.stop() == 0
        names = {span.name for span in collector.spans}
        sent = b"\n".join(collector.bodies)
    assert {"refresh", "outbound", "transaction", "POST /data-integrations/{slug}/token"} <= names, names
    assert collector.metrics, "this is the right place to look at"
    assert len(canaries) >= 24
    assert _hits(canaries, sent) == []
    assert _hits(canaries, server.log().encode()) == []
