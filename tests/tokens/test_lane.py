"""The token read's lane and the operations behind it: the same requests, the same answers."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from holdfast.accounts import Account, Owner, store
from holdfast.api.dispatch import WHOLE
from holdfast.api.workos.lane import TokenLane
from holdfast.events import Action, Actor
from holdfast.ids import opaque
from tests.parts.offered import Offered
from tests.tokens.house import House

PATH = b"/data-integrations/sandbox/token"


class Told:
    """A reply. `by` is who gave it: the lane whole to the server, or somebody message by message."""

    def __init__(self) -> None:
        self.status, self.headers, self.body, self.by = 0, dict[bytes, bytes](), b"", ""

    def whole(self, _scope: Any, headers: bytes, body: bytes, status: int = 200, /) -> bool:
        lines = [line.partition(b": ") for line in headers.split(b"\r\n") if line]
        self.status, self.body, self.by = status, body, "lane"
        self.headers = {name: value for name, _, value in lines}
        return True

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers, self.by = message["status"], dict(message["headers"]), "messages"
        else:
            self.body += message.get("body", b"")

    def facts(self) -> Any:
        """Everything but what differs between any two requests."""
        headers = {name: value for name, value in self.headers.items() if name != b"x-request-id"}
        assert self.headers[b"x-request-id"].startswith(b"req_")
        return self.status, headers, self.body


class Door:
    def __init__(self, house: House, key: str, account: Account) -> None:
        self.house, self.key, self.account = house, key, account
        lane = house.holdfast.app
        assert isinstance(lane, TokenLane)
        self.lane, self.operations = lane, lane.operations

    async def ask(self, app: Any, *parts: bytes, offered: bool = True, **more: Any) -> Told:
        body, told = b"".join(parts), Told()
        messages = [
            {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
            for number, part in enumerate(parts)
        ]
        if more.pop("hangs_up", False):
            messages = [{"type": "http.disconnect"}]
        scope = self.scope(body)
        scope.update(more)
        if offered:
            scope[WHOLE] = told.whole

        async def receive() -> Any:
            return messages.pop(0)

        await app(scope, receive, told.send)
        return told

    def scope(self, body: bytes) -> dict[str, Any]:
        return {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "",
            "raw_path": PATH,
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer " + self.key.encode()), (b"content-length", b"%d" % len(body))],
        }

    async def reads(self) -> int:
        entries = await self.house.entries(self.account)
        return len([entry for entry in entries if entry.action is Action.CREDENTIAL_READ])

    def body(self, **more: Any) -> bytes:
        return json.dumps({"user_id": self.account.owner.user_id, **more}).encode()


@pytest.fixture
async def door(house: House) -> Door:
    connection = await house.built_in_connection()
    account = await house.connect(connection, "read", "offline", owner=Owner.user("user_" + opaque(20)))
    _, key = await house.holdfast.keys.create(house.environment_id, "lane", Actor("operator"))
    await house.holdfast.keys.authenticate(key.reveal())
    return Door(house, key.reveal(), account)


def _begun(door: Door, offered: Offered, body: bytes) -> bool:
    begin = door.lane.wants(offered)
    return begin is not None and begin(offered, body)


async def both(door: Door, *parts: bytes, **more: Any) -> tuple[Told, Told, int]:
    """Ask the lane and the operations the same, and return their answers and how many reads the first recorded."""
    before = await door.reads()
    ours = await door.ask(door.lane, *parts, **more)
    recorded = await door.reads() - before
    theirs = await door.ask(door.operations, *parts, **more)
    assert await door.reads() - before == 2 * recorded, "one entry each, or none"
    return ours, theirs, recorded


@pytest.mark.parametrize("min_ttl", [None, 0, 60, 3000])
@pytest.mark.parametrize("expires_in", [None, 3600.0, 86_399.9996, 70.0, 30.0, -5.0])
async def test_a_plain_read_is_answered_by_the_lane_as_the_operation_answers_it(
    door: Door, expires_in: float | None, min_ttl: int | None
) -> None:
    """One that ends too soon is not plain. Without a grant it cannot be refreshed, and is served with a warning."""
    ends = None if expires_in is None else door.house.clock.now() + expires_in
    changed = replace(door.account, expires_at=ends, grant=None, refresh_at=None, refreshed_at=None)
    await door.house.holdfast.database.transact(lambda tx: store.save(tx, changed))
    ours, theirs, _ = await both(door, door.body(**({} if min_ttl is None else {"min_ttl": min_ttl})))
    assert ours.facts() == theirs.facts()
    assert ours.by == (
        "lane" if expires_in is None or expires_in > (60 if min_ttl is None else min_ttl) else "messages"
    )
    again = await door.ask(door.lane, door.body(), offered=False)
    assert again.by == "messages", "a server that takes no reply whole gets it in messages"


async def test_a_warning_goes_along_in_its_header(door: Door) -> None:
    changed = replace(door.account, warning="the last refresh failed: 503 «é»")
    await door.house.holdfast.database.transact(lambda tx: store.save(tx, changed))
    ours, theirs, recorded = await both(door, door.body())
    assert ours.facts() == theirs.facts()
    assert recorded == 1
    assert ours.headers[b"x-holdfast-warning"].startswith(b"the last refresh failed: 503")


REQUESTS: dict[str, tuple[tuple[bytes, ...], dict[str, Any]]] = {
    "nobody": ((b'{"user_id":"nobody"}',), {}),
    "no body": ((b"",), {}),
    "no JSON": ((b"{",), {}),
    "no UTF-8": ((b'{"user_id":"\xff"}',), {}),
    "a lone surrogate": ((b'{"user_id":"\\ud800"}',), {}),
    "NUL": ((b'{"user_id":"a\\u0000b"}',), {}),
    "a backslash before what looks like NUL": ((b'{"user_id":"a\\\\u0000b"}',), {}),
    "no object": ((b"[]",), {}),
    "another type": ((b'{"user_id":1}',), {}),
    "an empty user": ((b'{"user_id":""}',), {}),
    "a long user": ((b'{"user_id":"' + b"u" * 257 + b'"}',), {}),
    "a minimum out of range": ((b'{"user_id":"u","min_ttl":-1}',), {}),
    "a minimum that is text": ((b'{"user_id":"u","min_ttl":"1"}',), {}),
    "nested deep": ((b'{"user_id":' + b"[" * 2000,), {}),
    "an organization": ((b'{"user_id":"u","organization_id":"o"}',), {}),
    "owned by an organization that is not named": ((b'{"user_id":"u","connection_owner":"organization"}',), {}),
    "an account that is none": ((b'{"user_id":"u","connected_account_id":"x"}',), {}),
    "too large": ((b'{"user_id":"' + b"u" * 2_000_000 + b'"}',), {}),
    "in pieces": ((b'{"user_id":', b'"nobody"}'), {}),
    "hung up": ((b"{}",), {"hangs_up": True}),
    "no length": ((b'{"user_id":"nobody"}',), {"headers": [(b"authorization", b"KEY")]}),
    "no key": ((b'{"user_id":"nobody"}',), {"headers": [(b"content-length", b"20")]}),
    "an unknown key": ((b"{}",), {"headers": [(b"authorization", b"Bearer sk_x"), (b"content-length", b"2")]}),
    "another scheme": ((b"{}",), {"headers": [(b"authorization", b"Basic KEY"), (b"content-length", b"2")]}),
    "the scheme in capitals": ((b"{}",), {"headers": [(b"authorization", b"BEARER KEY"), (b"content-length", b"2")]}),
    "a wrong key first": (
        (b"{}",),
        {"headers": [(b"authorization", b"Bearer sk_x"), (b"authorization", b"KEY"), (b"content-length", b"2")]},
    ),
    "a query": ((b'{"user_id":"nobody"}',), {"query_string": b"a=1"}),
    "a query that cannot be read": ((b'{"user_id":"nobody"}',), {"query_string": b"\xff"}),
    "an unknown connection": ((b'{"user_id":"nobody"}',), {"raw_path": b"/data-integrations/none/token"}),
    "a path with NUL": ((b"{}",), {"raw_path": b"/data-integrations/a%00b/token"}),
    "a path that is not UTF-8": ((b"{}",), {"raw_path": b"/data-integrations/%ff/token"}),
    "a long slug": ((b'{"user_id":"u"}',), {"raw_path": b"/data-integrations/" + b"s" * 257 + b"/token"}),
    "an empty slug": ((b"{}",), {"raw_path": b"/data-integrations//token"}),
    "another method": ((b"",), {"method": "GET"}),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_whatever_is_not_plain_is_answered_as_if_the_lane_were_not_there(door: Door, name: str) -> None:
    parts, more = REQUESTS[name]
    if "headers" in more:
        real = [(header, value.replace(b"KEY", door.key.encode())) for header, value in more["headers"]]
        more = {**more, "headers": real}
    ours, theirs, recorded = await both(door, *parts, **more)
    assert ours.facts() == theirs.facts()
    assert (ours.by, recorded) == ("messages", 0)


async def test_a_stored_token_that_was_altered_is_refused_as_the_operation_refuses_it(door: Door) -> None:
    assert door.account.access is not None
    data = bytearray(door.account.access.data)
    data[-1] ^= 1
    changed = replace(door.account, access=type(door.account.access)(bytes(data)))
    await door.house.holdfast.database.transact(lambda tx: store.save(tx, changed))
    ours = await door.ask(door.lane, door.body())
    theirs = await door.ask(door.operations, door.body())
    assert ours.facts() == theirs.facts()
    assert ours.status == 503


async def test_a_request_is_counted_once_on_either_way(door: Door) -> None:
    counted: list[str] = []

    class Limiter:
        def __init__(self, wait: float | None) -> None:
            self._wait = wait

        def take(self, key: str) -> float | None:
            counted.append(key)
            return self._wait

    parts = door.lane, door.operations
    before = door.lane._limiter
    try:
        for part in parts:
            part._limiter = Limiter(None)  # type: ignore[assignment]
        await door.ask(door.lane, door.body())
        assert len(counted) == 1
        await door.ask(door.lane, b'{"user_id":"nobody"}')
        await door.ask(door.lane, b"{")
        assert len(counted) == 3
        for part in parts:
            part._limiter = Limiter(2.5)  # type: ignore[assignment]
        assert (await door.ask(door.lane, door.body())).status == 429
    finally:
        for part in parts:
            part._limiter = before


async def test_a_revoked_key_is_refused_at_once(door: Door) -> None:
    assert (await door.ask(door.lane, door.body())).by == "lane"
    principal = await door.house.holdfast.keys.authenticate(door.key)
    await door.house.holdfast.keys.revoke(principal.environment_id, principal.key_id, Actor("operator"))
    before = await door.reads()
    for _ in range(2):
        assert (await door.ask(door.lane, door.body())).status == 401
    assert await door.reads() == before


async def test_a_reply_names_the_request_as_the_log_does(door: Door) -> None:
    """Three that come together, and one by itself. One of the three has a warning, which takes a task."""
    house, here = door.house, door.house.environment_id
    connection = await house.holdfast.database.transact(lambda tx: house.connections.find(tx, here, "sandbox", "user"))
    accounts = [door.account]
    for _ in range(3):
        owner = Owner.user("user_" + opaque(20))
        accounts.append(await house.connect(connection, "read", "offline", owner=owner))
    warned = replace(accounts[1], warning="the provider is away")
    await house.holdfast.database.transact(lambda tx: store.save(tx, warned))
    told, tasks = [Told() for _ in accounts], list[asyncio.Task[None]]()

    def begin(number: int) -> None:
        scope = door.scope(body := door.body(user_id=accounts[number].owner.user_id))

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        def otherwise(app: Any) -> None:
            tasks.append(asyncio.ensure_future(app(scope, receive, told[number].send)))

        assert _begun(door, Offered(scope, told[number].whole, otherwise), body)

    async with asyncio.timeout(5):
        for numbers in ((0, 1, 2), (3,)):
            for number in numbers:
                begin(number)
            while not all(told[number].body for number in numbers):
                await asyncio.sleep(0.01)
    assert [one.by for one in told] == ["lane", "messages", "lane", "lane"]
    for account, one in zip(accounts, told, strict=True):
        reads = [entry for entry in await house.entries(account) if entry.action is Action.CREDENTIAL_READ]
        assert one.headers[b"x-request-id"].decode() == reads[-1].request_id == f"req_{reads[-1].id}"


async def test_a_read_that_cannot_be_answered_keeps_no_other_of_its_batch_waiting(door: Door) -> None:
    """The two are looked up together, and the first has an end that no ISO 8601 text can say."""
    fine = door.account
    here = door.house.environment_id
    connection = await door.house.holdfast.database.transact(
        lambda tx: door.house.connections.find(tx, here, "sandbox", "user")
    )
    odd = await door.house.connect(connection, "read", "offline", owner=Owner.user("user_" + opaque(20)))
    await door.house.holdfast.database.transact(lambda tx: store.save(tx, replace(odd, expires_at=1e13)))
    told, left = Told(), list[Any]()
    for account in (odd, fine):
        body = door.body(user_id=account.owner.user_id)
        assert _begun(door, Offered(door.scope(body), told.whole, left.append), body)
    async with asyncio.timeout(5):
        while not told.by:
            await asyncio.sleep(0.01)
    assert (told.status, len(left)) == (200, 1)
    assert json.loads(told.body)["active"] is True
