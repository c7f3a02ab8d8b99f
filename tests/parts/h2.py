"""One HTTP/2 request, frame by frame: for what no client library would send."""

import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import zttp

Headers = Iterable[tuple[bytes, bytes]]


@dataclass
class H2Reply:
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def grpc_status(self) -> int:
        return int(self.trailers.get(b"grpc-status", b"-1"))


class H2Channel:
    """A connection for one request after another: with prior knowledge, or over TLS that trusts this authority."""

    def __init__(self, port: int, authority: Path | None = None) -> None:
        self._connection = zttp.Connection(zttp.CLIENT, protocol=zttp.HTTP2)
        self._wire = socket.create_connection(("127.0.0.1", port), timeout=10)
        if authority is not None:
            context = ssl.create_default_context(cafile=authority)
            context.set_alpn_protocols(["h2"])
            self._wire = context.wrap_socket(self._wire, server_hostname="localhost")
            assert self._wire.selected_alpn_protocol() == "h2"
        self._connection.initiate_connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    def request(self, method: bytes, path: bytes, headers: Headers, body: bytes) -> H2Reply:
        """Send one request, and return all of its answer, or what there is of it when the other side hangs up."""
        stream = self._connection.send_request(method, path, b"2", [(b"host", b"localhost"), *headers])
        if body:
            stream.send_data(body)
        stream.end_message()
        reply = H2Reply()
        for event in self._events():
            if isinstance(event, zttp.Response):
                reply.status, reply.headers = event.status_code, dict(event.headers)
            elif isinstance(event, zttp.Data):
                reply.body += event.data
            elif isinstance(event, zttp.EndOfMessage):
                reply.trailers = dict(event.trailers or ())
                break
            elif isinstance(event, zttp.RstStream | zttp.GoAway):
                break
        return reply

    def ping(self) -> None:
        """Send a PING and wait for its answer. Raises AssertionError where the other side says goodbye instead."""
        self._wire.sendall(self._connection.data_to_send() + b"\0\0\x08\x06\0\0\0\0\0" + b"holdfast")
        for event in self._events():
            assert not isinstance(event, zttp.GoAway), event
            if isinstance(event, zttp.Ping):
                assert (event.ack, event.data) == (True, b"holdfast")
                return
        raise AssertionError("the connection was closed")

    def _events(self) -> Iterator[zttp.Event]:
        """Yield what comes in until the other side hangs up, and send what has to be sent meanwhile."""
        while True:
            if sending := self._connection.data_to_send():
                self._wire.sendall(sending)
            while (event := self._connection.next_event()) is not zttp.NEED_DATA:
                yield event
            if not (data := self._wire.recv(65536)):
                return
            self._connection.receive_data(data)


def h2_request(
    port: int,
    method: bytes,
    path: bytes,
    headers: Mapping[bytes, bytes] | Headers,
    body: bytes,
    authority: Path | None = None,
) -> H2Reply:
    """Send one request over a connection of its own. A list of headers may hold one twice."""
    with H2Channel(port, authority) as channel:
        return channel.request(method, path, headers.items() if isinstance(headers, Mapping) else headers, body)
