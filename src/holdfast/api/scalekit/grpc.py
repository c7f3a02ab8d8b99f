"""gRPC over HTTP/2, unary: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md"""

import asyncio
import base64
import re
import struct
import zlib
from collections.abc import Mapping
from urllib.parse import quote

from google.protobuf.message import DecodeError
from starlette.types import Receive, Scope, Send

from holdfast import ids, telemetry
from holdfast.api.bearers import bearers_of
from holdfast.api.intake import BodyTooLarge, log_unexpected, named, read_body
from holdfast.api.scalekit.calls import Caller
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.faults import Code, Fault, TooLate, Unimplemented, render
from holdfast.api.scalekit.rpc import Rpc
from holdfast.errors import Invalid

CONTENT_TYPE = b"application/grpc"
_PROTO_TYPES = (b"application/grpc", b"application/grpc+proto")
_PREFIX = struct.Struct(">BI")
_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", CONTENT_TYPE), (b"grpc-accept-encoding", b"identity,gzip,deflate")],
    "trailers": True,
}
_DONE = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")], "more_trailers": False}


class Grpc:
    def __init__(self, rpcs: Mapping[str, Rpc], caller: Caller, *, max_bytes: int) -> None:
        self._rpcs, self._caller, self._max_bytes = rpcs, caller, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = "req_" + ids.new_id()
        try:
            data = await self._answer(scope, receive, request_id)
        except Exception as raised:
            error = named(raised, request_id)
            fault = render(error, request_id)
            if fault.code is Code.INTERNAL:
                log_unexpected(error, request_id)
            await _refuse(send, fault, status=200 if _is_proto(scope) else 415)
            return
        await send(_START)
        await send({"type": "http.response.body", "body": _PREFIX.pack(0, len(data)) + data, "more_body": False})
        await send(_DONE)

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> bytes:
        rpc = self._rpcs.get(scope["path"])
        headers = dict(scope["headers"])
        if not _is_proto(scope):
            raise Invalid("gRPC here is POST with application/grpc+proto", code="unsupported_content_type")
        if rpc is None:
            raise Unimplemented(f"there is no method {scope['path'][:200]}")
        scope[telemetry.ROUTE] = rpc.method.path
        seconds = _seconds(headers.get(b"grpc-timeout"))
        try:
            async with asyncio.timeout(seconds) as deadline:
                body = await read_body(headers, receive, self._max_bytes + _PREFIX.size)

                def parse() -> Message:
                    return _parse(rpc, _unframed(body, headers.get(b"grpc-encoding", b"identity"), self._max_bytes))

                reply = await self._caller.answer(rpc, bearers_of(scope["headers"]), parse, request_id)
        except TimeoutError:
            if deadline.expired():
                raise TooLate(f"the call's deadline of {seconds:g} s has passed") from None
            raise
        data: bytes = reply.SerializeToString()
        return data


def _parse(rpc: Rpc, data: bytes) -> Message:
    try:
        return rpc.method.request.FromString(data)
    except (DecodeError, UnicodeDecodeError):
        raise Invalid(
            f"the message is not a {rpc.method.request.DESCRIPTOR.full_name}", code="invalid_message"
        ) from None


def _unframed(body: bytes, encoding: bytes, most: int) -> bytes:
    """Return the one message of a unary request."""
    if len(body) < _PREFIX.size:
        raise Invalid("the request holds no message", code="invalid_message")
    compressed, size = _PREFIX.unpack_from(body)
    data = body[_PREFIX.size :]
    if compressed not in (0, 1) or size != len(data):
        raise Invalid("the request does not hold exactly one message", code="invalid_message")
    return _inflated(data, encoding, most) if compressed else data


def _inflated(data: bytes, encoding: bytes, most: int) -> bytes:
    if encoding == b"identity":
        raise Invalid("the message is marked as compressed, and grpc-encoding names nothing", code="invalid_message")
    if encoding not in (b"gzip", b"deflate"):
        raise Unimplemented("messages may be compressed by gzip or deflate", code="unsupported_encoding")
    inflating = zlib.decompressobj(zlib.MAX_WBITS | 16 if encoding == b"gzip" else zlib.MAX_WBITS)
    try:
        plain = inflating.decompress(data, most + 1)
    except zlib.error:
        raise Invalid("the compressed message cannot be read", code="invalid_message") from None
    if len(plain) > most:
        raise BodyTooLarge(f"a message may hold {most} bytes at most")
    if not inflating.eof:
        raise Invalid("the compressed message is cut short", code="invalid_message")
    return plain


def _seconds(text: bytes | None) -> float | None:
    """Return the caller's deadline in seconds. One that cannot be read is none: it is the caller who waits."""
    found = _TIMEOUT.fullmatch(text) if text is not None else None
    return None if found is None else int(found[1]) * _UNITS[found[2]]


def _is_proto(scope: Scope) -> bool:
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return scope["method"] == "POST" and kind.split(b";")[0].strip().lower() in _PROTO_TYPES


async def _refuse(send: Send, fault: Fault, *, status: int) -> None:
    """Answer with a status alone. In trailers: in headers it must come with END_STREAM set ("Trailers-Only"), which
    ASGI has no word for, and gRPC clients refuse it otherwise."""
    details = base64.b64encode(fault.status().SerializeToString()).rstrip(b"=")
    trailers = [
        (b"grpc-status", b"%d" % fault.code),
        (b"grpc-message", quote(fault.text, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~").encode()),
        (b"grpc-status-details-bin", details),
    ]
    await send({**_START, "status": status})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    await send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})
