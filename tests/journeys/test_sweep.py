"""A server process that sweeps: a token is renewed though nobody reads it."""

import time
from pathlib import Path

import httpx2
import pytest
from workos import WorkOSClient
from workos.common.models import DataIntegrationCredentialType
from workos.pipes.models import DataIntegrationCredentialsInput

from tests.parts.browser import Browser, LostWay
from tests.parts.server import HoldfastProcess


def test_a_running_server_renews_tokens_that_nobody_reads(tmp_path: Path) -> None:
    server = HoldfastProcess(tmp_path, env={"HOLDFAST_SWEEP_INTERVAL": "0.2"})
    try:
        control = f"{server.base_url}/lab/sandbox/control"
        httpx2.post(f"{control}/switches", json={"access_lifetime": 2}).raise_for_status()
        client = httpx2.get(f"{control}/state").json()["client"]
        sdk = WorkOSClient(api_key=server.api_key, client_id="x", base_url=server.base_url, max_retries=0)
        sdk.pipes.create_data_integration(
            provider="sandbox",
            enabled=True,
            credentials=DataIntegrationCredentialsInput(
                type=DataIntegrationCredentialType("custom"), client_id=client["id"], client_secret=client["secret"]
            ),
        )
        link = sdk.pipes.authorize_data_integration("sandbox", user_id="user_away")
        with pytest.raises(LostWay, match="is connected"):
            Browser().walk(link.url, stop_at="nowhere")
        until = time.monotonic() + 20
        while (refreshed := httpx2.get(f"{control}/state").json()["counters"]["refresh_token"]) < 2:
            assert time.monotonic() < until, "nothing was renewed"
            time.sleep(0.2)
        assert refreshed >= 2
        assert sdk.pipes.get_access_token("sandbox", user_id="user_away").active
    finally:
        assert server.stop() == 0
