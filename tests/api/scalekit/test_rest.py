"""The same RPCs as REST, at the paths of their http rules."""

import json
import re
from collections.abc import Iterator

import httpx2
import pytest

from tests.parts.server import HoldfastProcess


@pytest.fixture(scope="module")
def web(holdfast_server: HoldfastProcess) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {holdfast_server.api_key}"}
    with httpx2.Client(base_url=holdfast_server.base_url, headers=headers, timeout=20, trust_env=False) as client:
        yield client


def test_a_body_rule_takes_one_field_and_the_path_another(web: httpx2.Client) -> None:
    made = web.post("/api/v1/organizations", json={"display_name": "Acme", "external_id": "rest/1"}).json()
    organization = made["organization"]
    assert organization["region_code"] == "REGION_CODE_UNSPECIFIED" and organization["create_time"].endswith("Z")
    found = web.get(f"/api/v1/organizations/{organization['id']}").json()
    assert found == made
    assert web.get("/api/v1/organizations:external/rest%2F1").json() == made
    listed = web.get("/api/v1/organizations", params={"page_size": 1}).json()
    assert listed["organizations"] == [organization] and "display_name" in listed["organizations"][0]
    assert web.delete(f"/api/v1/organizations/{organization['id']}").json() == {}


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "word"),
    [
        ("GET", "/api/v1/connected_accounts/auth?connector=nowhere&identifier=ada", 404, 5, "RESOURCE_NOT_FOUND"),
        ("GET", "/api/v1/connected_accounts/auth?connector=a%2Fb&identifier=ada", 400, 3, "INVALID_ARGUMENT"),
        ("GET", "/api/v1/connected_accounts/auth", 400, 3, "INVALID_ARGUMENT"),
        ("GET", "/api/v1/organizations?page_size=many", 400, 3, "INVALID_ARGUMENT"),
        ("GET", "/api/v1/organizations?page_token=made-up", 400, 3, "INVALID_ARGUMENT"),
        ("GET", "/api/v1/tools?filter.provider=X&filter.tool_name=a&filter.tool_name=b", 501, 12, "UNIMPLEMENTED"),
        ("GET", "/api/v1/nothing", 404, 5, "RESOURCE_NOT_FOUND"),
        ("PATCH", "/api/v1/connected_accounts", 405, 12, "UNIMPLEMENTED"),
    ],
)
def test_errors_have_grpc_gateways_body(
    web: httpx2.Client, method: str, path: str, status: int, code: int, word: str
) -> None:
    reply = web.request(method, path)
    body = reply.json()
    assert (reply.status_code, body["code"], body["details"][0]["error_code"]) == (status, code, word)
    assert body["details"][0]["@type"] == "type.googleapis.com/scalekit.v1.errdetails.ErrorInfo"


@pytest.mark.parametrize("body", ["[]", "{", '{"organization": 5', "[" * 5000])
def test_a_body_that_is_no_request_is_refused(web: httpx2.Client, body: str) -> None:
    reply = web.post("/api/v1/connected_accounts", content=body)
    assert (reply.status_code, reply.json()["code"]) == (400, 3)


@pytest.mark.parametrize(
    ("method", "path", "body", "fields"),
    [
        ("GET", "/api/v1/providers?filter.provider_type=CUSTOMISED", None, ["filter.provider_type"]),
        ("GET", "/api/v1/providers?filter.provider_type=custom", None, ["filter.provider_type"]),
        ("GET", "/api/v1/providers?filter.provider_type=99", None, ["filter.provider_type"]),
        ("GET", "/api/v1/providers?filter.provider_type=--1", None, ["filter.provider_type"]),
        ("POST", "/api/v1/events/paginated", {"source": "ELSEWHERE"}, ["filter.source"]),
        ("POST", "/api/v1/events/paginated", {"source": 77}, ["filter.source"]),
        ("POST", "/api/v1/events/paginated", {"source": 1.5}, ["filter.source"]),
        ("POST", "/api/v1/organizations", {"display_name": "A", "regionCode": "MARS"}, ["organization.region_code"]),
        (
            "POST",
            "/api/v1/connections",
            {"provider_key": "GITHUB", "type": "OAUTH9", "auth_mode": "EVERYBODY"},
            ["connection.type", "connection.auth_mode"],
        ),
        (
            "PATCH",
            "/api/v1/connections/conn_x",
            {"oidc_config": {"scopes": ["openid", "most"]}},
            ["connection.oidc_config.scopes[1]"],
        ),
    ],
)
def test_an_enum_value_that_the_wire_does_not_have_is_named(
    web: httpx2.Client, method: str, path: str, body: object, fields: list[str]
) -> None:
    reply = web.request(method, path, **({} if body is None else {"json": body}))
    assert reply.status_code == 400, reply.text
    info = reply.json()["details"][0]
    violations = info["validation_error_info"]["field_violations"]
    assert info["error_code"] == "INVALID_ARGUMENT"
    assert [one["field"] for one in violations] == fields


def test_enum_values_are_words_or_numbers_and_unknown_members_are_ignored(web: httpx2.Client) -> None:
    for value in ("CUSTOM", "1"):
        reply = web.get(f"/api/v1/providers?filter.provider_type={value}&page=2&filter.colour=red")
        assert reply.status_code == 200, reply.text
        assert reply.json()["providers"] == []
    made = web.post("/api/v1/organizations", json={"display_name": "Enums", "region_code": 1, "colour": {"is": "red"}})
    assert made.json()["organization"]["display_name"] == "Enums"
    unset = web.post("/api/v1/organizations", json={"display_name": "Unset", "region_code": None})
    assert unset.status_code == 200, unset.text


def test_a_body_that_is_too_large_is_413(web: httpx2.Client) -> None:
    reply = web.post("/api/v1/connected_accounts", content=b" " * 1_100_000)
    assert (reply.status_code, reply.json()["code"]) == (413, 8)


def test_without_a_token_nothing_is_read(holdfast_server: HoldfastProcess) -> None:
    reply = httpx2.post(f"{holdfast_server.base_url}/api/v1/organizations", content="{", trust_env=False)
    assert (reply.status_code, reply.json()["code"]) == (401, 16)


def test_grpc_needs_http_2(web: httpx2.Client) -> None:
    path = "/scalekit.v1.organizations.OrganizationService/ListOrganization"
    assert web.post(path, content=b"\0\0\0\0\0", headers={"content-type": "application/grpc"}).status_code == 404


def test_the_document_describes_what_is_served(web: httpx2.Client) -> None:
    document = web.get("/openapi/scalekit.json").json()
    read = document["paths"]["/api/v1/connected_accounts/auth"]["get"]
    assert read["x-permission"] == "connected_accounts:access"
    connector = next(item for item in read["parameters"] if item["name"] == "connector")
    assert connector["schema"]["maxLength"] == 400 and connector["in"] == "query"
    create = document["paths"]["/api/v1/organizations"]["post"]["requestBody"]["content"]["application/json"]
    schema = document["components"]["schemas"][create["schema"]["$ref"].rpartition("/")[2]]
    assert schema["properties"]["display_name"] == {"type": "string", "minLength": 1, "maxLength": 200}
    assert "/api/v1/execute_tool" not in document["paths"]
    refs = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert refs <= document["components"]["schemas"].keys()
