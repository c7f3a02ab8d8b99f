"""The same RPCs as REST: paths and bodies as `google.api.http` says, JSON and error bodies as grpc-gateway has them.

Names are snake_case, enums are strings, a query may name nested fields (`filter.provider_type=CUSTOM`) and repeat them.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from google.protobuf import json_format
from starlette.types import Receive, Scope, Send

from holdfast import ids, telemetry
from holdfast.api.bearers import bearers_of
from holdfast.api.dispatch import JSON_HEADERS, retry_after
from holdfast.api.intake import BodyTooLarge, MethodNotAllowed, log_unexpected, named, read_body
from holdfast.api.scalekit.calls import Caller
from holdfast.api.scalekit.descriptors import WIRE, Binding, Message
from holdfast.api.scalekit.enum_words import check_words
from holdfast.api.scalekit.faults import HTTP_STATUS, Code, Fault, render
from holdfast.api.scalekit.rpc import Rpc
from holdfast.errors import Invalid, NotFound, Unauthenticated

_PARAMETER = re.compile(r"\{(\w+)\}")
_BOOL, _MESSAGE = 8, 11
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Route:
    rpc: Rpc
    binding: Binding
    pattern: re.Pattern[str]
    names: tuple[str, ...]


class Rest:
    def __init__(self, rpcs: Iterable[Rpc], caller: Caller, *, max_bytes: int) -> None:
        routes = [_route(rpc, binding) for rpc in rpcs for binding in rpc.method.bindings]
        # Literal before parameter: `auth` is no account's id. A verb (`{id}:disconnect`) before none.
        self._routes = sorted(routes, key=lambda route: (len(route.names), -len(route.binding.template)))
        self._caller, self._max_bytes = caller, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = "req_" + ids.new_id()
        try:
            reply = await self._answer(scope, receive, request_id)
        except Exception as raised:
            error = named(raised, request_id)
            fault = render(error, request_id)
            if fault.code is Code.INTERNAL:
                log_unexpected(error, request_id)
            await _refuse(send, fault, error, request_id)
            return
        await _send(send, 200, _json(reply), request_id, {})

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> Message:
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").split("?")[0]
        matched = [(route, found) for route in self._routes if (found := route.pattern.fullmatch(path)) is not None]
        usable = next(((route, found) for route, found in matched if route.binding.verb == scope["method"]), None)
        if usable is None:
            if not matched:
                raise NotFound("there is nothing at this address")
            raise MethodNotAllowed(scope["method"], tuple(sorted({route.binding.verb for route, _ in matched})))
        route, found = usable
        scope[telemetry.ROUTE] = route.binding.template
        headers = dict(reversed(scope["headers"]))
        bearers = bearers_of(scope["headers"])
        if not bearers:  # before the body is read
            raise Unauthenticated("no access token: sign in at /oauth/token, or send an API key as the bearer")
        raw = await read_body(headers, receive, self._max_bytes) if route.binding.body else b""
        given = {name: unquote(found[place + 1]) for place, name in enumerate(route.names)}
        return await self._caller.answer(
            route.rpc, bearers, lambda: _request(route, given, scope["query_string"], raw), request_id
        )


def _route(rpc: Rpc, binding: Binding) -> Route:
    pattern, at = "", 0
    for found in _PARAMETER.finditer(binding.template):
        pattern += re.escape(binding.template[at : found.start()]) + "([^/]+)"
        at = found.end()
    pattern += re.escape(binding.template[at:])
    return Route(rpc, binding, re.compile(pattern), tuple(_PARAMETER.findall(binding.template)))


def _request(route: Route, path: dict[str, str], query: bytes, raw: bytes) -> Message:
    """Build the request: the body (all of it, or one field), then the query, then the path, which has the last word."""
    kind = route.rpc.method.request
    values: dict[str, Any] = {}
    if route.binding.body:
        body = _decoded(raw)
        if route.binding.body != "*":
            values[route.binding.body] = body
        elif isinstance(body, dict):
            values = body
        else:
            raise Invalid("the request body is not a JSON object", code="invalid_json")
    if route.binding.body != "*":
        try:
            pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200)
        except ValueError:
            raise Invalid("the query string cannot be read", code="invalid_query") from None
        for name, text in pairs:
            _put(values, kind.DESCRIPTOR, name.split("."), text)
    for name, text in path.items():
        _put(values, kind.DESCRIPTOR, [name], text)
    check_words(values, kind.DESCRIPTOR)
    try:
        return json_format.ParseDict(values, kind(), ignore_unknown_fields=True, max_recursion_depth=_DEEPEST)
    except (json_format.Error, ValueError, TypeError, AttributeError) as error:
        words = str(error).replace("Failed to parse ", "")[:200]
        raise Invalid(f"the request does not fit: {words}", code="invalid_request") from None


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise Invalid("the request body is not valid JSON", code="invalid_json") from None


def _put(values: dict[str, Any], kind: Any, names: list[str], text: str) -> None:
    """Set a (nested) field from a query parameter. An unknown one is ignored, as unknown members of a body are."""
    field = kind.fields_by_name.get(names[0])
    if field is None:
        return
    if len(names) > 1:
        if field.type == _MESSAGE and not field.is_repeated and not isinstance(values.get(names[0]), str):
            _put(values.setdefault(names[0], {}), field.message_type, names[1:], text)
        return
    is_bool = field.type == _BOOL or (field.type == _MESSAGE and field.message_type.name == "BoolValue")
    value: Any = {"true": True, "false": False, "1": True, "0": False}.get(text.lower(), text) if is_bool else text
    if field.is_repeated:
        values.setdefault(names[0], []).append(value)
    else:
        values[names[0]] = value


def _json(reply: Message) -> bytes:
    shown = json_format.MessageToDict(
        reply,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        descriptor_pool=WIRE.pool,
    )
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()


async def _refuse(send: Send, fault: Fault, error: Exception, request_id: str) -> None:
    info = json_format.MessageToDict(fault.info, preserving_proto_field_name=True)
    kind = f"type.googleapis.com/{fault.info.DESCRIPTOR.full_name}"
    body = {"code": int(fault.code), "message": fault.text, "details": [{"@type": kind, **info}]}
    headers = {} if fault.retry_after is None else retry_after(fault.retry_after)
    status = HTTP_STATUS[fault.code]
    if isinstance(error, BodyTooLarge):
        status = 413  # 429 would be tried again
    if isinstance(error, MethodNotAllowed):
        status, headers = 405, {"allow": ", ".join(error.allowed)}
    await _send(send, status, json.dumps(body, ensure_ascii=False).encode(), request_id, headers)


async def _send(send: Send, status: int, body: bytes, request_id: str, more: dict[str, str]) -> None:
    headers = [(b"x-request-id", request_id.encode()), (b"content-length", b"%d" % len(body)), *JSON_HEADERS]
    headers.extend((name.encode(), value.encode()) for name, value in more.items())
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
