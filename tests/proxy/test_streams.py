"""Long bodies in both directions, slow and vanishing ends: memory stays flat and nobody is left hanging."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from tests.parts.capture import Behaviour, Capture, Captured, capturing, reply
from tests.parts.server import HoldfastProcess

MEGABYTE = 1 << 20
SIZE = int(os.environ.get("PROXY_MEGABYTES", "64")) * MEGABYTE
"""PROXY_MEGABYTES=1024 is the long form."""
ALLOWED = 24 * MEGABYTE
"""By which the server's memory may grow: the buffers of a handful of streams, far from any body."""
PIECE = bytes(range(256)) * 256


def kernel_buffers() -> int:
    """Return how many bytes the kernel may keep on the way: two connections with two buffers each."""
    largest = [Path(f"/proc/sys/net/ipv4/tcp_{name}mem").read_text().split()[2] for name in ("r", "w")]
    return 2 * sum(map(int, largest))


def rss(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


async def peak(pid: int, done: asyncio.Event) -> int:
    most = 0
    while not done.is_set():
        most = max(most, rss(pid))
        await asyncio.sleep(0.02)
    return most


class App:
    """An app with one account by key at a provider whose API is the capture server."""

    def __init__(self, server: HoldfastProcess, capture: Capture, client: httpx2.AsyncClient) -> None:
        self.server, self.capture, self.client = server, capture, client
        self.headers = {"authorization": f"Bearer {server.api_key}", "x-relay-user": "user_1"}
        self.url = f"{server.base_url}/relay/{PROVIDER}/x"

    async def post(self, path: str, body: object) -> None:
        answer = await self.client.post(f"{self.server.base_url}{path}", headers=self.headers, json=body)
        assert answer.status_code == 201, answer.text

    async def is_ready(self) -> int:
        """Make a call, so that everything is loaded; return the memory that the server has then."""
        self.capture.answers(reply())
        for _ in range(3):
            assert (await self.client.get(self.url, headers=self.headers)).status_code == 200
        return rss(self.server.pid)

    async def growth(self, work: Awaitable[object]) -> int:
        """Return by how much the server's memory grew at the most while this ran."""
        before, done = rss(self.server.pid), asyncio.Event()
        watching = asyncio.ensure_future(peak(self.server.pid, done))
        try:
            await work
        finally:
            done.set()
        return await watching - before


PROVIDER = "sendgrid"
KEYED = {"user_id": "user_1", "secret": "SG.key-1234", "connection_intent": "add"}


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    """A real process; a built-in provider's traffic goes to the capture server."""
    async with capturing() as capture:
        server = HoldfastProcess(
            tmp_path_factory.mktemp("proxy-streams"),
            provider_origins={"https://api.sendgrid.com": capture.url},
            env={"HOLDFAST_PROXY_IDLE_TIMEOUT": "2"},
        )
        try:
            async with httpx2.AsyncClient(timeout=300) as client:
                made = App(server, capture, client)
                await made.post(
                    "/data-integrations", {"provider": PROVIDER, "enabled": True, "auth_methods": ["api_key"]}
                )
                await made.post(f"/data-integrations/{PROVIDER}/api-key", KEYED)
                await made.is_ready()
                yield made
        finally:
            server.stop()


def sends(size: int, *, chunked: bool = False) -> Behaviour:
    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        for _ in range(size // len(PIECE)):
            writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if chunked else b"")

    return behave


@pytest.mark.parametrize("chunked", (False, True), ids=("length", "chunked"))
async def test_a_long_answer_streams_through_with_memory_flat(app: App, chunked: bool) -> None:
    app.capture.behaviour = sends(SIZE, chunked=chunked)
    digest = hashlib.blake2b()

    async def work() -> None:
        async with app.client.stream("GET", app.url, headers=app.headers) as answer:
            assert answer.status_code == 200
            async for piece in answer.aiter_raw():
                digest.update(piece)

    assert await app.growth(work()) < ALLOWED
    assert digest.digest() == expected()


@pytest.mark.parametrize("chunked", (False, True), ids=("length", "chunked"))
async def test_a_long_request_streams_through_with_memory_flat(app: App, chunked: bool) -> None:
    digest, sizes = hashlib.blake2b(), [0]

    async def behave(request: Captured, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for piece in arriving(request, reader):
            digest.update(piece)
            sizes[0] += len(piece)
        writer.write(reply())

    async def giving() -> AsyncIterator[bytes]:
        for _ in range(SIZE // len(PIECE)):
            yield PIECE

    async def work() -> None:
        headers = app.headers if chunked else {**app.headers, "content-length": str(SIZE)}
        answer = await app.client.post(app.url, headers=headers, content=giving())
        assert answer.status_code == 200

    app.capture.behaviour = behave
    assert await app.growth(work()) < ALLOWED
    assert (sizes[0], digest.digest()) == (SIZE, expected())
    assert app.capture.last.header("content-length") == (None if chunked else str(SIZE))


async def test_a_caller_who_does_not_read_stops_the_provider_from_sending(app: App) -> None:
    given = [0]

    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE * 10}\r\n\r\n".encode())
        for _ in range(SIZE * 10 // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()
            given[0] += len(PIECE)

    async def work() -> None:
        async with app.client.stream("GET", app.url, headers=app.headers) as answer:
            assert answer.status_code == 200
            await asyncio.sleep(1)

    app.capture.behaviour = behave
    before = app.capture.lost
    assert await app.growth(work()) < ALLOWED
    assert given[0] < ALLOWED + kernel_buffers()
    await until(lambda: app.capture.lost == before + 1)


async def test_a_provider_that_does_not_read_stops_the_caller_from_sending(app: App) -> None:
    given = [0]

    async def behave(_request: Captured, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(10)

    async def giving() -> AsyncIterator[bytes]:
        for _ in range(SIZE * 10 // len(PIECE)):
            given[0] += len(PIECE)
            yield PIECE

    async def work() -> None:
        answer = await app.client.post(app.url, headers=app.headers, content=giving())
        assert (answer.status_code, "x-relay-upstream-status" in answer.headers) == (502, False)

    app.capture.behaviour = behave
    with suppress(httpx2.TransportError):
        assert await app.growth(work()) < ALLOWED
    assert given[0] < ALLOWED + kernel_buffers() < SIZE * 10


async def test_a_caller_who_hangs_up_ends_the_call_at_the_provider(app: App) -> None:
    before = app.capture.connections
    hung: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def behave(_request: Captured, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        hung.set_result(await reader.read())

    app.capture.behaviour = behave
    with pytest.raises(httpx2.ReadTimeout):
        await app.client.get(app.url, headers=app.headers, timeout=0.5)
    assert await asyncio.wait_for(hung, 1.5) == b""
    assert app.capture.connections <= before + 1


async def test_a_provider_that_says_nothing_is_given_up(app: App) -> None:
    async def behave(_request: Captured, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    app.capture.behaviour = behave
    answer = await app.client.get(app.url, headers=app.headers)
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_reply_lost")


async def test_an_answer_that_is_cut_off_does_not_look_whole(app: App) -> None:
    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.transport.abort()

    app.capture.behaviour = behave
    with pytest.raises(httpx2.RemoteProtocolError):
        await app.client.get(app.url, headers=app.headers)


@pytest.mark.parametrize(
    "answer",
    (
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,
        b"",
    ),
    ids=("garbage", "upgrade", "long-header", "many-headers", "interim-for-ever", "nothing"),
)
async def test_a_hostile_answer_is_one_failed_call(app: App, answer: bytes) -> None:
    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        raise ConnectionError

    app.capture.behaviour = behave
    assert (await app.client.get(app.url, headers=app.headers)).status_code == 502
    await app.is_ready()
    assert "Traceback" not in app.server.log()


async def test_a_second_answer_to_one_request_is_nobodys(app: App) -> None:
    app.capture.answers(reply("200 OK", b"first") + reply("200 OK", b"planted"))
    assert (await app.client.get(app.url, headers=app.headers)).content == b"first"
    app.capture.answers(reply("200 OK", b"own"))
    assert (await app.client.get(app.url, headers=app.headers)).content == b"own"


async def test_interim_answers_are_not_the_answer(app: App) -> None:
    app.capture.answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply("200 OK", b"last"))
    answer = await app.client.get(app.url, headers=app.headers)
    assert (answer.status_code, answer.content, "link" in answer.headers) == (200, b"last", False)


async def test_an_answer_that_ends_with_its_connection_is_whole(app: App) -> None:
    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end")
        await writer.drain()
        writer.close()

    app.capture.behaviour = behave
    assert (await app.client.get(app.url, headers=app.headers)).content == b"to the end"


def expected() -> bytes:
    digest = hashlib.blake2b()
    for _ in range(SIZE // len(PIECE)):
        digest.update(PIECE)
    return digest.digest()


async def arriving(request: Captured, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    length = request.header("content-length")
    if length is not None:
        left = int(length)
        while left:
            piece = await reader.read(min(left, len(PIECE)))
            left -= len(piece)
            yield piece
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(150):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")
