"""The paths of these services: each leads to its method, wants a key, and is in the OpenAPI document."""

from typing import Any

import pytest

from tests.api.scalekit.conftest import Door

NOBODY = "conn_01JZZZZZZZZZZZZZZZZZZZZZZZ"
PATHS: list[tuple[str, str, Any, int]] = [
    ("POST", "/api/v1/connections", {"provider_key": "NOSUCH"}, 404),
    ("GET", "/api/v1/connections/app", None, 200),
    ("GET", f"/api/v1/connections/{NOBODY}", None, 404),
    ("PATCH", f"/api/v1/connections/{NOBODY}", {}, 404),
    ("DELETE", f"/api/v1/connections/{NOBODY}", None, 404),
    ("PATCH", f"/api/v1/connections/{NOBODY}:enable", None, 404),
    ("PATCH", f"/api/v1/connections/{NOBODY}:disable", None, 404),
    ("GET", f"/api/v1/connections/{NOBODY}/contexts", None, 404),
    ("PUT", f"/api/v1/connections/{NOBODY}/contexts", {}, 404),
    ("GET", f"/api/v1/organizations/org_1/connections/{NOBODY}/contexts", None, 404),
    ("PUT", f"/api/v1/organizations/org_1/connections/{NOBODY}/contexts", {}, 404),
    ("GET", "/api/v1/providers", None, 200),
    ("POST", "/api/v1/custom-providers", {}, 400),
    ("PUT", "/api/v1/custom-providers/NOSUCH", {"display_name": "A", "proxy_url": "https://a.example"}, 404),
    ("DELETE", "/api/v1/custom-providers/NOSUCH", None, 404),
    ("POST", "/api/v1/events/paginated", {}, 200),
    ("GET", "/api/v1/agentkit/tool_call_logs", None, 200),
    ("GET", "/api/v1/agentkit/tool_call_logs/exec_1", None, 404),
    ("GET", "/api/v1/agentkit/analytics/overview", None, 200),
]


@pytest.mark.parametrize(("verb", "path", "body", "status"), PATHS)
async def test_a_path_leads_to_its_method_and_wants_a_key(
    door: Door, verb: str, path: str, body: Any, status: int
) -> None:
    more = {} if body is None else {"json": body}
    assert (await door.ask(verb, path, **more)).status_code == status
    keyless = await door.ask(verb, path, key="sk_nonsense", **more)
    assert (keyless.status_code, keyless.json()["code"]) == (401, 16)
    assert keyless.json()["details"][0]["error_code"] == "UNAUTHENTICATED"


async def test_query_members_nest_and_repeat_and_enums_are_words(door: Door) -> None:
    query = "filter.provider_type=DEFAULT&page_size=2"
    found = await door.done("GET", f"/api/v1/providers?{query}")
    assert len(found["providers"]) == 2
    refused = await door.refused("GET", "/api/v1/providers?page_size=many")
    assert refused[:2] == (400, "INVALID_ARGUMENT")
    logs = "/api/v1/agentkit/tool_call_logs?status=success&status=provider_error&source=PROXY&source=MCP"
    assert (await door.done("GET", logs))["tool_call_logs"] == []
    wrong_body = await door.refused("POST", "/api/v1/connections", json=["x"])
    assert wrong_body[:2] == (400, "INVALID_ARGUMENT")


async def test_methods_for_other_sessions_are_not_implemented(door: Door) -> None:
    for path in ("/api/v1/my-providers", "/api/v1/agentkit/tool_call_logs:this"):
        assert (await door.refused("GET", path))[:2] == (501, "UNIMPLEMENTED")


async def test_the_document_describes_them(door: Door) -> None:
    reply = await door.ask("GET", "/openapi/scalekit.json")
    if reply.status_code == 404:
        pytest.skip("this door has no OpenAPI document yet")
    described = reply.json()["paths"]
    for path in ("/api/v1/connections/app", "/api/v1/custom-providers/{identifier}", "/api/v1/events/paginated"):
        assert path in described
