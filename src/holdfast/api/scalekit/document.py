"""The OpenAPI 3.1 document of the REST side, written from the descriptors and the rules beside them."""

import re
from collections.abc import Iterable
from typing import Any

from holdfast import __version__
from holdfast.api.scalekit.descriptors import WIRE, Binding
from holdfast.api.scalekit.rpc import Rpc

_SCHEMA = "#/components/schemas/{}"
_SCALARS: dict[int, dict[str, Any]] = {
    1: {"type": "number"},
    2: {"type": "number"},
    3: {"type": "string", "format": "int64"},
    4: {"type": "string", "format": "uint64"},
    5: {"type": "integer", "format": "int32"},
    8: {"type": "boolean"},
    9: {"type": "string"},
    12: {"type": "string", "contentEncoding": "base64"},
    13: {"type": "integer", "minimum": 0},
}
"""By FieldDescriptorProto.Type; 64-bit numbers are strings in JSON: https://protobuf.dev/programming-guides/json/"""
_KNOWN: dict[str, dict[str, Any]] = {
    "Timestamp": {"type": "string", "format": "date-time"},
    "Duration": {"type": "string", "examples": ["3600s"]},
    "FieldMask": {"type": "string"},
    "Struct": {"type": "object"},
    "ListValue": {"type": "array", "items": {}},
    "Value": {},
    "Empty": {"type": "object"},
    "Any": {"type": "object"},
    "BoolValue": {"type": ["boolean", "null"]},
    "StringValue": {"type": ["string", "null"]},
    "Int32Value": {"type": ["integer", "null"]},
    "UInt32Value": {"type": ["integer", "null"]},
}
_DEEPEST_QUERY = 2


def openapi(title: str, rpcs: Iterable[Rpc]) -> dict[str, Any]:
    """Return the document: every REST address of every RPC that is served."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    error = _message(WIRE.kind("errdetails.ErrorInfo").DESCRIPTOR, schemas)
    for rpc in rpcs:
        if rpc.handler is None:
            continue
        for place, binding in enumerate(rpc.method.bindings):
            described = _operation(rpc, binding, schemas)
            if place:
                described["operationId"] += f"_{place + 1}"
            paths.setdefault(binding.template, {})[binding.verb.lower()] = described
    schemas["Error"] = {
        "type": "object",
        "required": ["code", "message", "details"],
        "properties": {
            "code": {"type": "integer", "description": "The gRPC status."},
            "message": {"type": "string"},
            "details": {"type": "array", "items": error},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(rpc: Rpc, binding: Binding, schemas: dict[str, Any]) -> dict[str, Any]:
    kind, method = rpc.method.request.DESCRIPTOR, rpc.method
    named = set(re.findall(r"\{(\w+)\}", binding.template))
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _rules(kind.fields_by_name[name], {"type": "string"})}
        for name in sorted(named)
    ]
    if binding.body != "*":
        parameters += _query(kind, named | {binding.body}, "", _DEEPEST_QUERY, schemas)
    service, _, name = method.name.partition(".")
    described: dict[str, Any] = {
        "operationId": method.name.replace(".", "_"),
        "summary": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name),
        "tags": [service],
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done", "content": _json(_message(method.reply.DESCRIPTOR, schemas))},
            "default": {"description": "Refused", "content": _json({"$ref": _SCHEMA.format("Error")})},
        },
    }
    if method.permission:
        described["x-permission"] = method.permission
    if binding.body:
        body = kind if binding.body == "*" else kind.fields_by_name[binding.body].message_type
        described["requestBody"] = {"required": True, "content": _json(_message(body, schemas))}
    return described


def _query(kind: Any, without: set[str], before: str, depth: int, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for field in kind.fields:
        inner = field.message_type
        if field.name in without or (inner is not None and (depth == 0 or field.is_repeated)):
            continue
        if inner is not None and not inner.full_name.startswith("google.protobuf."):
            found += _query(inner, set(), f"{before}{field.name}.", depth - 1, schemas)
        elif inner is None or inner.name in ("Timestamp", "Duration", "BoolValue", "StringValue", "FieldMask"):
            found.append({"name": before + field.name, "in": "query", "schema": _field(field, schemas)})
    return found


def _message(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if kind.full_name.startswith("google.protobuf."):
        return _KNOWN.get(kind.name, {"type": "object"})
    name = kind.full_name.removeprefix("scalekit.v1.")
    if name not in schemas:
        schemas[name] = described = {"type": "object", "properties": {}}
        described["properties"] = {field.name: _field(field, schemas) for field in kind.fields}
        required = [field.name for field in kind.fields if _is_required(field)]
        if required:
            described["required"] = required
    return {"$ref": _SCHEMA.format(name)}


def _is_required(field: Any) -> bool:
    rules = WIRE.field_rules.get(field.full_name)
    return rules is not None and rules.required and not rules.output_only


def _field(field: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        return _rules(field, {"type": "object", "additionalProperties": _field(value, schemas)})
    if field.message_type is not None:
        one = _message(field.message_type, schemas)
    elif field.enum_type is not None:
        one = {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    else:
        one = dict(_SCALARS[field.type])
    return _rules(field, {"type": "array", "items": one} if field.is_repeated else one)


def _rules(field: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with what the field's rules say, as far as JSON Schema has words for it."""
    rules = WIRE.field_rules.get(field.full_name)
    if rules is None:
        return schema
    words = {
        "min_len": "minLength",
        "max_len": "maxLength",
        "pattern": "pattern",
        "lte": "maximum",
        "gte": "minimum",
        "min_items": "minItems",
        "max_items": "maxItems",
    }
    more: dict[str, Any] = {word: getattr(rules, name) for name, word in words.items() if rules.HasField(name)}
    if "type" in schema and schema["type"] == "object":
        more = {word.replace("Items", "Properties"): value for word, value in more.items()}
    if rules.HasField("prefix") and "pattern" not in more:
        more["pattern"] = "^" + re.escape(rules.prefix)
    if rules.one_of:
        more["enum"] = list(rules.one_of)
    if rules.output_only:
        more["readOnly"] = True
    if rules.input_only:
        more["writeOnly"] = True
    return {**schema, **more}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
