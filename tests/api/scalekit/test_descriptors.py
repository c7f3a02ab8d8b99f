"""Our .proto files against the descriptors in the vendor's SDK: a name, number, type or path that drifts shows here."""

import importlib
from typing import Any

import pytest
from buf.validate import validate_pb2
from google.api import annotations_pb2
from google.protobuf import descriptor_pool

from holdfast.api.scalekit.descriptors import WIRE

for _module in (
    "connected_accounts",
    "connections",
    "providers",
    "events",
    "organizations",
    "tools",
    "mcp",
    "errdetails",
):
    importlib.import_module(f"scalekit.v1.{_module}.{_module}_pb2")
for _module in ("agentkit_logs", "agentkit_analytics"):
    importlib.import_module(f"scalekit.v1.agentkit_logs.{_module}_pb2")
THEIRS = descriptor_pool.Default()
MESSAGE_RULES = validate_pb2.message


def _all(descriptor: Any, seen: dict[str, Any]) -> dict[str, Any]:
    if descriptor.full_name not in seen and descriptor.full_name.startswith("scalekit."):
        seen[descriptor.full_name] = descriptor
        for field in descriptor.fields:
            if field.message_type is not None:
                _all(field.message_type, seen)
    return seen


OURS: dict[str, Any] = {}
for _method in WIRE.methods.values():
    _all(_method.request.DESCRIPTOR, OURS)
    _all(_method.reply.DESCRIPTOR, OURS)
_all(WIRE.kind("errdetails.ErrorInfo").DESCRIPTOR, OURS)


def _shape(descriptor: Any) -> list[tuple[object, ...]]:
    return sorted(
        (
            field.number,
            field.name,
            field.type,
            field.is_repeated,
            field.has_presence,
            field.json_name,
            field.message_type.full_name if field.message_type is not None else "",
            field.enum_type.full_name if field.enum_type is not None else "",
            field.containing_oneof.name if field.containing_oneof is not None else "",
        )
        for field in descriptor.fields
    )


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_message_is_the_vendors(name: str) -> None:
    assert _shape(OURS[name]) == _shape(THEIRS.FindMessageTypeByName(name))


RELAXED = {"scalekit.v1.providers.UpdateCustomProvider.auth_patterns"}
"""The vendor calls it required, and its own Python SDK leaves it out."""


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_rules_of_a_messages_texts_are_the_vendors(name: str) -> None:
    for field in THEIRS.FindMessageTypeByName(name).fields:
        theirs = field.GetOptions().Extensions[validate_pb2.field]
        ours = WIRE.field_rules.get(f"{name}.{field.name}") or WIRE.kind("holdfast.Rules")()
        if field.full_name not in RELAXED:
            assert ours.required == theirs.required, field.full_name
        for rule in ("min_len", "max_len", "pattern", "prefix"):
            given = getattr(theirs.string, rule) if theirs.string.HasField(rule) else None
            assert (getattr(ours, rule) if ours.HasField(rule) else None) == given, (field.full_name, rule)
        assert list(ours.one_of) == list(getattr(theirs.string, "in")), field.full_name


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_rules_of_a_messages_numbers_lists_and_maps_are_the_vendors(name: str) -> None:
    """Every rule of theirs that is there is looked at: one of a kind that has no equal here fails."""
    for field in THEIRS.FindMessageTypeByName(name).fields:
        theirs = field.GetOptions().Extensions[validate_pb2.field]
        kind = theirs.WhichOneof("type")
        if kind in (None, "string"):
            continue
        ours = WIRE.field_rules.get(f"{name}.{field.name}")
        assert ours is not None, field.full_name
        for rule, value in getattr(theirs, kind).ListFields():
            match kind, rule.name:
                case "uint32", "lt":  # of whole numbers
                    assert ours.lte == value - 1, field.full_name
                case ("uint32", "lte" | "gte") | ("repeated", "min_items" | "max_items") | ("enum", "defined_only"):
                    assert getattr(ours, rule.name) == value, (field.full_name, rule.name)
                case "duration", "lte" | "gte":
                    bound = ours.max_seconds if rule.name == "lte" else ours.min_seconds
                    assert bound == value.seconds, (field.full_name, rule.name)
                case "map", "max_pairs":
                    assert ours.max_items == value, field.full_name
                case ("repeated", "items") | ("map", "keys" | "values"):
                    held = ours.keys if rule.name == "keys" else ours.items
                    assert _texts(held) == _texts(value.string), (field.full_name, rule.name)
                case other:
                    pytest.fail(f"{field.full_name}: there is no rule for {other}")


def _texts(rules: Any) -> dict[str, Any]:
    """Return what rules say of a text, ours or theirs, in their words."""
    said = {field.name.replace("one_of", "in"): value for field, value in rules.ListFields()}
    return {name: list(value) if name == "in" else value for name, value in said.items()}


MUTUAL = {
    "scalekit.v1.connected_accounts.ListConnectedAccountsRequest": ("at_most_one", {"connector", "connection_names"}),
    "scalekit.v1.mcp.CreateMcpSessionTokenRequest": ("exactly_one", {"mcp_config_id", "key_id"}),
}
IN_THE_HANDLER = {"scalekit.v1.connections.CreateConnection", "scalekit.v1.connections.UpdateConnection"}
"""A provider has to be named, which is looked at there, and not for an update: the Python SDK's own leaves it out."""


def test_rules_between_fields_are_the_vendors() -> None:
    found = {name for name in OURS if THEIRS.FindMessageTypeByName(name).GetOptions().HasExtension(MESSAGE_RULES)}
    assert found == MUTUAL.keys() | IN_THE_HANDLER
    for name, (rule, fields) in MUTUAL.items():
        assert set(getattr(WIRE.message_rules[name], rule)) == fields
    for name in OURS:
        oneofs = THEIRS.FindMessageTypeByName(name).oneofs
        wanted = {one.name for one in oneofs if one.GetOptions().Extensions[validate_pb2.oneof].required}
        assert set(WIRE.required_oneofs.get(name, ())) == wanted, name


def test_enums_are_the_vendors() -> None:
    enums = {
        field.enum_type.full_name: field.enum_type for kind in OURS.values() for field in kind.fields if field.enum_type
    }
    assert len(enums) > 10
    for name, enum in enums.items():
        theirs = THEIRS.FindEnumTypeByName(name)
        assert [(v.name, v.number) for v in enum.values] == [(v.name, v.number) for v in theirs.values], name


@pytest.mark.parametrize("method", WIRE.methods.values(), ids=lambda method: method.name)
def test_a_method_is_the_vendors(method: Any) -> None:
    service, _, name = method.path.removeprefix("/").partition("/")
    theirs = THEIRS.FindServiceByName(service).methods_by_name[name]
    assert method.request.DESCRIPTOR.full_name == theirs.input_type.full_name
    assert method.reply.DESCRIPTOR.full_name == theirs.output_type.full_name
    rule = theirs.GetOptions().Extensions[annotations_pb2.http]
    rules = [rule, *rule.additional_bindings] if rule.WhichOneof("pattern") else []
    expected = [(one.WhichOneof("pattern").upper(), getattr(one, one.WhichOneof("pattern")), one.body) for one in rules]
    assert [(binding.verb, binding.template, binding.body) for binding in method.bindings] == expected


@pytest.mark.parametrize(
    "service",
    [
        "connected_accounts.ConnectedAccountService",
        "providers.ProviderService",
        "events.EventsService",
        "agentkit_logs.AgentkitLogsService",
        "agentkit_logs.AgentkitAnalyticsService",
        "tools.ToolService",
        "mcp.McpService",
    ],
)
def test_no_method_of_a_service_is_left_out(service: str) -> None:
    ours = {path.rpartition("/")[2] for path in WIRE.methods if path.startswith(f"/scalekit.v1.{service}/")}
    assert ours == set(THEIRS.FindServiceByName(f"scalekit.v1.{service}").methods_by_name)
