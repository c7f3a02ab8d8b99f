"""One HTTP/2 request, frame by frame: for what no client library would send."""

import contextlib
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

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


def h2_request(
    port: int,
    method: bytes,
    path: bytes,
    headers: Mapping[bytes, bytes] | Headers,
    body: bytes,
    authority: Path | None = None,
) -> H2Reply:
    """Send one request, and return all of its answer: with prior knowledge, or over TLS that trusts this authority. A
    list of headers may hold one twice."""
    headers = headers.items() if isinstance(headers, Mapping) else headers
    connection = zttp.Connection(zttp.CLIENT, protocol=zttp.HTTP2)
    reply = H2Reply()
    with _connected(port, authority) as wire:
        connection.initiate_connection()
        head = [(b"host", b"localhost"), *headers]
        stream = connection.send_request(method, path, b"2", head)
        if body:
            stream.send_data(body)
        stream.end_message()
        wire.sendall(connection.data_to_send())
        while data := wire.recv(65536):
            connection.receive_data(data)
            while (event := connection.next_event()) is not zttp.NEED_DATA:
                if isinstance(event, zttp.Response):
                    reply.status, reply.headers = event.status_code, dict(event.headers)
                elif isinstance(event, zttp.Data):
                    reply.body += event.data
                elif isinstance(event, zttp.EndOfMessage):
                    reply.trailers = dict(event.trailers or ())
                    return reply
                elif isinstance(event, zttp.RstStream | zttp.GoAway):
                    return reply
            if sending := connection.data_to_send():
                wire.sendall(sending)
    return reply


@contextlib.contextmanager
def _connected(port: int, authority: Path | None) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        if authority is None:
            yield plain
            return
        context = ssl.create_default_context(cafile=authority)
        context.set_alpn_protocols(["h2"])
        with context.wrap_socket(plain, server_hostname="localhost") as wire:
            assert wire.selected_alpn_protocol() == "h2"
            yield wire
