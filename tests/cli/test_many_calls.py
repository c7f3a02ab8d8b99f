"""An HTTP/2 connection that has had many calls is given up in time: its caller opens another, and no call is lost."""

import asyncio

import grpc
import pytest
import zttp
from starlette.types import Receive, Scope, Send

from holdfast.cli import protocols
from tests.cli.test_corked import _served

ENDLESS = 4096
"""Streams after which zttp takes a connection for a flood."""
AT_ONCE = 16


class Grpc:
    """Answers each call with an empty message, after `seconds`; knows its callers."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.callers: set[object] = set()
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        self.callers.add(scope["client"])
        await asyncio.sleep(self._seconds)
        headers = [(b"content-type", b"application/grpc")]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
        await send({"type": "http.response.body", "body": b"\0\0\0\0\0"})
        await send({"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]})


async def test_a_grpc_client_loses_no_call_though_it_makes_more_than_a_connection_takes() -> None:
    app = Grpc(0.001)
    async with _served(app) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/C")

        async def many() -> None:
            for _ in range(ENDLESS // AT_ONCE + 10):
                assert await call(b"", timeout=20) == b""

        await asyncio.gather(*(many() for _ in range(AT_ONCE)))
    assert len(app.callers) == 2


async def test_who_is_asked_to_leave_has_what_is_under_way_and_what_is_sent_meanwhile_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocols, "MOST_CALLS", 3)
    monkeypatch.setattr(protocols, "LEAVING_SECONDS", 0.2)
    async with _served(Grpc(0.05)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        line = zttp.Connection(zttp.CLIENT, protocol=zttp.HTTP2)
        line.initiate_connection()

        def ask() -> None:
            headers = [(b"host", b"x"), (b"content-type", b"application/grpc"), (b"te", b"trailers")]
            line.send_request(b"POST", b"/a.B/C", b"2", headers).end_message()
            writer.write(line.data_to_send())

        for _ in range(3):
            ask()
        answered, farewells = 0, []
        while received := await asyncio.wait_for(reader.read(65_536), 10):
            line.receive_data(received)
            while (event := line.next_event()) is not zttp.NEED_DATA:
                if isinstance(event, zttp.GoAway):
                    farewells.append((answered, event.error_code))
                    if len(farewells) == 1:
                        ask()  # as if it had not been read yet
                answered += isinstance(event, zttp.EndOfMessage)
            writer.write(line.data_to_send())
        writer.close()
    assert answered == 4
    assert farewells == [(0, zttp.H2ErrorCode.NO_ERROR), (4, zttp.H2ErrorCode.NO_ERROR)]
