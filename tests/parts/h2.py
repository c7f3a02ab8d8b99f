"""One HTTP/2 request in clear, frame by frame: for what no client library would send."""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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


def h2_request(port: int, method: bytes, path: bytes, headers: Mapping[bytes, bytes], body: bytes) -> H2Reply:
    """Send one request with prior knowledge, and return all of its answer."""
    connection = zttp.Connection(zttp.CLIENT, protocol=zttp.HTTP2)
    reply = H2Reply()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        connection.initiate_connection()
        head = [(b"host", b"localhost"), *headers.items()]
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
