"""What proxied calls are measured against: an upstream that answers at once, and HTTP clients behind a bare handler."""

import asyncio
from typing import Any

import aiohttp
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.outbound import Outgoing, Streaming, target_of

BODY = b'{"id":12345,"login":"somebody","name":"Some Body","url":"https://api.example.com/users/12345"}'
PATH = "/user"
_TOKEN = "Bearer " + "x" * 40


async def upstream() -> None:
    """Answer every request with the same small document, at the least cost that Python can have."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)

    class Small(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(answer * data.count(b"\r\n\r\n"))

    listener = await asyncio.get_running_loop().create_server(Small, "127.0.0.1", 0, backlog=1024)
    print(f"ready {listener.sockets[0].getsockname()[1]} none", flush=True)
    await listener.serve_forever()


def ours(origin: str) -> ASGIApp:
    """The proxy's own HTTP client behind a handler that does nothing else: what there is to win at most."""
    client = Streaming(allow_private=True, idle_timeout=50, total_timeout=3600)
    target = target_of(origin, allow_private=True)
    headers = [(b"authorization", _TOKEN.encode()), (b"user-agent", b"bench"), (b"accept", b"*/*")]

    async def handler(_scope: Scope, _receive: Receive, send: Send) -> None:
        exchange = await client.send(Outgoing("GET", target, PATH.encode(), headers))
        body = await exchange.take()
        exchange.close()
        await send({"type": "http.response.start", "status": exchange.status, "headers": exchange.headers})
        await send({"type": "http.response.body", "body": body})

    return handler


def common(origin: str) -> ASGIApp:
    """The same with aiohttp, which is what such a relay is usually written with."""
    headers = {"authorization": _TOKEN, "user-agent": "bench", "accept": "*/*"}
    sessions: list[aiohttp.ClientSession] = []

    async def handler(_scope: Scope, _receive: Receive, send: Send) -> None:
        if not sessions:  # it can only be made where a loop runs
            connector = aiohttp.TCPConnector(limit=256)
            sessions.append(aiohttp.ClientSession(auto_decompress=False, connector=connector))
        async with sessions[0].get(origin + PATH, headers=headers) as reply:
            body = await reply.read()
        passed = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": reply.status, "headers": passed})
        await send({"type": "http.response.body", "body": body})

    return handler
