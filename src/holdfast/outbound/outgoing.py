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
    first = b"%b %b HTTP/1.1" % (request.method.encode("ascii", "replace"), request.path)
    lines = [first, b"Host: " + host.encode(), *[b"%b: %b" % pair for pair in request.headers]]
    body = request.body
    if isinstance(body, bytes):
        lines.append(b"Content-Length: %d" % len(body))
    elif body is not None:
        chunked = b"Transfer-Encoding: chunked"
        lines.append(chunked if request.length is None else b"Content-Length: %d" % request.length)
    lines += (b"", b"")
    head, ends = b"\r\n".join(lines), len(lines) - 1
    # As many line ends as we wrote, and no more: whatever a value may hold, it cannot begin a line of its own.
    if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head or not request.path.startswith(b"/"):
        raise Blocked("The request's path or one of its headers holds a character that is not allowed there.")
    if first.count(b" ") != 2:
        raise Blocked("The request line holds a space too many.")
    return head
