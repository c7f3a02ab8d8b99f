"""A request that the app takes at once, without a task: split, pipelined, declined, or answered late, it is one request
and has one answer."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from holdfast.api.dispatch import AtOnce, Begin, Exchange
from holdfast.cli import http_protocol
from tests.cli.test_corked import _over_a_socket, _served


class Quick:
    """Wants every POST. The body says what becomes of it: `declined`, `otherwise`, or taken and answered in a while."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []

    def wants(self, exchange: Exchange) -> Begin | None:
        return self._begin if exchange.scope["method"] == "POST" else None

    def _begin(self, exchange: Exchange, body: bytes) -> bool:
        if body == b"declined":
            return False
        self.begun.append(body)
        asyncio.get_running_loop().call_later(0.01, self._answer, exchange, body)
        return True

    def _answer(self, exchange: Exchange, body: bytes) -> None:
        text = b"at once " + body
        head = b"content-length: %d\r\n" % len(text)
        if body == b"otherwise" or not exchange.whole(head, text):
            exchange.otherwise(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        text = b"by a task " + body
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
        await send({"type": "http.response.body", "body": text})


def _post(body: bytes, *headers: str) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def _bodies(received: bytes) -> list[bytes]:
    return [part.split(b"HTTP/1.1 200")[0] for part in received.split(b"\r\n\r\n")[1:]]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"taken", b"at once taken"),
        (b"declined", b"by a task declined"),
        (b"otherwise", b"by a task otherwise"),
        (b"", b"at once "),
    ],
)
@pytest.mark.parametrize("piece", [1, 40, 1000])
async def test_a_request_that_arrives_in_pieces_is_begun_once_and_answered_once(
    body: bytes, answer: bytes, piece: int
) -> None:
    quick = Quick()
    assert isinstance(quick, AtOnce)
    async with _served(quick) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = _post(body)
        for _ in range(3):
            for start in range(0, len(request), piece):
                writer.write(request[start : start + piece])
                await asyncio.sleep(0)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            assert head.startswith(b"HTTP/1.1 200")
            assert await asyncio.wait_for(reader.readexactly(len(answer)), 20) == answer
        writer.close()
    assert quick.begun == ([] if body == b"declined" else [body] * 3)


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    quick = Quick()
    wanted = [(b"taken", b"otherwise", b"declined")[number % 3] for number in range(20)]
    async with _served(quick) as port:
        requests = [_post(body) for body in wanted[:-1]] + [_post(wanted[-1], "Connection: close")]
        received = await _over_a_socket(port, *requests)
    assert [answer.split(b" ")[-1] for answer in _bodies(received)] == wanted
    assert received.count(b"HTTP/1.1 200") == len(wanted)


async def test_a_connection_that_is_to_close_closes_after_its_answer() -> None:
    async with _served(Quick()) as port:
        received = await _over_a_socket(port, _post(b"taken", "Connection: close"))
        assert _bodies(received) == [b"by a task taken"]


async def test_a_caller_who_hangs_up_before_or_after_the_body_does_no_harm() -> None:
    quick = Quick()
    async with _served(quick) as port:
        for request in (_post(b"taken"), _post(b"taken")[:-3]):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            await writer.drain()
            await asyncio.sleep(0.005)
            writer.transport.abort()
        received = await _over_a_socket(port, _post(b"still", "Connection: close"))
        assert _bodies(received) == [b"by a task still"]


async def test_a_server_that_stops_answers_what_was_begun_and_says_close() -> None:
    quick = Quick()
    async with _served(quick) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_post(b"taken"))
        while not quick.begun:
            await asyncio.sleep(0.001)
    received = await asyncio.wait_for(reader.read(-1), 20)
    assert received.endswith(b" taken")
    writer.close()


async def test_what_comes_of_a_request_after_its_reply_does_not_keep_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever is refused before the body was read may send the rest of it, and is then as idle as anybody."""

    async def refusing(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    monkeypatch.setattr(http_protocol, "IDLE_SECONDS", 0.5)
    async with _served(refusing) as port:
        for rest in ((b"abc",), (b"a", b"b"), (b"abc\r\n",)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401")
            for piece in rest:
                writer.write(piece)
                await asyncio.sleep(0.01)
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
