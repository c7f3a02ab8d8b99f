"""Which failures leave a request unsent for certain, and which leave its fate unknown."""

import asyncio
import datetime
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holdfast.http import Request
from holdfast.outbound import Blocked, NotSent, Outbound, ReplyLost, ReplyTooLarge

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok"


class Server:
    """A raw server: `behaviour` runs after each request was read; connections and requests are counted."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.connections = 0
        self.requests: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
                self.requests.append(head + await reader.readexactly(size))
                await self.behaviour(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(behaviour)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/path"
    try:
        yield server
    finally:
        listener.close()


def outbound(timeout: float = 5.0, tls: ssl.SSLContext | None = None) -> Outbound:
    return Outbound(allow_private=True, total_timeout=timeout, connect_timeout=1.0, max_body=1000, tls=tls)


async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(ANSWER)
    await writer.drain()


async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    await asyncio.sleep(0)


async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


def saying(text: bytes) -> Behaviour:
    async def behaviour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        writer.close()

    return behaviour


async def test_an_answer_comes_back_as_it_is_and_cookies_are_forgotten() -> None:
    async with serving(answer) as server, outbound() as client:
        for _ in range(2):
            reply = await client.send(Request("POST", server.url + "?q=%2f", {"X-One": "1"}, b"body"))
    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.headers["set-cookie"] == "a=1, b=2"
    assert server.connections == 1
    first, second = server.requests
    assert first.startswith(b"POST /path?q=%2f HTTP/1.1\r\n")
    assert first.endswith(b"\r\n\r\nbody")
    assert b"User-Agent: Holdfast" in first
    assert b"ookie" not in second


async def test_a_refused_port_means_not_sent() -> None:
    async with serving(answer) as server:
        url = server.url
    async with outbound() as client:
        with pytest.raises(NotSent) as caught:
            await client.send(Request("POST", url, body=b"secret=canary"))
    assert not isinstance(caught.value, Blocked)


async def test_an_unknown_name_means_not_sent() -> None:
    async with outbound() as client:
        with pytest.raises(NotSent, match=r"nowhere\.invalid"):
            await client.send(Request("POST", "https://nowhere.invalid/token?code=canary"))


async def test_a_connection_that_is_never_taken_means_not_sent() -> None:
    # The listening queue of 1 is filled, so a further connection hangs before it exists.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        await asyncio.sleep(0.05)
        async with outbound(timeout=0.4) as client:
            with pytest.raises(NotSent, match="in time"):
                await client.send(Request("POST", f"http://127.0.0.1:{address[1]}/"))
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE"])
@pytest.mark.parametrize("behaviour", [close, reset])
async def test_a_server_that_reads_and_closes_means_reply_lost_and_is_asked_once(
    method: str, behaviour: Behaviour
) -> None:
    async with serving(behaviour) as server, outbound() as client:
        with pytest.raises(ReplyLost):
            await client.send(Request(method, server.url, body=b"x=1" if method == "POST" else None))
    assert len(server.requests) == 1


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_nothing_is_repeated_on_a_kept_connection_that_breaks(method: str) -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (answer if len(server.requests) == 1 else close)(reader, writer)

    async with serving(answer_once) as server, outbound() as client:
        assert (await client.send(Request(method, server.url))).status == 200
        with pytest.raises(ReplyLost):
            await client.send(Request(method, server.url))
    assert (server.connections, len(server.requests)) == (1, 2)


async def test_a_kept_connection_seen_closing_is_not_written_to() -> None:
    async def answer_and_leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        writer.close()

    async with serving(answer_and_leave) as server, outbound() as client:
        for _ in range(3):
            assert (await client.send(Request("POST", server.url))).status == 200
            await asyncio.sleep(0.05)
    assert (server.connections, len(server.requests)) == (3, 3)


async def test_a_slow_server_means_reply_lost() -> None:
    async with serving(hang) as server, outbound(timeout=0.3) as client:
        with pytest.raises(ReplyLost, match="too long"):
            await client.send(Request("POST", server.url))
    async with serving(hang) as server, outbound() as client:
        with pytest.raises(ReplyLost, match="too long"):
            await client.send(Request("POST", server.url), timeout=0.3)
    assert len(server.requests) == 1


async def test_a_body_that_trickles_is_held_to_the_same_time() -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(trickle) as server, outbound(timeout=0.4) as client:
        with pytest.raises(ReplyLost, match="too long"):
            await client.send(Request("POST", server.url))


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_garbage_or_cut_short_means_reply_lost(text: bytes) -> None:
    async with serving(saying(text)) as server, outbound() as client:
        with pytest.raises(ReplyLost) as caught:
            await client.send(Request("POST", server.url))
    assert not isinstance(caught.value, ReplyTooLarge)
    assert len(server.requests) == 1


@pytest.mark.parametrize("length", [b"Content-Length: 1001\r\n", b""])
async def test_an_answer_past_the_limit_is_too_large(length: bytes) -> None:
    text = b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + b"x" * 1001
    async with serving(saying(text)) as server, outbound() as client:
        with pytest.raises(ReplyTooLarge):
            await client.send(Request("GET", server.url))
    async with serving(saying(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000)) as server, outbound() as client:
        assert len((await client.send(Request("GET", server.url))).body) == 1000


def replying(coding: str, body: bytes) -> Behaviour:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
    return saying(head.encode() + body)


PACKED = b'{"access_token":"a"}'
RAW = zlib.compressobj(wbits=-15)
RAW_DEFLATE = RAW.compress(PACKED) + RAW.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(PACKED, mtime=0)),
        ("GZIP", gzip.compress(PACKED, mtime=0)),
        ("deflate", zlib.compress(PACKED)),
        ("deflate", RAW_DEFLATE),
        ("identity", PACKED),
    ],
)
async def test_a_packed_answer_comes_back_unpacked_though_nobody_asked_for_it(coding: str, body: bytes) -> None:
    async with serving(replying(coding, body)) as server, outbound() as client:
        assert (await client.send(Request("GET", server.url))).body == PACKED
    assert b"Accept-Encoding: identity" in server.requests[0]


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", gzip.compress(PACKED, mtime=0)[:-9]), ("br", PACKED), ("gzip, gzip", gzip.compress(PACKED, mtime=0))],
)
async def test_an_answer_that_cannot_be_unpacked_means_reply_lost(coding: str, body: bytes) -> None:
    async with serving(replying(coding, body)) as server, outbound() as client:
        with pytest.raises(ReplyLost):
            await client.send(Request("GET", server.url))


async def test_of_two_addresses_the_one_that_answers_is_used() -> None:
    class Both:
        async def resolve(self, host: str, port: int) -> list[str]:
            return ["127.99.99.99", "127.0.0.1"]  # nobody listens at the first

    async with serving(answer) as server:
        client = Outbound(allow_private=True, total_timeout=5, resolver=Both())
        url = server.url.replace("127.0.0.1", "two.example")
        assert (await client.send(Request("GET", url))).status == 200
        await client.close()


async def test_a_request_under_way_fails_when_the_client_is_closed() -> None:
    async with serving(hang) as server:
        client = outbound()
        sending = asyncio.ensure_future(client.send(Request("POST", server.url)))
        while not server.requests:
            await asyncio.sleep(0.01)
        await client.close()
        with pytest.raises(ReplyLost):
            await sending


async def test_a_caller_who_gives_up_leaves_no_connection_that_another_could_read_from() -> None:
    async def late(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1 if len(server.requests) == 1 else 0)
        writer.write(ANSWER.replace(b"ok", b"%02d" % len(server.requests)))

    async with serving(late) as server, outbound() as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.send(Request("POST", server.url)), 0.05)
        await asyncio.sleep(0.1)
        assert (await client.send(Request("POST", server.url))).body == b"02"
    assert server.connections == 2


async def test_a_request_without_a_body_says_so() -> None:
    async with serving(answer) as server, outbound() as client:
        await client.send(Request("POST", server.url))
        await client.send(Request("GET", server.url))
    assert b"Content-Length: 0\r\n" in server.requests[0]
    assert b"Content-Length" not in server.requests[1]


def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's and a client's context around a fresh certificate for `host`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    is_name = host[-1].isalpha()
    alternative = x509.DNSName(host) if is_name else x509.IPAddress(ip_address(host))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))


async def test_a_trusted_certificate_is_accepted(tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "127.0.0.1")
    async with serving(answer, theirs) as server, outbound(tls=ours) as client:
        assert (await client.send(Request("GET", server.url))).body == b"ok"


@pytest.mark.parametrize("trusting", [False, True])
async def test_a_certificate_that_is_unknown_or_of_another_host_means_not_sent(tmp_path: Path, trusting: bool) -> None:
    theirs, ours = certificate(tmp_path, "127.0.0.2")
    async with serving(answer, theirs) as server, outbound(tls=ours if trusting else None) as client:
        with pytest.raises(NotSent, match="identity"):
            await client.send(Request("POST", server.url, body=b"secret=canary"))
    assert server.requests == []


async def test_https_to_a_server_that_speaks_plain_http_means_not_sent() -> None:
    async with serving(answer) as server, outbound() as client:
        with pytest.raises(NotSent):
            await client.send(Request("POST", server.url.replace("http:", "https:"), body=b"secret=canary"))
    assert server.requests == []


async def test_a_failure_does_not_quote_the_url_or_keep_its_cause() -> None:
    async with serving(saying(b"HTTP/1.1 abc\r\n\r\n")) as server, outbound() as client:
        with pytest.raises(ReplyLost) as caught:
            await client.send(Request("GET", server.url + "?access_token=canary"))
    assert "canary" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_a_closed_client_opens_again_when_used() -> None:
    async with serving(answer) as server:
        client = outbound()
        assert (await client.send(Request("GET", server.url))).status == 200
        await client.close()
        assert (await client.send(Request("GET", server.url))).status == 200
        await client.close()
    assert server.connections == 2
