"""Enum values as REST callers write them: words, or numbers, that the wire knows.

Unknown members of a body and unknown query parameters are ignored, which is what grpc-gateway does unless told
otherwise, and lets a caller that was written for a later release be served. An unknown value of a known enum is not:
a filter that silently does not apply answers another question than the one asked. Protobuf's JSON parser ignores both
or refuses both, so the values are looked at here.
https://grpc-ecosystem.github.io/grpc-gateway/docs/operations/security_considerations/
"""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.errors import Unprocessable

_MESSAGE, _ENUM = 11, 14
"""FieldDescriptorProto.Type: https://protobuf.dev/reference/protobuf/google.protobuf/#field_descriptor_proto"""

_LONGEST_QUOTE = 40


def check_words(values: Mapping[str, Any], kind: Any) -> None:
    """Raise Unprocessable naming each enum field of `kind` (`filter.status`, `kinds[1]`) whose value it does not have.

    Looks at enums alone; whether the rest fits is the parser's to say. Null is no value, and unset.
    """
    broken = [
        {"field": at, "description": f"{str(value)[:_LONGEST_QUOTE]!r} is not a value of {name}", "code": "enum"}
        for at, value, name in _unknown(values, kind, "")
    ]
    if broken:
        first = broken[0]
        raise Unprocessable(f"{first['field']}: {first['description']}", fields=broken, code="validation_failed")


def _unknown(values: Any, kind: Any, at: str) -> Iterator[tuple[str, Any, str]]:
    if not isinstance(values, Mapping) or kind.full_name.startswith("google.protobuf."):
        return
    for name, value in values.items():
        field = kind.fields_by_name.get(name) or kind.fields_by_camelcase_name.get(name)
        if field is None or field.type not in (_MESSAGE, _ENUM):
            continue
        here = at + field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name["value"]
            for key, item in value.items() if isinstance(value, Mapping) else ():
                yield from _of_field(item, entry, f"{here}[{key[:_LONGEST_QUOTE]!r}]")
        elif field.is_repeated:
            for place, item in enumerate(value if isinstance(value, list) else ()):
                yield from _of_field(item, field, f"{here}[{place}]")
        else:
            yield from _of_field(value, field, here)


def _of_field(value: Any, field: Any, at: str) -> Iterator[tuple[str, Any, str]]:
    if field.type == _MESSAGE:
        yield from _unknown(value, field.message_type, at + ".")
    elif field.type == _ENUM and not _is_known(value, field.enum_type):
        yield at, value, field.enum_type.name


def _is_known(value: Any, enum: Any) -> bool:
    match value:
        case None:
            return True
        case bool():
            return False
        case str():
            return value in enum.values_by_name or (
                value.removeprefix("-").isdecimal() and len(value) < 12 and int(value) in enum.values_by_number
            )
        case float():
            return value.is_integer() and int(value) in enum.values_by_number
        case int():
            return value in enum.values_by_number
    return False
