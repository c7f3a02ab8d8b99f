"""What one turn of the loop writes goes out joined, and nothing is lost by it: pipelining, closing, large replies."""

import asyncio
import select
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.api.dispatch import WHOLE
from holdfast.cli.corked import MOST_CORKED, MOST_CORKED_BYTES
from holdfast.cli.serve import bind, uvicorn_config

CHUNK = 40_000


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body", False):
        pass
    path = scope["path"]
    if path == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(100):
            body = bytes([65 + number % 26]) * CHUNK
            await send({"type": "http.response.body", "body": body, "more_body": number < 99})
        return
    if path == "/slow":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b"cd"})
        return
    body = path.encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def _served(app: ASGIApp = _app) -> AsyncIterator[int]:
    server, sockets = uvicorn.Server(uvicorn_config(app)), bind("127.0.0.1", 0)
    task = asyncio.ensure_future(server.serve(sockets=list(sockets)))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def _over_a_socket(port: int, *requests: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(requests))
    received = await asyncio.wait_for(reader.read(-1), 20)
    writer.close()
    return received


def _get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


async def test_a_replys_head_and_body_arrive_together() -> None:
    async with _served() as port:
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.setblocking(False)
            loop = asyncio.get_running_loop()
            for number in range(20):
                await loop.sock_sendall(line, _get(f"/{number:03}"))
                assert (await loop.sock_recv(line, 65_536)).endswith(b"\r\n\r\n/%03d" % number)


async def test_pipelined_requests_are_answered_in_order_and_the_last_before_closing() -> None:
    async with _served() as port:
        paths = [f"/{number}" for number in range(50)]
        requests = [_get(path) for path in paths[:-1]] + [_get(paths[-1], "Connection: close")]
        received = await _over_a_socket(port, *requests)
    assert [part.split(b"HTTP/1.1")[0].decode() for part in received.split(b"\r\n\r\n")[1:]] == paths


async def test_what_is_sent_before_a_pause_does_not_wait_for_what_comes_after() -> None:
    async with _served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_get("/slow"))
        first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\nab"), 0.15)
        assert first.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"cd"
        writer.close()


async def test_a_reply_larger_than_is_ever_held_back_arrives_whole() -> None:
    assert CHUNK * 100 > MOST_CORKED_BYTES
    async with _served() as port:
        received = await _over_a_socket(port, _get("/large", "Connection: close"))
    assert sum(received.count(bytes([letter])) for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ") >= CHUNK * 100
    assert received.endswith(b"0\r\n\r\n")


async def test_what_is_no_request_is_answered_before_the_connection_closes() -> None:
    async with _served() as port:
        received = await _over_a_socket(port, b"this is no request\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 400")


async def test_a_caller_who_is_gone_does_no_harm() -> None:
    async with _served() as port:
        for _ in range(10):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_get("/slow") * 3)
            writer.transport.abort()
        assert (await _over_a_socket(port, _get("/still", "Connection: close"))).endswith(b"/still")


async def _whole(scope: Scope, receive: Receive, send: Send) -> None:
    """As the token read's lane: whole if the server takes it, else in messages. Paths that begin with /m never ask."""
    body = scope["path"].encode()
    while (await receive()).get("more_body", False):
        pass
    await asyncio.sleep(0.001 * (len(body) % 3))
    length = b"%d" % len(body)
    if scope["path"].startswith("/m") or not scope[WHOLE](scope, b"content-length: " + length + b"\r\n", body):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})


async def test_replies_sent_whole_and_in_messages_take_turns_on_one_connection() -> None:
    async with _served(_whole) as port:
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.setblocking(False)
            loop, heads = asyncio.get_running_loop(), []
            for path in ["/whole", "/messages", "/w", "/w", "/m", "/whole"]:
                await loop.sock_sendall(line, _get(path))
                head, _, body = (await loop.sock_recv(line, 65_536)).partition(b"\r\n\r\n")
                assert body == path.encode()
                heads.append([row.split(b":")[0] for row in head.split(b"\r\n")])
    assert heads[0] == heads[1] == [b"HTTP/1.1 200 OK", b"date", b"content-length"]


async def test_whole_replies_to_pipelined_requests_keep_their_order_and_the_last_closes() -> None:
    async with _served(_whole) as port:
        paths = [("/w", "/m", "/whole", "/message")[number % 4] + str(number) for number in range(60)]
        requests = [_get(path) for path in paths[:-1]] + [_get(paths[-1], "Connection: close")]
        received = await _over_a_socket(port, *requests)
        old = await _over_a_socket(port, b"GET /w HTTP/1.0\r\n\r\n")
    assert [part.split(b"HTTP/1.1")[0].decode() for part in received.split(b"\r\n\r\n")[1:]] == paths
    assert old.endswith(b"\r\n\r\n/w")


async def test_of_many_replies_made_in_one_turn_the_first_do_not_wait_for_the_last() -> None:
    lines: list[socket.socket] = []
    scopes: list[Scope] = []
    all_came, arrived = asyncio.Event(), list[int]()

    def answered() -> int:
        return len(select.select(lines, [], [], 0)[0])

    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        scopes.append(scope)
        if len(scopes) < len(lines):
            await all_came.wait()
            return
        for one in scopes:
            assert one[WHOLE](one, b"content-length: 1\r\n", b"x")
        arrived.append(answered())
        all_came.set()

    async with _served(app) as port:
        with ExitStack() as stack:
            for _ in range(2 * MOST_CORKED + 5):
                lines.append(stack.enter_context(socket.create_connection(("127.0.0.1", port))))
            for line in lines:
                line.sendall(_get("/"))
            async with asyncio.timeout(5):
                await all_came.wait()
                while answered() < len(lines):
                    await asyncio.sleep(0.001)
    assert arrived == [1 + 2 * MOST_CORKED], "one at once, then by so many"
