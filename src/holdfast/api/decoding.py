"""Turning bytes and query strings into the structs that an operation declares, with errors that name the field."""

import re
from collections.abc import Sequence
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from holdfast.errors import Invalid, Unprocessable

_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")


class BodyDecoder:
    """A compiled decoder of one struct type."""

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def decode(self, data: bytes) -> msgspec.Struct:
        """Raises Invalid for what is not JSON, Unprocessable for what does not fit. Unknown members are ignored."""
        try:
            found: msgspec.Struct = self._decoder.decode(data or b"{}")
        except msgspec.ValidationError as error:
            raise _unfit(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Invalid("the request body is not valid JSON", code="invalid_json") from None
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
            plain = name.removesuffix("[]")
            if plain in self._lists:
                values.setdefault(plain, []).extend(part for part in value.split(",") if part)
            elif name in self._names:
                values[name] = value
        try:
            return msgspec.convert(values, self._kind, strict=False)
        except msgspec.ValidationError as error:
            raise _unfit(error) from None


def _is_list(kind: Any) -> bool:
    options = (kind, *get_args(kind))
    return any(get_origin(option) in (list, tuple, Sequence) for option in options)


def _unfit(error: msgspec.ValidationError) -> Unprocessable:
    text = str(error)
    at = _AT.search(text)
    path = at["path"] if at else ""
    missing = _MISSING.search(text)
    words = _AT.sub("", text)
    if missing:
        name = f"{path}.{missing['name']}" if path else missing["name"]
        return Unprocessable(f"{name} is required", fields=[{"field": name, "code": "required"}])
    shown = path or "the request body"
    return Unprocessable(
        f"{shown}: {words[:1].lower()}{words[1:]}", fields=[{"field": path or "body", "code": "invalid"}]
    )
