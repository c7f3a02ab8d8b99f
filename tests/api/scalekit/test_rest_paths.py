"""The paths of these services: each leads to its method, wants a key, and is in the OpenAPI document."""

import re
from typing import Any

import pytest

from holdfast import metrics
from holdfast.api.scalekit.descriptors import WIRE, Binding, Method
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


LATER = ("ToolService.", "McpService.")
"""Services that are described and not served yet."""
VENDORS = {
    "OrganizationService.UpdateOrganization",
    "ProviderService.CreateProvider",
    "ProviderService.UpdateProvider",
    "ProviderService.DeleteProvider",
}
"""What the hosted service keeps for itself, and organizations changed in place: here one is made anew."""
ADDRESSES = [(method, binding) for method in WIRE.methods.values() for binding in method.bindings]


@pytest.mark.parametrize(
    ("method", "binding"), ADDRESSES, ids=lambda value: value.name if isinstance(value, Method) else value.template
)
async def test_every_address_of_every_method_leads_to_it_and_only_tools_are_not_implemented(
    door: Door, method: Method, binding: Binding
) -> None:
    path = re.sub(r"\{\w+\}", "none", binding.template)
    before = _answers(method)
    reply = await door.ask(binding.verb, path, **({"json": {}} if binding.body else {}))
    assert sum(_answers(method).values()) == sum(before.values()) + 1, "another method answered"
    served = method.name not in VENDORS and not method.name.startswith(LATER)
    assert (reply.status_code == 501) is not served, reply.text
    assert reply.status_code < 500 or not served, reply.text
    described = (await door.done("GET", "/openapi/scalekit.json"))["paths"].get(binding.template, {})
    assert (binding.verb.lower() in described) is served


def _answers(method: Method) -> dict[str, int]:
    """Return how often this process has answered the method so far, by status."""
    found = metrics.REQUESTS.values()
    return {labels["status"]: count for labels, count in found if labels["operation"] == method.name}


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


async def test_methods_for_other_sessions_are_refused_in_words(door: Door) -> None:
    for path in ("my-providers", "agentkit/tool_call_logs:this", "agentkit/analytics/overview:this"):
        assert (await door.refused("GET", f"/api/v1/{path}"))[:2] == (403, "PERMISSION_DENIED")


async def test_the_document_describes_them(door: Door) -> None:
    reply = await door.ask("GET", "/openapi/scalekit.json")
    if reply.status_code == 404:
        pytest.skip("this door has no OpenAPI document yet")
    described = reply.json()["paths"]
    for path in ("/api/v1/connections/app", "/api/v1/custom-providers/{identifier}", "/api/v1/events/paginated"):
        assert path in described
