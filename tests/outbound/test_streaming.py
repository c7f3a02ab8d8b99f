"""The streaming client: the same guard as the other one, connections kept and bounded, and nothing read as more than it
is. Bodies of any length are tested where they matter, through the proxy."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.outbound.test_outbound_client import answer, certificate, hang, serving

from holdfast.outbound import Blocked, ConnectionStale, NotSent, Outgoing, ReplyLost, Streaming, origins, target_of
from holdfast.outbound.wire import Pairs


class Names:
    """A name server that answers with the next of these each time it is asked; the last one from then on."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@asynccontextmanager
async def streaming(
    *, allow_private: bool = True, names: Names | None = None, tls: ssl.SSLContext | None = None, **more: int
) -> AsyncIterator[Streaming]:
    client = Streaming(
        allow_private=allow_private,
        idle_timeout=0.5,
        total_timeout=5,
        connect_timeout=1,
        resolver=names,
        tls=tls,
        **more,
    )
    try:
        yield client
    finally:
        await client.close()


def get(url: str, headers: Pairs | None = None, path: bytes = b"/x") -> Outgoing:
    return Outgoing("GET", target_of(url, allow_private=True), path, headers or [])


async def read(client: Streaming, request: Outgoing) -> tuple[int, bytes]:
    exchange = await client.send(request)
    try:
        body = b""
        while piece := await exchange.take():
            body += piece
        return exchange.status, body
    finally:
        exchange.close()


async def test_a_trusted_certificate_is_accepted_and_no_other(tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "127.0.0.1")
    async with serving(answer, theirs) as server:
        async with streaming(tls=ours) as client:
            assert await read(client, get(server.url)) == (200, b"ok")
            assert await read(client, get(server.url)) == (200, b"ok")
            assert server.connections == 1
        async with streaming() as client:
            with pytest.raises(NotSent):
                await client.send(get(server.url))
    assert len(server.requests) == 2


async def test_the_certificate_must_name_the_host_though_the_address_is_pinned(tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "api.example.com")
    async with serving(answer, theirs) as server, streaming(tls=ours, names=Names(["127.0.0.1"])) as client:
        port = server.url.split(":")[2].split("/")[0]
        assert await read(client, get(f"https://api.example.com:{port}/")) == (200, b"ok")
        with pytest.raises(NotSent):
            await client.send(get(f"https://other.example.com:{port}/"))


@pytest.mark.parametrize(
    "addresses",
    (["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"]),
)
async def test_a_name_that_leads_inside_is_refused(addresses: list[str]) -> None:
    async with streaming(allow_private=False, names=Names(addresses)) as client:
        with pytest.raises(Blocked):
            await client.send(get("https://api.example.com/"))


async def test_a_name_server_that_changes_its_mind_is_not_asked_between_check_and_connection() -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    async with serving(answer) as server, streaming(names=names) as client:
        port = server.url.split(":")[2].split("/")[0]
        for _ in range(3):
            assert await read(client, get(f"http://api.example.com:{port}/")) == (200, b"ok")
    assert names.asked == 1


async def test_connections_are_bounded_and_others_wait_their_turn() -> None:
    async with serving(answer) as server, streaming(per_origin=2) as client:
        found = await asyncio.gather(*(read(client, get(server.url)) for _ in range(20)))
        assert found == [(200, b"ok")] * 20
        assert server.connections <= 2
    async with serving(hang) as server, streaming(per_origin=1) as client:
        first = asyncio.ensure_future(client.send(get(server.url)))
        await asyncio.sleep(0.05)
        second = asyncio.ensure_future(client.send(get(server.url)))
        third = asyncio.ensure_future(client.send(get(server.url)))
        await asyncio.sleep(0.05)
        third.cancel()
        failures = await asyncio.gather(first, second, third, return_exceptions=True)
        assert [type(one) for one in failures[:1]] == [ReplyLost]
        assert isinstance(failures[1], ReplyLost | NotSent)
        assert isinstance(failures[2], asyncio.CancelledError)
    async with serving(answer) as server, streaming(per_origin=1) as client:
        assert await read(client, get(server.url)) == (200, b"ok")


async def test_a_place_comes_back_whatever_becomes_of_its_call() -> None:
    async with serving(hang) as server, streaming(per_origin=1) as client:
        for _ in range(3):
            call = asyncio.ensure_future(client.send(get(server.url)))
            await asyncio.sleep(0.05)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert server.connections == 3
    async with streaming(per_origin=1) as client:
        for _ in range(3):
            with pytest.raises(NotSent):
                await client.send(get("http://127.0.0.1:9998/"))


async def test_a_kept_connection_that_breaks_is_told_from_a_lost_reply() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        await reader.readexactly(1)
        writer.transport.abort()

    async with serving(once) as server, streaming() as client:
        assert await read(client, get(server.url)) == (200, b"ok")
        with pytest.raises(ConnectionStale):
            await client.send(get(server.url))


@pytest.mark.parametrize(
    ("path", "headers"),
    (
        (b"/x HTTP/1.1\r\nhost: evil\r\n\r\n", []),
        (b"/x y", []),
        (b"http://evil/", []),
        (b"/x", [(b"a", b"1\r\nhost: evil")]),
        (b"/x", [(b"a", b"1\nb: c")]),
        (b"/x", [(b"a\r\nb", b"1")]),
        (b"/x", [(b"a", b"\0")]),
        (b"/x", [(b"a", b"1\r")]),
    ),
)
async def test_a_head_that_would_be_read_as_more_is_not_sent(path: bytes, headers: Pairs) -> None:
    async with serving(answer) as server, streaming() as client:
        with pytest.raises(Blocked):
            await client.send(get(server.url, headers, path))
        assert server.connections == 0


async def test_a_body_that_is_not_as_long_as_it_says_is_broken_off() -> None:
    async def giving() -> AsyncIterator[bytes]:
        yield b"abc"

    async with serving(hang) as server, streaming() as client:
        for length in (2, 5):
            request = Outgoing("POST", target_of(server.url, allow_private=True), b"/x", [], giving(), length)
            with pytest.raises(ReplyLost):
                await asyncio.wait_for(client.send(request), 0.4)


def test_a_request_does_not_show_what_it_carries() -> None:
    assert "s3cret" not in repr(get("http://127.0.0.1:80/", [(b"authorization", b"s3cret")], b"/?key=s3cret"))


async def test_connections_that_grew_old_at_rest_do_not_raise_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(origins, "_SWEEP_SECONDS", 60)
    async with serving(answer) as server, streaming(per_origin=1) as client:
        for _ in range(3):
            assert (await read(client, get(server.url)))[0] == 200
            await asyncio.sleep(0.1)
        server.behaviour = hang
        before = server.connections
        waiting = [asyncio.ensure_future(client.send(get(server.url))) for _ in range(3)]
        await asyncio.sleep(0.2)
        assert server.connections == before + 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
