"""The frequent call without a task: the same answers, entries and limits as in the ordinary way, and the same care."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from holdfast.accounts import Account, Owner
from holdfast.api.dispatch import WHOLE, AtOnce
from holdfast.connections.changes import NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.events import Action, Actor, Entry
from holdfast.ids import opaque
from holdfast.secret import Secret
from tests.parts.capture import Behaviour, Capture, Captured, read_body, reply
from tests.parts.offered import Offered
from tests.parts.postgres import Postgres
from tests.storage.engines import ENGINES
from tests.tokens.house import House, house_on

ORIGINS = ("https://github.com", "https://api.github.com")


class Told:
    """A reply; `by` is who gave it: the lane, whole, or a task."""

    def __init__(self) -> None:
        self.status, self.headers, self.body, self.by = 0, list[tuple[bytes, bytes]](), b"", ""

    def facts(self) -> Any:
        """Everything but what differs between any two calls, or says how the body is framed."""
        apart = (b"x-holdfast-request-id", b"content-length")
        return self.status, sorted(pair for pair in self.headers if pair[0] not in apart), self.body


class Shop:
    """A house whose GitHub is the capture server, and one user's account there."""

    def __init__(self, house: House, capture: Capture, account: Account, key: str) -> None:
        self.house, self.capture, self.account, self.key = house, capture, account, key
        app = house.holdfast.app
        assert isinstance(app, AtOnce)
        self.lane: AtOnce = app
        self.app: ASGIApp = app  # type: ignore[assignment]

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}", "x-relay-user": self.account.owner.user_id}

    def scope(self, path: str, method: str, more: dict[str, str]) -> dict[str, Any]:
        raw, _, query = path.encode().partition(b"?")
        return {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": raw.decode(),
            "raw_path": raw,
            "query_string": query,
            "headers": [(name.encode(), value.encode()) for name, value in (self.headers | more).items() if value],
        }

    async def ask(
        self, path: str, method: str = "GET", body: bytes = b"", *, at_once: bool = True, **more: str
    ) -> Told:
        """Call as the server does: offered to the lane first, or in the ordinary way from the beginning."""
        said = {name.replace("_", "-"): value for name, value in more.items()}
        if body:
            said["content-length"] = str(len(body))
        scope, told, done = self.scope(path, method, said), Told(), asyncio.get_running_loop().create_future()

        def whole(_scope: Any, lines: bytes, content: bytes, status: int = 200) -> bool:
            told.status, told.body, told.by = status, content, "lane"
            pairs = [line.partition(b": ") for line in lines.split(b"\r\n") if line]
            told.headers = [(name, value) for name, _, value in pairs]
            done.set_result(None)
            return True

        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            return await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                told.status, told.headers, told.by = message["status"], list(message["headers"]), "task"
            else:
                told.body += message.get("body", b"")

        scope[WHOLE] = whole
        tasks = []
        offered = Offered(scope, whole, lambda app: tasks.append(asyncio.ensure_future(app(scope, receive, send))))
        begin = self.lane.wants(offered) if at_once else None
        if begin is None or not begin(offered, body):
            await self.app(scope, receive, send)
            return told
        while not done.done() and not (tasks and tasks[0].done()):
            await asyncio.sleep(0.002)
        for task in tasks:
            await task
        return told

    async def entries(self, action: Action) -> list[Entry]:
        await self.house.holdfast.proxy.settled()
        return [entry for entry in await self.house.entries(self.account) if entry.action is action]


async def opened(database: str, folder: Path, capture: Capture, **settings: Any) -> AsyncIterator[Shop]:
    origins = dict.fromkeys(ORIGINS, capture.url)
    async with house_on(database, folder, provider_origins=origins, **settings) as house:
        new = NewConnection(
            provider_slug="github",
            client_supply="custom",
            client=ClientInput("client", Secret("a-secret-of-the-client")),
            enabled=True,
        )
        connection = await house.connections.create(house.environment_id, new, Actor("operator"))
        account = await house.connect(connection, owner=Owner.user("user_" + opaque(12)))
        _, key = await house.holdfast.keys.create(house.environment_id, "calls", Actor("operator"))
        await house.holdfast.keys.authenticate(key.reveal())
        yield Shop(house, capture, account, key.reveal())


@pytest.fixture(params=ENGINES)
async def shop(request: pytest.FixtureRequest, tmp_path: Path, capture: Capture) -> AsyncIterator[Shop]:
    database = ""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.fresh_database()
    async for made in opened(database, tmp_path, capture):
        await made.ask("/relay/github/warm")  # from now on a connection to the provider is at rest
        capture.requests.clear()
        yield made


def pieces(*parts: bytes, pause: float = 0.05) -> Behaviour:
    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


REPLIES: dict[str, tuple[bytes, str]] = {
    "small": (reply("200 OK", b'{"a":1}', "Content-Type: application/json", "X-Rate: 5"), "lane"),
    "nothing in it": (reply("200 OK", b""), "lane"),
    "in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "lane"),
    "not found": (reply("404 Not Found", b"{}"), "lane"),
    "too many": (reply("429 Too Many Requests", b"{}", "Retry-After: 7"), "lane"),
    "broken": (reply("503 Service Unavailable", b"<html>"), "lane"),
    "elsewhere": (reply("302 Found", b"", "Location: https://evil.example/"), "lane"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "task"),
    "not changed": (b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n', "task"),
    "cookies and orders to proxies": (
        reply("200 OK", b"{}", "Set-Cookie: a=b", "X-Accel-Redirect: /x", "X-Relay-Upstream-Status: 1", "Server: y"),
        "lane",
    ),
    "headers named by Connection": (reply("200 OK", b"{}", "Connection: x-a, keep-alive", "X-A: 1", "X-B: 2"), "lane"),
    "control characters": (reply("200 OK", b"{}", "X-A: a\x01b", "X-B: ok"), "task"),
    "the last on its connection": (reply("200 OK", b"{}", "Connection: close"), "lane"),
    "after an interim one": (b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + reply("200 OK", b"{}"), "lane"),
}


@pytest.mark.parametrize("what", REPLIES)
async def test_a_reply_that_comes_whole_is_passed_on_by_the_lane_as_in_the_ordinary_way(shop: Shop, what: str) -> None:
    answer, by = REPLIES[what]
    shop.capture.answers(answer)
    ours = await shop.ask("/relay/github/user?a=b", accept="x/y", cookie="secret")
    assert ours.by == by
    sent = shop.capture.last
    theirs = await shop.ask("/relay/github/user?a=b", accept="x/y", cookie="secret", at_once=False)
    assert ours.facts() == theirs.facts()
    assert (sent.line, sent.headers) == (shop.capture.last.line, shop.capture.last.headers)
    assert sent.header("authorization") == f"Bearer {shop.house.access_of(shop.account)}"
    assert sent.header("cookie") is None
    if by == "lane":
        assert (b"content-length", b"%d" % len(ours.body)) in ours.headers


async def test_a_reply_that_quotes_the_credential_does_not_reach_the_caller_with_it(shop: Shop) -> None:
    token = shop.house.access_of(shop.account)
    shop.capture.answers(reply("200 OK", b"{}", f"X-Echo: <{token}>", "X-Other: 1"))
    ours, theirs = await shop.ask("/relay/github/x"), await shop.ask("/relay/github/x", at_once=False)
    assert ours.facts() == theirs.facts()
    assert ours.by == "lane"
    assert dict(ours.headers)[b"x-echo"] == b"<<sealed>>"


async def test_each_call_leaves_the_entry_of_the_read_before_it_and_its_own_after_it(shop: Shop) -> None:
    seen: list[int] = []

    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(len(await shop.entries(Action.CREDENTIAL_READ)))
        writer.write(reply("418 Teapot", b"12345"))

    before = len(await shop.entries(Action.CREDENTIAL_READ))
    shop.capture.behaviour = behave
    told = await shop.ask("/relay/github/users/42", "POST", b"body")
    assert seen == [before + 1], "the read is on record before the call is sent"
    read, called = (await shop.entries(Action.CREDENTIAL_READ))[-1], (await shop.entries(Action.PROXY_CALLED))[-1]
    assert read.request_id == called.request_id == dict(told.headers)[b"x-holdfast-request-id"].decode()
    assert called.id and called.actor == read.actor
    assert called.data.pop("ms") >= 0  # type: ignore[attr-defined]
    assert called.data == {
        "connection": "github",
        "method": "POST",
        "host": "127.0.0.1",
        "path": "/users/{}",
        "status": 418,
        "sent": 4,
        "received": 5,
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_short_body_goes_along(shop: Shop, method: str) -> None:
    told = await shop.ask("/relay/github/x", method, b'{"x":1}')
    assert (told.status, told.by) == (200, "lane")
    assert (shop.capture.last.method, shop.capture.last.body) == (method, b'{"x":1}')


REQUESTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "no user": ("/relay/github/x", "GET", {"x_relay_user": ""}),
    "a stranger": ("/relay/github/x", "GET", {"x_relay_user": "nobody"}),
    "an unknown connection": ("/relay/nowhere/x", "GET", {}),
    "an organization": ("/relay/github/x", "GET", {"x_relay_organization": "org_1"}),
    "dots": ("/relay/github/a/../b", "GET", {}),
    "an absolute address in the path": ("/relay/github/https://evil.example/", "GET", {}),
    "a host of somebody else": ("/relay/github", "GET", {"x_relay_url": "https://evil.example/x"}),
    "no address": ("/relay", "GET", {}),
    "no key": ("/relay/github/x", "GET", {"authorization": ""}),
    "an unknown key": ("/relay/github/x", "GET", {"authorization": "Bearer sk_nobody"}),
    "an upgrade": ("/relay/github/x", "GET", {"upgrade": "websocket"}),
    "another method": ("/relay/github/x", "TRACE", {}),
    "a wait that is none": ("/relay/github/x", "GET", {"x_holdfast_wait": "soon"}),
    "two providers": ("/relay/github/x", "GET", {"x_relay_provider": "gitlab"}),
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_what_is_refused_is_refused_in_the_same_words_and_goes_nowhere(shop: Shop, what: str) -> None:
    path, method, more = REQUESTS[what]
    read, called = await shop.entries(Action.CREDENTIAL_READ), await shop.entries(Action.PROXY_CALLED)
    ours = await shop.ask(path, method, **more)
    theirs = await shop.ask(path, method, at_once=False, **more)
    if ours.status != 402:  # each is told another link to connect by
        assert ours.facts() == theirs.facts()
    assert ours.status == theirs.status >= 400
    assert ours.by == "task"
    assert shop.capture.requests == []
    assert await shop.entries(Action.CREDENTIAL_READ) == read
    assert await shop.entries(Action.PROXY_CALLED) == called


async def test_a_key_that_was_revoked_stops_at_once(shop: Shop) -> None:
    assert (await shop.ask("/relay/github/x")).by == "lane"
    principal = await shop.house.holdfast.keys.authenticate(shop.key)
    await shop.house.holdfast.keys.revoke(shop.house.environment_id, principal.key_id, Actor("operator"))
    shop.capture.requests.clear()
    assert (await shop.ask("/relay/github/x")).status == 401
    assert shop.capture.requests == []


async def test_an_ended_token_is_renewed_once_and_the_call_repeated(shop: Shop) -> None:
    async def behave(request: Captured, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request.body = await read_body(request, reader)
        if request.target.startswith("/login/oauth"):
            grant = b'{"access_token":"fresh-token","token_type":"bearer","expires_in":3600,"refresh_token":"next"}'
            writer.write(reply("200 OK", grant, "Content-Type: application/json"))
        elif request.header("authorization") == "Bearer fresh-token":
            writer.write(reply("200 OK", b"welcome"))
        else:
            writer.write(reply("401 Unauthorized", b"{}"))

    shop.capture.behaviour = behave
    told = await shop.ask("/relay/github/x", "POST", b"once more")
    assert (told.status, told.body, told.by) == (200, b"welcome", "task")
    assert [one.body for one in shop.capture.requests if one.target == "/x"] == [b"once more"] * 2
    assert len(await shop.entries(Action.TOKEN_REFRESHED)) == 1
    called = (await shop.entries(Action.PROXY_CALLED))[-1]
    assert (called.data["status"], called.data["received"]) == (200, 7)


async def test_a_reply_that_comes_in_pieces_is_passed_on_as_it_comes(shop: Shop) -> None:
    shop.capture.behaviour = pieces(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc", b"def")
    told = await shop.ask("/relay/github/x")
    assert (told.status, told.body, told.by) == (200, b"abcdef", "task")
    assert (await shop.entries(Action.PROXY_CALLED))[-1].data["received"] == 6


async def test_a_provider_that_takes_its_time_is_waited_for_by_a_task(shop: Shop) -> None:
    shop.capture.behaviour = pieces(b"", reply("200 OK", b"late"), pause=0.4)
    told = await shop.ask("/relay/github/x")
    assert (told.status, told.body, told.by) == (200, b"late", "task")


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 502)])
async def test_a_kept_connection_that_was_closed_costs_a_get_nothing(shop: Shop, method: str, status: int) -> None:
    behaved = shop.capture.behaviour
    assert behaved is not None

    async def once(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shop.capture.behaviour = behaved
        writer.close()

    shop.capture.behaviour = once
    assert (await shop.ask("/relay/github/x", method)).status == status
    called = (await shop.entries(Action.PROXY_CALLED))[-1]
    assert called.data["status"] == (200 if status == 200 else None)


async def test_an_answer_that_is_none_fails_the_call_and_no_other(shop: Shop) -> None:
    shop.capture.answers(b"nonsense\r\n\r\n", reply())
    assert (await shop.ask("/relay/github/x", "POST")).status == 502
    assert (await shop.entries(Action.PROXY_CALLED))[-1].data["outcome"] == "provider_reply_lost"
    assert (await shop.ask("/relay/github/x")).status == 200


async def test_an_account_has_so_many_calls_at_a_time(tmp_path: Path, capture: Capture) -> None:
    release = asyncio.Event()

    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(reply())

    async for shop in opened("", tmp_path, capture, proxy_calls_per_account=3):
        assert {told.status for told in await asyncio.gather(*(shop.ask("/relay/github/x") for _ in range(3)))} == {200}
        capture.behaviour = behave
        capture.requests.clear()
        running = [asyncio.ensure_future(shop.ask("/relay/github/x")) for _ in range(3)]
        while len(capture.requests) < 3:
            await asyncio.sleep(0.005)
        refused = await shop.ask("/relay/github/x")
        assert refused.status == 429
        release.set()
        assert [(await one).status for one in running] == [200] * 3
        assert (await shop.ask("/relay/github/x")).status == 200, "whoever is done makes room"


async def test_a_call_is_counted_once_against_the_limits(tmp_path: Path, capture: Capture) -> None:
    async for shop in opened("", tmp_path, capture, proxy_calls_per_minute=4):
        statuses = [(await shop.ask(path)).status for path in ("/relay/github/x", "/relay/nowhere/x") * 2]
        assert statuses == [200, 404, 200, 404]
        assert [(await shop.ask("/relay/github/x")).status for _ in range(2)] == [429, 429]


async def test_many_callers_at_once_each_get_their_own_answer(shop: Shop) -> None:
    """Over real connections: kept, pipelined by none, some of them hung up in the middle."""

    async def behave(request: Captured, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request.body = await read_body(request, reader)
        await asyncio.sleep(0.001 * (len(request.target) % 7))
        writer.write(reply("200 OK", request.target.encode()))

    shop.capture.behaviour = behave
    base = shop.house.holdfast.config.base_url
    outcomes: Counter[str] = Counter()
    async with httpx2.AsyncClient(timeout=30) as client:

        async def caller(name: int) -> None:
            for number in range(12):
                path = f"/{'a' * (number % 5)}{name}-{number}"
                call = client.get(f"{base}/relay/github{path}", headers=shop.headers)
                if number % 6 == 5:
                    with pytest.raises((asyncio.TimeoutError, TimeoutError)):
                        await asyncio.wait_for(call, 0.0005)
                    outcomes["hung up"] += 1
                    continue
                answer = await call
                assert (answer.status_code, answer.text) == (200, path)
                outcomes["answered"] += 1

        await asyncio.gather(*(caller(name) for name in range(12)))
    assert outcomes == {"answered": 120, "hung up": 24}


async def test_a_caller_who_hangs_up_ends_the_call_at_the_provider(shop: Shop) -> None:
    over = asyncio.Event()

    async def behave(_request: Captured, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(1)  # nothing more comes: only the end
        over.set()

    shop.capture.behaviour = behave
    host, _, port = shop.house.holdfast.config.base_url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    lines = ["GET /relay/github/x HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in shop.headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    while not shop.capture.requests:
        await asyncio.sleep(0.005)
    writer.close()
    await asyncio.wait_for(over.wait(), 20)
    while not (called := await shop.entries(Action.PROXY_CALLED)) or "outcome" not in called[-1].data:
        await asyncio.sleep(0.02)
    assert called[-1].data["outcome"] in ("caller_gone", "cancelled")
