"""A request as it goes out on a connection of HTTP/1.1, and its head as bytes (RFC 9112)."""

from typing import Any

import msgspec

from holdfast.outbound.errors import Blocked
from holdfast.outbound.guard import Target
from holdfast.outbound.wire import Pairs


class Outgoing(msgspec.Struct, frozen=True):
    """A request as it goes out. `path` is in origin form; the headers lack Host and what frames the body."""

    method: str
    target: Target
    path: bytes
    headers: Pairs
    body: Any = None
    """None, bytes, or an async iterator of bytes."""
    length: int | None = None
    """Of a body that is an iterator; None = sent in chunks."""

    def __repr__(self) -> str:
        return f"Outgoing({self.method} {self.target.host})"


def written(request: Outgoing) -> bytes:
    """Write the head. Raises Blocked for one that would be read as more, or other, than it is."""
    target = request.target
    usual = 443 if target.scheme == "https" else 80
    host = target.host if target.port == usual else f"{target.host}:{target.port}"
    parts = [request.method.encode("ascii", "replace"), b" ", request.path, b" HTTP/1.1\r\nHost: ", host.encode()]
    lines = 3
    for name, value in request.headers:
        parts += (b"\r\n", name, b": ", value)
        lines += 1
    body = request.body
    if isinstance(body, bytes):
        parts.append(b"\r\nContent-Length: %d" % len(body))
        lines += 1
    elif body is not None:
        framing = b"\r\nTransfer-Encoding: chunked" if request.length is None else b""
        parts.append(framing or b"\r\nContent-Length: %d" % (request.length or 0))
        lines += 1
    parts.append(b"\r\n\r\n")
    head = b"".join(parts)
    # As many line ends as we wrote, and no more: whatever a value may hold, it cannot begin a line of its own.
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head or not request.path.startswith(b"/"):
        raise Blocked("The request's path or one of its headers holds a character that is not allowed there.")
    if head.count(b" ", 0, head.find(b"\r")) != 2:
        raise Blocked("The request line holds a space too many.")
    return head
