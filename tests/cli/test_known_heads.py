"""A head that comes again on a connection is not parsed again, and means what it meant; whatever differs is parsed."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from holdfast.api.dispatch import WHOLE, Begin, Exchange
from holdfast.cli import exchange as exchanges
from holdfast.cli import http_protocol
from holdfast.cli.http_protocol import MOST_KNOWN_HEADS, BoundedHttpProtocol
from tests.cli.test_corked import _served


class Telling:
    """Takes every POST at once while `willing`; each answer tells the way, the path, a header and the body."""

    def __init__(self, *, curious: bool = False) -> None:
        self.willing, self.curious = True, curious

    def wants(self, exchange: Exchange) -> Begin | None:
        """Looks at the scope of a new head alone, unless it is `curious`."""
        if self.curious or "method" not in exchange.kept:
            exchange.kept["method"] = exchange.scope["method"]
        return self.begin if self.willing and exchange.kept["method"] == "POST" else None

    def begin(self, exchange: Exchange, body: bytes) -> bool:
        if body == b"declined":
            return False
        asyncio.get_running_loop().call_later(0.002, self._answer, exchange, body)
        return True

    def _answer(self, exchange: Exchange, body: bytes) -> None:
        if body == b"~" and not _line_of(exchange).pipeline:  # not before the next request has begun to come
            asyncio.get_running_loop().call_later(0.002, self._answer, exchange, body)
            return
        if body == b"otherwise" or _line_of(exchange).pipeline:
            exchange.otherwise(self)
            return
        text = _told(exchange.scope, "at once", body)
        assert exchange.whole(b"content-length: %d\r\n" % len(text), text)
        assert not exchange.whole(b"content-length: 1\r\n", b"x"), "it is over"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        text = _told(scope, "by a task", body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
        await send({"type": "http.response.body", "body": text})


def _line_of(exchange: Exchange) -> BoundedHttpProtocol:
    line: BoundedHttpProtocol = exchange.scope[WHOLE].__self__
    return line


def _told(scope: Scope, way: str, body: bytes) -> bytes:
    assert "seen" not in scope
    scope["seen"] = True  # what one request leaves in its scope is not in the next one's
    scope["headers"].append((b"x-seen", b"yes"))
    scope["state"]["seen"] = True
    names = [value.decode() for name, value in scope["headers"] if name in (b"x-name", b"x-seen")]
    assert len(names) <= 2
    return f"{way} {scope['raw_path'].decode()} {names[0]} ".encode() + body


def _post(body: bytes, name: str = "ada", *headers: str, path: str = "/a") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"X-Name: {name}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def _ask(line: tuple[asyncio.StreamReader, asyncio.StreamWriter], *pieces: bytes) -> str:
    reader, writer = line
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.005)
    return await _answer(reader)


async def _answer(reader: asyncio.StreamReader) -> str:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode()
    assert head.startswith("HTTP/1.1 200")
    length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
    return (await asyncio.wait_for(reader.readexactly(length), 20)).decode()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies of requests whose heads were not parsed."""
    found: list[bytes] = []
    came_again = BoundedHttpProtocol._came_again

    def counted(self: BoundedHttpProtocol, head: exchanges.Head, body: bytes) -> bool:
        if not came_again(self, head, body):
            return False
        found.append(body)
        return True

    monkeypatch.setattr(BoundedHttpProtocol, "_came_again", counted)
    return found


async def test_the_same_head_is_parsed_once_and_each_body_has_its_answer(known: list[bytes]) -> None:
    async with _served(Telling()) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        for body in (b"one", b"two", b"six", b"\r\n\r", b"ten"):
            assert await _ask(line, _post(body)) == f"at once /a ada {body.decode()}"
        line[1].close()
    assert known == [b"two", b"six", b"\r\n\r", b"ten"]


async def test_another_name_path_or_length_is_another_head(known: list[bytes]) -> None:
    async with _served(Telling()) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        assert await _ask(line, _post(b"x")) == "at once /a ada x"
        assert await _ask(line, _post(b"x", "bob")) == "at once /a bob x"
        assert await _ask(line, _post(b"x", path="/b")) == "at once /b ada x"
        assert await _ask(line, _post(b"xy")) == "at once /a ada xy"
        assert known == []
        assert await _ask(line, _post(b"y", "bob")) == "at once /a bob y"
        assert await _ask(line, _post(b"y")) == "at once /a ada y"
        line[1].close()
    assert known == [b"y", b"y"]


async def test_of_a_known_head_a_scope_is_made_for_whoever_looks_at_it(
    known: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Scope] = []
    scope_of = exchanges.Head.scope

    def counted(self: exchanges.Head, line: BoundedHttpProtocol) -> Scope:
        made.append(scope_of(self, line))
        return made[-1]

    class Blind(Telling):
        def _answer(self, exchange: Exchange, body: bytes) -> None:
            if body == b"blind":
                assert exchange.whole(b"content-length: 5\r\n", b"blind")
            else:
                super()._answer(exchange, body)

    monkeypatch.setattr(exchanges.Head, "scope", counted)
    async with _served(Blind()) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        for number in range(3):
            assert await _ask(line, _post(b"blind")) == "blind"
            assert len(made) == number
            assert await _ask(line, _post(b"looks")) == "at once /a ada looks"
            assert len(made) == number + 1
        line[1].close()
    assert all(scope["client"] == made[0]["client"] for scope in made)


async def test_connections_share_a_head_but_not_who_is_at_their_end(known: list[bytes]) -> None:
    seen: list[tuple[object, object]] = []

    class Watching(Telling):
        def begin(self, exchange: Exchange, body: bytes) -> bool:
            seen.append((exchange.scope["client"], exchange.kept))
            return super().begin(exchange, body)

    def shared() -> int:
        return sum(len(one.heads) for one in exchanges._shared.values())

    async with _served(Watching()) as port:
        before, lines = shared(), [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for line in lines * 3:
            assert await _ask(line, _post(b"one")) == "at once /a ada one"
        assert len(known) == 6
        clients = [line[1].get_extra_info("sockname") for line in lines]
        assert [client for client, _ in seen] == clients * 3
        assert all(kept is seen[3][1] for _, kept in seen[3:])
        assert shared() == before + 1
        for line in lines:
            assert shared() == before + 1
            line[1].close()
            await line[1].wait_closed()
            await asyncio.sleep(0.01)
        assert shared() == before, "nothing of a key is kept without a connection"


@pytest.mark.parametrize("curious", [False, True])
async def test_what_is_declined_by_the_curious_is_another_request_than_the_last(curious: bool) -> None:
    """A connection's cycle serves one request after the other: what one leaves is nothing to the next."""
    async with _served(Telling(curious=curious)) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        for body in (b"aaaaaaaa", b"declined", b"bbbbbbbb", b"otherwis", b"declined", b"cccccccc"):
            way = "by a task" if body == b"declined" else "at once"
            assert await _ask(line, _post(body)) == f"{way} /a ada {body.decode()}"
        line[1].close()


async def test_a_known_head_in_pieces_is_parsed(known: list[bytes]) -> None:
    async with _served(Telling()) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        request = _post(b"whole")
        assert await _ask(line, request) == "at once /a ada whole"
        for cut in (1, 20, len(request) - 5, len(request) - 2):
            assert await _ask(line, request[:cut], request[cut:]) == "at once /a ada whole"
        assert known == []
        # Bytes that look like a known request are a body here.
        outer = _post(request, "eve")
        cut = len(outer) - len(request)
        assert await _ask(line, outer[:cut], outer[cut:]) == "at once /a eve " + request.decode()
        assert known == []
        assert await _ask(line, request) == "at once /a ada whole"
        line[1].close()
    assert known == [b"whole"]


async def test_a_body_in_chunks_makes_no_head_known(known: list[bytes]) -> None:
    async with _served(Telling()) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nX-Name: ada\r\nTransfer-Encoding: chunked\r\n\r\n"
        for _ in range(3):
            assert await _ask(line, head + b"2\r\nhi\r\n0\r\n\r\n") == "at once /a ada hi"
        line[1].close()
    assert known == []


async def test_known_heads_in_a_row_and_while_one_is_answered_keep_their_order(known: list[bytes]) -> None:
    async with _served(Telling()) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            assert await _ask(line, _post(b"a")) == "at once /a ada a"
            line[1].write(_post(b"b"))
            await asyncio.sleep(0)
            line[1].write(_post(b"c") + _post(b"d"))
            assert [(await _answer(line[0]))[-1] for _ in range(3)] == ["b", "c", "d"]
        line[1].close()
    assert b"a" in known


async def test_the_next_request_has_its_body_though_the_one_before_went_by_a_task_meanwhile(known: list[bytes]) -> None:
    """A cycle is made for the one before while the next one's stands there already, and waits for the rest of it."""
    async with _served(Telling()) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        assert await _ask(line, _post(b"a")) == "at once /a ada a"
        next_one = _post(b"the rest")
        line[1].write(_post(b"~"))
        await asyncio.sleep(0.005)
        line[1].write(next_one[:-4])
        assert (await _answer(line[0])) == "by a task /a ada ~"
        line[1].write(next_one[-4:])
        assert (await _answer(line[0])).endswith("the rest")
        line[1].close()
    assert known == [b"~"]


async def test_what_is_declined_or_answered_otherwise_goes_by_a_task_with_its_body(known: list[bytes]) -> None:
    telling = Telling()
    async with _served(telling) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        assert await _ask(line, _post(b"taken at")) == "at once /a ada taken at"
        for _ in range(3):
            assert await _ask(line, _post(b"declined")) == "by a task /a ada declined"
            assert await _ask(line, _post(b"taken at")) == "at once /a ada taken at"
        assert await _ask(line, _post(b"123456789")) == "at once /a ada 123456789"
        for _ in range(3):
            assert await _ask(line, _post(b"otherwise")) == "by a task /a ada otherwise"
        assert len(known) == 9
        telling.willing = False
        assert await _ask(line, _post(b"otherwise")) == "by a task /a ada otherwise"
        assert len(known) == 9
        line[1].close()


async def test_a_connection_knows_a_bounded_number_of_heads(known: list[bytes]) -> None:
    held: set[BoundedHttpProtocol] = set()
    telling = Telling()
    begin = telling.begin

    def seen(exchange: Exchange, body: bytes) -> bool:
        held.add(_line_of(exchange))
        return begin(exchange, body)

    telling.begin = seen  # type: ignore[method-assign]
    async with _served(telling) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        for number in range(3 * MOST_KNOWN_HEADS):
            await _ask(line, _post(b"x", f"n{number}"))
        (protocol,) = held
        assert 0 < len(protocol._heads) <= MOST_KNOWN_HEADS
        line[1].close()
        while protocol._heads:  # nothing of a key is kept with a connection that has ended
            await asyncio.sleep(0.005)


async def test_an_idle_connection_ends_and_a_busy_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "IDLE_SECONDS", 0.5)
    async with _served(Telling()) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        for number in range(20):
            assert await _ask(line, _post(b"%02d" % number)) == f"at once /a ada {number:02d}"
            await asyncio.sleep(0.05)
        began = asyncio.get_running_loop().time()
        assert await asyncio.wait_for(line[0].read(-1), 20) == b""
        assert asyncio.get_running_loop().time() - began > 0.3
        line[1].close()


async def test_an_empty_line_before_a_known_head_does_not_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9112 section 2.2: there are clients that send one, and it begins no head that must then come in time."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 1.0)
    async with _served(Telling()) as port:
        line = await asyncio.open_connection("127.0.0.1", port)
        assert await _ask(line, _post(b"one")) == "at once /a ada one"
        assert await _ask(line, b"\r\n", _post(b"two")) == "at once /a ada two"
        await asyncio.sleep(1.5)
        assert await _ask(line, _post(b"six")) == "at once /a ada six"
        line[1].close()
