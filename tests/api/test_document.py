"""The OpenAPI document: it is valid, and nothing that the official SDK can send is missing from it."""

import inspect
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import schemathesis
from schemathesis.specs.openapi import definitions
from workos import WorkOSClient

from tests.parts.server import HoldfastProcess

METHODS = ("get", "post", "put", "patch", "delete")
GROUPS = ("pipes", "pipes_provider", "events", "webhooks", "organization_membership")
ELSEWHERE = {"verify_event", "verify_header", "list_organization_membership_groups"}
"""Two work without a server; groups are no part of connected accounts."""
SENT_AS = {"idempotency_key": {"Idempotency-Key"}, "role": {"role_slug", "role_slugs"}, "provider": {"slug"}}
"""Parameters of the SDK's methods that travel under another name."""
OURS = {
    "get_data_integration": "get_user_owned_data_integration",
    "update_data_integration": "update_user_owned_data_integration",
    "delete_data_integration": "delete_user_owned_data_integration",
    "list_data_integration_organization": "get_organization_owned_data_integration",
    "update_data_integration_organization": "update_organization_owned_data_integration",
    "delete_data_integration_organization": "delete_organization_owned_data_integration",
}
"""The SDK's methods whose operations have a clearer name here."""


@pytest.fixture(scope="module")
def document(holdfast_server: HoldfastProcess) -> dict[str, Any]:
    reply = httpx2.get(holdfast_server.base_url + "/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    found: dict[str, Any] = reply.json()
    return found


def operations(document: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    return {
        operation["operationId"]: (path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def names(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    found = {parameter["name"] for parameter in operation["parameters"]}
    if "requestBody" in operation:
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        found |= set(document["components"]["schemas"][reference.rpartition("/")[2]]["properties"])
    return found


def test_it_is_valid_openapi_31(document: dict[str, Any]) -> None:
    definitions.OPENAPI_31_VALIDATOR.validate(document)


def test_each_of_its_schemas_is_valid(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema_rs.meta.validate(schema)
    # Compiling it whole resolves every reference.
    jsonschema_rs.Draft202012Validator(
        {"components": document["components"], "anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in schemas]}
    )


def test_a_client_generator_reads_every_operation_from_it(document: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(document)
    read = [operation.ok() for operation in schema.get_all_operations()]
    assert len(read) == len(operations(document)) > 40


def test_it_describes_each_parameter_of_a_path(document: dict[str, Any]) -> None:
    for path, operation in operations(document).values():
        described = [item["name"] for item in operation["parameters"] if item["in"] == "path"]
        assert [part[1:-1] for part in path.split("/") if part.startswith("{")] == described


def test_it_describes_every_method_and_parameter_of_the_sdk(document: dict[str, Any]) -> None:
    client = WorkOSClient(api_key="sk_test", client_id="client")
    described = operations(document)
    absent: list[str] = []
    tried = 0
    for group in GROUPS:
        for name, method in inspect.getmembers(getattr(client, group), inspect.ismethod):
            if name.startswith("_") or name in ELSEWHERE:
                continue
            tried += 1
            ours = OURS.get(name, name)
            if ours not in described:
                absent.append(name)
                continue
            known = names(document, described[ours][1])
            for parameter in set(inspect.signature(method).parameters) - {"request_options"}:
                # `create_data_integration(provider=...)` sends it as it is; `get_access_token` puts it into the path.
                if parameter not in known and not SENT_AS.get(parameter, {parameter}) <= known:
                    absent.append(f"{name}({parameter})")
    assert absent == []
    assert tried > 35


def test_every_operation_says_what_it_is_for_and_which_failures_to_expect(document: dict[str, Any]) -> None:
    for name, (path, operation) in operations(document).items():
        assert operation["summary"] and operation["tags"], name
        assert {"400", "401", "422", "429", "503"} <= set(operation["responses"]), name
        assert ("413" in operation["responses"]) == ("requestBody" in operation), name
        for status, response in operation["responses"].items():
            if status >= "400":
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Fault"}, (name, path, status)


def test_it_asks_for_a_bearer_key(document: dict[str, Any]) -> None:
    assert document["security"] == [{"api_key": []}]
    assert document["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"


def test_it_shows_the_limits_of_a_page(document: dict[str, Any]) -> None:
    _, listing = operations(document)["list_data_integrations"]
    limit = next(item for item in listing["parameters"] if item["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}
