"""Reading the body of a token reply: JSON, form encoding or XML, whatever its Content-Type claims."""

import json
import re
from typing import Literal, NoReturn
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from holdfast.http import Reply

_FORM = re.compile(r"[\w.%\[\]-]+=[^\s<]*")
_MOST_FIELDS = 200
"""More members than any token reply has; parsing stops there."""


def read_document(reply: Reply, default: Literal["json", "form", "xml"]) -> object | None:
    """Return the body as plain containers, or None if there is nothing to read in it (an error page, an empty
    body).

    The body's first character is trusted before its Content-Type: token endpoints answer JSON as text/html,
    and form encoding as text/plain. `default` decides where neither tells.
    """
    text = reply.body.decode("utf-8-sig", "replace").strip()
    kind = reply.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if not text:
        return None
    if text[0] in "{[":
        return _json(text)
    if text[0] == "<":
        return _xml(text) if default == "xml" or kind.endswith("xml") else None
    if default == "form" or kind.endswith("x-www-form-urlencoded") or _FORM.fullmatch(text):
        return _form(text)
    return None


def _json(text: str) -> object | None:
    try:
        document: object = _decoder.decode(text)
    except (ValueError, RecursionError):
        return None
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)  # `loads` would make one for each reply


def _form(text: str) -> dict[str, str] | None:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        return None


def _xml(text: str) -> object | None:
    # Without a document type there are no entities to expand, and so no bomb:
    # https://docs.python.org/3/library/xml.html#xml-security
    if "<!" in text:
        return None
    try:
        return _element(ElementTree.fromstring(text))  # noqa: S314
    except (ElementTree.ParseError, RecursionError, ValueError):
        return None


def _element(element: ElementTree.Element) -> object:
    members: dict[str, object] = {}
    for child in element:
        members.setdefault(child.tag.rpartition("}")[2], _element(child))
    return members or (element.text or "").strip()


def as_text(value: object) -> str | None:
    """Return a scalar as text (`true` for True), a list of scalars comma-joined, a mapping as JSON; None for
    nothing."""
    match value:
        case None | "":
            return None
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list() if all(isinstance(item, str | int | float) for item in value):
            return ",".join(as_text(item) or "" for item in value) or None
        case list() | dict():
            return json.dumps(value)
    return None


def as_number(value: object) -> float | None:
    """Return a number, or the number a string spells; None for anything else, booleans and infinities among
    it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None
