"""Attack: make the server call what only it can reach (security list, rows 13, 14 and 41).

By an address in any spelling, by a name that changes its mind between check and use, by a redirect, by a
reply that unfolds. Real sockets on loopback; a name server of the test's own.
"""

import gzip
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp import web

from holdfast.http import Request
from holdfast.outbound import Blocked, NotSent, Outbound, ReplyLost, ReplyTooLarge, is_public

CLOSED = """
    0.0.0.0 0.1.2.3 10.0.0.0 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1
    127.255.255.254 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1
    192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255
    198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16 ::
    ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::7f00:1
    64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 64:ff9b:1::808:808 64:ff9b:1:a00:0:100:: 100::1 2001::1
    2001:0:7f00:1::1 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808::1
    3fff::1 5f00::1 fc00::1 fd00:ec2::254 fd12:3456::1 fe80::1 febf::1 fec0::1 ff02::1 ff0e::1
    4000::1
""".split()  # noqa: SIM905 - a table reads better without quotes
OPEN = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
    169.253.255.255 172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 192.169.0.0 198.17.255.255
    198.20.0.0 223.255.255.255 2606:4700:4700::1111 2a00:1450:4001::200e 2001:4860:4860::8888
    2003::1 64:ff9b::808:808
""".split()  # noqa: SIM905 - a table reads better without quotes


def test_the_table_is_as_long_as_it_claims() -> None:
    assert len(set(CLOSED)) >= 60


@pytest.mark.parametrize("ip", CLOSED)
def test_an_address_that_is_not_public_is_closed(ip: str) -> None:
    assert not is_public(ip)


@pytest.mark.parametrize("ip", OPEN)
def test_the_neighbours_of_closed_ranges_are_open(ip: str) -> None:
    assert is_public(ip)


class Names:
    """A name server: each name has a list of answers, given in turn; the last is repeated."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(turns) for name, turns in answers.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        turns = self.answers[host]
        return turns.pop(0) if len(turns) > 1 else turns[0]


class Capture:
    """A server on loopback that notes every request it sees, and answers as told by path."""

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if target := request.query.get("to"):
            return web.Response(status=int(request.query.get("status", "302")), headers={"Location": target})
        if request.path == "/bomb":
            return web.Response(body=gzip.compress(b"\0" * 50_000_000), headers={"Content-Encoding": "gzip"})
        if request.path == "/endless":
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while True:
                    await response.write(b"x" * 65536)
            except ConnectionResetError:
                return response
        return web.Response(text="inside")


@pytest.fixture
async def capture() -> AsyncIterator[Capture]:
    server = Capture()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


def outbound(names: Names | None = None, allow_private: bool = False) -> Outbound:
    return Outbound(
        allow_private=allow_private, total_timeout=5, connect_timeout=0.5, max_body=1_000_000, resolver=names
    )


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "64:ff9b::7f00:1"])
async def test_a_public_name_with_a_private_address_is_refused_before_any_connection(capture: Capture, ip: str) -> None:
    async with outbound(Names(innocent_example=[[ip]])) as client:
        with pytest.raises(Blocked):
            await client.send(Request("GET", f"https://innocent.example:{capture.port}/"))
    assert capture.seen == []


async def test_one_private_address_among_public_ones_condemns_the_name() -> None:
    async with outbound(Names(mixed_example=[["8.8.8.8", "127.0.0.1"]])) as client:
        with pytest.raises(Blocked):
            await client.send(Request("GET", "https://mixed.example/"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "localhost", "0.0.0.0"]
)
async def test_loopback_in_any_spelling_is_refused(capture: Capture, host: str) -> None:
    async with outbound() as client:
        with pytest.raises(Blocked):
            await client.send(Request("GET", f"https://{host}:{capture.port}/"))
    assert capture.seen == []


async def test_plain_http_does_not_leave_the_private_network_by_a_name() -> None:
    async with outbound(Names(public_example=[["8.8.8.8"]]), allow_private=True) as client:
        with pytest.raises(Blocked):
            await client.send(Request("GET", "http://public.example/"))


@pytest.mark.parametrize("answer", ["localhost", "127.1", "0x7f000001", "::ffff:127.0.0.1", "fe80::1%lo", ""])
async def test_a_name_servers_answer_that_is_no_plain_public_address_gets_no_connection(
    capture: Capture, answer: str
) -> None:
    async with outbound(Names(odd_example=[["8.8.8.8", answer]])) as client:
        with pytest.raises(Blocked):
            await client.send(Request("GET", f"https://odd.example:{capture.port}/"))
    assert capture.seen == []


async def test_a_name_that_rebinds_after_the_check_is_not_asked_again() -> None:
    # 2d00::1 is in no allocated block: public by policy, and nobody's to answer.
    names = Names(rebinding_example=[["2d00::1"], ["127.0.0.1"]])
    async with outbound(names) as client:
        with pytest.raises(NotSent) as caught:
            await client.send(Request("GET", "https://rebinding.example:8443/"))
        assert not isinstance(caught.value, Blocked)
        assert names.asked == ["rebinding.example"]
        with pytest.raises(Blocked):
            await client.send(Request("GET", "https://rebinding.example:8443/"))


async def test_the_connection_goes_to_the_address_that_was_checked(capture: Capture) -> None:
    names = Names(rebinding_example=[["127.0.0.1"], ["169.254.169.254"]])
    url = f"http://rebinding.example:{capture.port}/"
    async with outbound(names, allow_private=True) as client:
        assert (await client.send(Request("GET", url))).body == b"inside"
    assert names.asked == ["rebinding.example"]
    assert capture.seen[0].host == f"rebinding.example:{capture.port}"
    async with outbound(names, allow_private=True) as client:
        with pytest.raises(Blocked):
            await client.send(Request("GET", url))
    assert len(capture.seen) == 1


async def test_a_proxy_in_the_environment_is_not_believed(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{capture.port}")
    async with outbound(Names(evil_example=[["10.0.0.1"]])) as client:
        with pytest.raises(Blocked):
            await client.send(Request("GET", "https://evil.example/"))
    assert capture.seen == []


async def test_a_redirect_is_not_followed_by_send(capture: Capture) -> None:
    async with outbound(allow_private=True) as client:
        reply = await client.send(
            Request("POST", f"http://127.0.0.1:{capture.port}/?to=http://127.0.0.1:{capture.port}/x")
        )
    assert (reply.status, len(capture.seen)) == (302, 1)


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1./",
        "http://metadata.example/",
        "file:///etc/passwd",
        "//0x7f.1/",
        "http://user@127.0.0.1:1/",
    ],
)
async def test_a_redirect_to_where_nothing_may_be_sent_is_refused(capture: Capture, target: str) -> None:
    names = Names(metadata_example=[["169.254.169.254"]])
    async with outbound(names, allow_private=True) as client:
        with pytest.raises(Blocked):
            await client.fetch(Request("GET", f"http://127.0.0.1:{capture.port}/?to={target}"))
    assert len(capture.seen) == 1


SECRET_HEADERS = {
    "Authorization": "Bearer canary",
    "X-Api-Key": "canary",
    "Cookie": "s=canary",
    "Accept": "text/plain",
}


async def test_a_credential_does_not_travel_to_another_origin(capture: Capture) -> None:
    names = Names(first_example=[["127.0.0.1"]], second_example=[["127.0.0.1"]])
    second = f"http://second.example:{capture.port}/end"
    async with outbound(names, allow_private=True) as client:
        reply = await client.fetch(Request("GET", f"http://first.example:{capture.port}/?to={second}", SECRET_HEADERS))
    assert reply.body == b"inside"
    first, last = capture.seen
    assert first.headers["Authorization"] == "Bearer canary"
    assert last.host.startswith("second.example")
    assert last.headers["Accept"] == "text/plain"
    assert "canary" not in str(last.headers)


async def test_a_credential_stays_with_a_redirect_within_its_origin(capture: Capture) -> None:
    async with outbound(allow_private=True) as client:
        await client.fetch(Request("GET", f"http://127.0.0.1:{capture.port}/?to=/end", SECRET_HEADERS))
    assert [seen.headers.get("Authorization") for seen in capture.seen] == ["Bearer canary", "Bearer canary"]


async def test_redirects_without_end_are_left_alone(capture: Capture) -> None:
    async with outbound(allow_private=True) as client:
        with pytest.raises(ReplyLost):
            await client.fetch(Request("GET", f"http://127.0.0.1:{capture.port}/?to=?to=%3Fto"), redirects=1)
        with pytest.raises(ValueError, match="GET"):
            await client.fetch(Request("POST", f"http://127.0.0.1:{capture.port}/"))


@pytest.mark.parametrize("name", ["Host", "host", "Content-Length", "Transfer-Encoding", "Connection"])
async def test_a_header_that_frames_or_addresses_the_message_is_refused(capture: Capture, name: str) -> None:
    async with outbound(allow_private=True) as client:
        with pytest.raises(Blocked):
            await client.send(Request("GET", f"http://127.0.0.1:{capture.port}/", {name: "evil.example"}))
    assert capture.seen == []


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"X": "a\r\nAuthorization: Bearer evil"}),
        ("GET", {"X": "a\nb"}),
        ("GET", {"X\r\nY": "a"}),
        ("GET / HTTP/1.1\r\nX: y\r\n\r\nGET", {}),
    ],
)
async def test_a_line_break_cannot_smuggle_a_header_or_a_request(
    capture: Capture, method: str, headers: dict[str, str]
) -> None:
    async with outbound(allow_private=True) as client:
        with pytest.raises(Blocked):
            await client.send(Request(method, f"http://127.0.0.1:{capture.port}/", headers))
    assert capture.seen == []


async def test_a_small_reply_that_unfolds_into_a_large_one_is_cut_off(capture: Capture) -> None:
    async with outbound(allow_private=True) as client:
        with pytest.raises(ReplyTooLarge):
            await client.send(Request("GET", f"http://127.0.0.1:{capture.port}/bomb"))


async def test_a_reply_without_end_is_cut_off(capture: Capture) -> None:
    async with outbound(allow_private=True) as client:
        with pytest.raises(ReplyTooLarge):
            await client.send(Request("GET", f"http://127.0.0.1:{capture.port}/endless"))
