"""Turning bytes and query strings into the structs that an operation declares, with errors that name the field."""

import re
from collections.abc import Sequence
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect as info

from holdfast.errors import Invalid, Unprocessable

_AT = re.compile(r" - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
_STEP = re.compile(r"\[[^\]]*\]|[^.\[\]]+")
# JSON's escape of NUL, with an even number of backslashes before it (an odd one more would make it plain text).
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class BodyDecoder:
    """A compiled decoder of one struct type."""

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def decode(self, data: bytes) -> msgspec.Struct:
        """Raises Invalid for what is not JSON, Unprocessable for what does not fit. Unknown members are ignored."""
        try:
            found: msgspec.Struct = self._decoder.decode(data or b"{}")
        except msgspec.ValidationError as error:
            raise _unfit(error, self._kind) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Invalid("the request body is not valid JSON", code="invalid_json") from None
        except RecursionError:
            raise Invalid("the request body is nested too deeply", code="invalid_json") from None
        # PostgreSQL text cannot hold NUL: refused here, it is the caller's mistake and not our fault.
        # https://www.postgresql.org/docs/current/datatype-character.html
        if b"\\u0000" in data and _NUL.search(data):
            raise Invalid("the request body holds a NUL character", code="invalid_json")
        return found


class QueryDecoder:
    """Reads a query string: `true`/`false`, numbers, and lists both repeated and comma-joined."""

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        self._kind = kind
        self._lists = frozenset(item.encode_name for item in msgspec.structs.fields(kind) if _is_list(item.type))
        self._names = frozenset(item.encode_name for item in msgspec.structs.fields(kind))

    def decode(self, query: bytes) -> msgspec.Struct:
        if not query and not self._names:
            return self._kind()
        values: dict[str, Any] = {}
        try:
            pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError:
            raise Invalid("the query string cannot be read", code="invalid_query") from None
        for name, value in pairs:
            if "\0" in value:
                raise Invalid("the query string holds a NUL character", code="invalid_query")
            plain = name.removesuffix("[]")
            if plain in self._lists:
                values.setdefault(plain, []).extend(part for part in value.split(",") if part)
            elif name in self._names:
                values[name] = value
        try:
            return msgspec.convert(values, self._kind, strict=False)
        except msgspec.ValidationError as error:
            raise _unfit(error, self._kind) from None


def _is_list(kind: Any) -> bool:
    options = (kind, *get_args(kind))
    return any(get_origin(option) in (list, tuple, Sequence) for option in options)


def _unfit(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> Unprocessable:
    text = str(error)
    at = _AT.search(text)
    path = at["path"] if at else ""
    missing = _MISSING.search(text)
    words = _AT.sub("", text)
    if missing:
        name = f"{path}.{missing['name']}" if path else missing["name"]
        return Unprocessable(f"{name} is required", fields=[{"field": name, "code": "required"}])
    choices = _choices(kind, path) if text.startswith("Invalid enum value") else []
    if choices:
        return Unprocessable(
            f"{path}: must be one of {', '.join(choices)}", fields=[{"field": path, "code": "invalid"}]
        )
    shown = f"a key of {path}" if " - at `key` in " in text else path or "the request body"
    return Unprocessable(
        f"{shown}: {words[:1].lower()}{words[1:]}", fields=[{"field": path or "body", "code": "invalid"}]
    )


def _choices(kind: type[msgspec.Struct], path: str) -> list[str]:
    """Return the values that the member at `path` (`credentials.type`, `statuses[0]`) may have by its type."""
    found = _options(info.type_info(kind))
    for step in _STEP.findall(path):
        found = [
            option
            for outer in found
            if isinstance(outer, info.StructType | info.ListType)
            for inner in _inner(outer, step)
            for option in _options(inner)
        ]
    return [str(value) for item in found if isinstance(item, info.LiteralType) for value in item.values]


def _options(kind: info.Type) -> list[info.Type]:
    return list(kind.types) if isinstance(kind, info.UnionType) else [kind]


def _inner(outer: info.StructType | info.ListType, step: str) -> list[info.Type]:
    if isinstance(outer, info.ListType):
        return [outer.item_type]
    return [field.type for field in outer.fields if field.encode_name == step]
