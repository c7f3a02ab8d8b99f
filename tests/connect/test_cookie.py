"""The cookie that marks the browser which started, behind https."""

from pathlib import Path

import httpx2

from holdfast.app import build
from holdfast.config import load


async def test_behind_https_the_cookie_is_host_bound_secure_and_out_of_scripts_reach(tmp_path: Path) -> None:
    config = load({}, data_dir=tmp_path, base_url="https://connect.example.com")
    holdfast = await build(config)
    assert holdfast.first_key is not None
    key = {"Authorization": f"Bearer {holdfast.first_key.reveal()}"}
    web = httpx2.AsyncClient(transport=httpx2.ASGITransport(holdfast.app), base_url=config.base_url)
    try:
        integration = {
            "provider": "github",
            "enabled": True,
            "credentials": {"type": "custom", "client_id": "a", "client_secret": "a-client-secret"},
        }
        made = await web.post("/data-integrations", json=integration, headers=key)
        assert made.json()["redirect_uri"].startswith("https://connect.example.com/data-integrations/github/dik_")
        link = (await web.post("/data-integrations/github/authorize", json={"user_id": "u"}, headers=key)).json()["url"]
        shown = await web.get(link)
        assert shown.status_code == 200
        assert "set-cookie" not in shown.headers  # looking is not starting
        started = await web.post(link)
        assert started.status_code == 303
        assert started.headers["location"].startswith("https://github.com/login/oauth/authorize?")
        cookie = started.headers["set-cookie"]
        assert cookie.startswith("__Host-holdfast=")
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= attributes
        assert not any(part.startswith("domain") for part in attributes)
    finally:
        await web.aclose()
        await holdfast.close()
