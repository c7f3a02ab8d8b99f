"""Loads the gRPC credential read over clear HTTP/2, with eight calls open on each connection. A process of its own.

Prints `RESULT calls micros p50_us p99_us failed`, as the wrk script does.
"""

import argparse
import random
import selectors
import socket
import struct
import time

import zttp

from holdfast.api.scalekit.descriptors import message

PATH = b"/scalekit.v1.connected_accounts.ConnectedAccountService/GetConnectedAccountAuth"
STREAMS = 8


class Caller:
    """One connection with its open calls."""

    def __init__(self, port: int, key: str, accounts: int) -> None:
        self._port = port
        self.began: dict[int, float] = {}
        self.took: list[float] = []
        self.failed = 0
        self._accounts = accounts
        self._headers = [
            (b"host", b"localhost"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            (b"grpc-timeout", b"20S"),
            (b"authorization", b"Bearer " + key.encode()),
        ]
        self._connect()

    def _connect(self) -> None:
        self.wire = socket.create_connection(("127.0.0.1", self._port))
        self._is_to_leave = False
        self._connection = zttp.Connection(zttp.CLIENT, protocol=zttp.HTTP2)
        self._connection.initiate_connection()
        for _ in range(STREAMS):
            self._call()
        self.wire.sendall(self._connection.data_to_send())

    def _call(self) -> None:
        asked = message(
            "connected_accounts.GetConnectedAccountByIdentifierRequest",
            connector="github",
            identifier=f"user_{random.randrange(self._accounts)}",
        ).SerializeToString()
        stream = self._connection.send_request(b"POST", PATH, b"2", self._headers)
        stream.send_data(struct.pack(">BI", 0, len(asked)) + asked)
        stream.end_message()
        self.began[stream.stream_id] = time.perf_counter()

    def read(self) -> bool:
        """Take what has come, and call again. Return whether it goes on over another connection, as it was asked to."""
        self._connection.receive_data(self.wire.recv(262_144))
        while (event := self._connection.next_event()) is not zttp.NEED_DATA:
            if isinstance(event, zttp.GoAway):
                self._is_to_leave = True
            elif isinstance(event, zttp.EndOfMessage):
                self.took.append(time.perf_counter() - self.began.pop(event.stream_id))
                self.failed += dict(event.trailers).get(b"grpc-status") != b"0"
                if not self._is_to_leave:
                    self._call()
        if data := self._connection.data_to_send():
            self.wire.sendall(data)
        if not self._is_to_leave or self.began:
            return False
        self.wire.close()
        self._connect()
        return True


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, kind in (("port", int), ("key", str), ("connections", int), ("seconds", float), ("accounts", int)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    given = parser.parse_args()
    callers = [Caller(given.port, given.key, given.accounts) for _ in range(given.connections)]
    ready = selectors.DefaultSelector()
    for caller in callers:
        ready.register(caller.wire, selectors.EVENT_READ, caller)
    began = time.perf_counter()
    while time.perf_counter() - began < given.seconds:
        for key, _ in ready.select(1):
            if key.data.read():
                ready.unregister(key.fileobj)
                ready.register(key.data.wire, selectors.EVENT_READ, key.data)
    micros = (time.perf_counter() - began) * 1e6
    took = sorted(seconds * 1e6 for caller in callers for seconds in caller.took)
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    print(f"RESULT {len(took)} {micros:.0f} {p50:.1f} {p99:.1f} {sum(caller.failed for caller in callers)}")


if __name__ == "__main__":
    main()
