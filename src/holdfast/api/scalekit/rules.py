"""Whether a request keeps the rules that stand beside its fields in the .proto files."""

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from holdfast.api.scalekit.descriptors import WIRE, Message
from holdfast.errors import Unprocessable

_TEXT, _MESSAGE, _ENUM = 9, 11, 14
"""FieldDescriptorProto.Type: https://protobuf.dev/reference/protobuf/google.protobuf/#field_descriptor_proto"""

Broken = Mapping[str, str]


def check(request: Message) -> None:
    """Raise Unprocessable with every rule that is broken, named by field (`filter.query`, `names[2]`)."""
    broken = list(_broken(request, ""))
    if broken:
        first = broken[0]
        raise Unprocessable(f"{first['field']}: {first['description']}", fields=broken, code="validation_failed")


def _broken(message: Message, at: str) -> Iterator[Broken]:
    kind = message.DESCRIPTOR
    if kind.full_name.startswith("google.protobuf."):
        found = list(_texts(message))
        if any("\0" in text for text in found):
            yield _bad(at.rstrip("."), "holds a NUL character", "pattern")
        if _ENDLESS in found:
            yield _bad(at.rstrip("."), "holds a number that JSON has no words for", "finite")
        return
    rules = WIRE.message_rules.get(kind.full_name)
    if rules is not None:
        yield from _choices(message, rules, at)
    for name in WIRE.required_oneofs.get(kind.full_name, ()):
        if message.WhichOneof(name) is None:
            yield _bad(at + name, "one of its members is required", "required")
    for field in kind.fields:
        yield from _field(message, field, WIRE.field_rules.get(f"{kind.full_name}.{field.name}"), at + field.name)


_ENDLESS = "\ufdd0"
"""Stands for NaN and the infinities among the texts: a noncharacter, which no text of anybody's holds."""


def _texts(message: Message) -> Iterator[str]:
    """Return every text in a Struct, ListValue or Value."""
    match message.DESCRIPTOR.name:
        case "Struct":
            for key in message.fields:
                yield key
                yield from _texts(message.fields[key])
        case "ListValue":
            for item in message.values:
                yield from _texts(item)
        case "Value":
            held = message.WhichOneof("kind")
            if held == "string_value":
                yield message.string_value
            elif held == "number_value" and not math.isfinite(message.number_value):
                yield _ENDLESS
            elif held in ("struct_value", "list_value"):
                yield from _texts(getattr(message, held))


def _choices(message: Message, rules: Any, at: str) -> Iterator[Broken]:
    for names, least in ((rules.at_most_one, 0), (rules.exactly_one, 1)):
        given = [name for name in names if _is_set(message, message.DESCRIPTOR.fields_by_name[name])]
        if names and not least <= len(given) <= 1:
            words = "exactly one" if least else "at most one"
            yield _bad(at + names[0], f"give {words} of {', '.join(names)}", "one_of")


def _is_set(message: Message, field: Any) -> bool:
    if field.has_presence:
        return bool(message.HasField(field.name))
    return bool(getattr(message, field.name))


def _field(message: Message, field: Any, rules: Any, at: str) -> Iterator[Broken]:
    given = _is_set(message, field)
    if rules is not None and rules.required and not given:
        yield _bad(at, "is required", "required")
        return
    if field.has_presence and not given:
        return
    value = getattr(message, field.name)
    if not field.is_repeated:
        yield from _value(value, field, rules, at)
        return
    if rules is not None:
        if rules.HasField("min_items") and len(value) < rules.min_items:
            yield _bad(at, f"takes {rules.min_items} at least", "min_items")
        if rules.HasField("max_items") and len(value) > rules.max_items:
            yield _bad(at, f"takes {rules.max_items} at most", "max_items")
            return
    items = rules.items if rules is not None and rules.HasField("items") else None
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        keys = rules.keys if rules is not None and rules.HasField("keys") else None
        entry = field.message_type.fields_by_name
        for key in value:
            yield from _value(key, entry["key"], keys, f"{at} (a key)")
            yield from _value(value[key], entry["value"], items, f"{at}[{key[:40]!r}]")
    else:
        for place, item in enumerate(value):
            yield from _value(item, field, items, f"{at}[{place}]")


def _value(value: Any, field: Any, rules: Any, at: str) -> Iterator[Broken]:
    if field.type == _MESSAGE and field.message_type.full_name != "google.protobuf.Duration":
        yield from _broken(value, at + ".")
    elif field.type == _TEXT:
        if "\0" in value:  # PostgreSQL text cannot hold it
            yield _bad(at, "holds a NUL character", "pattern")
        elif rules is not None:
            yield from _text(value, rules, at)
    elif rules is not None:
        yield from _number(value, field, rules, at)


def _text(value: str, rules: Any, at: str) -> Iterator[Broken]:
    if rules.HasField("min_len") and len(value) < rules.min_len:
        yield _bad(at, f"takes {rules.min_len} characters at least", "min_len")
    elif rules.HasField("max_len") and len(value) > rules.max_len:
        yield _bad(at, f"takes {rules.max_len} characters at most", "max_len")
    elif rules.HasField("prefix") and not value.startswith(rules.prefix):
        yield _bad(at, f"begins with {rules.prefix}", "prefix")
    elif rules.HasField("pattern") and not _matches(rules.pattern, value):
        yield _bad(at, f"does not match {rules.pattern}", "pattern")
    elif rules.one_of and value not in rules.one_of:
        yield _bad(at, f"is one of {', '.join(repr(item) for item in rules.one_of)}", "in")


def _number(value: Any, field: Any, rules: Any, at: str) -> Iterator[Broken]:
    if rules.HasField("lte") and value > rules.lte:
        yield _bad(at, f"is {rules.lte} at most", "lte")
    if rules.HasField("gte") and value < rules.gte:
        yield _bad(at, f"is {rules.gte} at least", "gte")
    if rules.HasField("max_seconds") and value.seconds + value.nanos / 1e9 > rules.max_seconds:
        yield _bad(at, f"is {rules.max_seconds} seconds at most", "lte")
    if rules.HasField("min_seconds") and value.seconds < rules.min_seconds:
        yield _bad(at, f"is {rules.min_seconds} seconds at least", "gte")
    if rules.defined_only and field.type == _ENUM and value not in field.enum_type.values_by_number:
        yield _bad(at, "is not a value of its enum", "defined_only")


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    # RE2's `$` is the end of the text; Python's would let a line break follow.
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", text))


def _matches(pattern: str, value: str) -> bool:
    return _pattern(pattern).search(value) is not None


def _bad(at: str, description: str, constraint: str) -> Broken:
    return {"field": at, "description": description, "code": constraint}
