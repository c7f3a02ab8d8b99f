"""The OpenAPI 3.1 document, written from the operations themselves."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from holdfast import __version__
from holdfast.api.operations import LONGEST_ID, Nothing, Operation

_REF = "#/components/schemas/{name}"
_REASONS = {
    400: "The request breaks a rule",
    401: "The API key is missing, unknown or revoked",
    403: "Not allowed",
    404: "No such thing in this environment",
    409: "It exists already, or several match",
    413: "The request body is too large",
    422: "The request does not fit",
    429: "Too many requests; see Retry-After",
    503: "A part this depends on is away; see Retry-After",
}


def openapi(title: str, operations: Iterable[Operation], error: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the document. Every operation answers 401, 413 (with a body), 429 and 503 beside its own errors."""
    operations = list(operations)
    kinds = {kind for op in operations for kind in (op.body, op.reply) if kind is not None} | {error}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, error)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"api_key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"api_key": {"type": "http", "scheme": "bearer", "bearerFormat": "sk_..."}},
        },
    }


def _operation(operation: Operation, error: type[msgspec.Struct]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag] if operation.tag else [],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation.query)],
        "responses": _responses(operation, error),
    }
    if operation.idempotent_key:
        described["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "maxLength": 255},
            }
        )
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _json(operation.body)}
    return described


def _responses(operation: Operation, error: type[msgspec.Struct]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done"}
    if operation.reply is not None:
        success["content"] = _json(operation.reply)
    responses: dict[str, Any] = {str(operation.status if operation.reply else 204): success}
    statuses = {*operation.errors, 400, 401, 422, 429, 503, *((413,) if operation.body else ())}
    for status in sorted(statuses):
        responses[str(status)] = {"description": _REASONS[status], "content": _json(error)}
    return responses


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", operation.path)
    schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _query_parameters(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    if kind is Nothing:
        return []
    _, components = msgspec.json.schema_components([kind], ref_template=_REF)
    schema = components[kind.__name__]
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": described,
            **({"style": "form", "explode": False} if described.get("type") == "array" else {}),
        }
        for name, described in schema["properties"].items()
    ]


def _json(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
