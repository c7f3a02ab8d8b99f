"""An upstream of our own on a raw socket: it keeps every byte it was sent and answers as it is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Behaviour = Callable[["Captured", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Captured:
    """One request: its line, its headers as they came, its body if that was short."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Capture:
    behaviour: Behaviour | None = None
    requests: list[Captured] = field(default_factory=list)
    connections: int = 0
    lost: int = 0
    """Connections that ended in the middle of a request or of its answer."""
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def last(self) -> Captured:
        return self.requests[-1]

    def answers(self, *replies: bytes) -> None:
        """Answer each request with the next of these; the last one from then on."""
        left = list(replies)

        async def behave(request: Captured, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request.body = await read_body(request, reader)
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()

        self.behaviour = behave

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *rest = head[:-4].split("\r\n")
                pairs = [tuple(item.split(": ", 1)) for item in rest]
                request = Captured(line, [(name.lower(), value) for name, value in pairs])
                self.requests.append(request)
                assert self.behaviour is not None
                await self.behaviour(request, reader, writer)
        except asyncio.IncompleteReadError as error:
            self.lost += bool(error.partial)
        except ConnectionError:
            self.lost += 1
        finally:
            writer.close()


def reply(status: str = "200 OK", body: bytes = b"{}", *headers: str) -> bytes:
    """Write an answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def read_body(request: Captured, reader: asyncio.StreamReader) -> bytes:
    length = request.header("content-length")
    if length is not None:
        return await reader.readexactly(int(length))
    if request.header("transfer-encoding") == "chunked":
        found = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            found += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return found
    return b""


@asynccontextmanager
async def capturing(tls: ssl.SSLContext | None = None) -> AsyncIterator[Capture]:
    capture = Capture(scheme="https" if tls else "http")
    capture.answers(reply())
    server = await asyncio.start_server(capture.serve, "127.0.0.1", 0, limit=1 << 20, ssl=tls)
    capture.port = server.sockets[0].getsockname()[1]
    try:
        yield capture
    finally:
        server.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 0.2)
