"""A token that comes without an end is asked about once, after it is stored; whatever the answer, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import structlog
from sqlalchemy import func, select
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.accounts import Account, Owner, Status, store
from holdfast.accounts.introspections.store import introspections
from holdfast.connections import Connection
from holdfast.connections.changes import Changes
from holdfast.connections.clients import ClientInput
from holdfast.events import Actor
from holdfast.providers.entry import Lifetime
from holdfast.secret import Secret
from holdfast.tokens.outcome import Refreshed
from tests.authorization.links import BACK, Linking, verified_users
from tests.parts.postgres import Postgres
from tests.storage.engines import ENGINES
from tests.tokens.house import House, house_on, second_process

UNKNOWN = Lifetime(rotation="each_use", reuse="whole_grant_dead")
ASSUMED = Lifetime(access=7200, rotation="each_use", reuse="whole_grant_dead")
LIFE = 900


@dataclass
class Endpoint:
    """An introspection endpoint beside the sandbox's others."""

    clock: Any = None
    answer: Response | None = None
    """In place of an end LIFE seconds from now."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers wait for it."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Token and Authorization header of each question."""

    def around(self, app: ASGIApp) -> ASGIApp:
        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("path", "") != "/lab/sandbox/introspect":
                return await app(scope, receive, send)
            request = Request(scope, receive)
            form = parse_qs((await request.body()).decode())
            self.seen.append((form["token"][0], request.headers.get("authorization", "")))
            await self.gate.wait()
            told = JSONResponse({"active": True, "exp": self.clock.now() + LIFE})
            return await (self.answer or told)(scope, receive, send)

        return watched


@pytest.fixture(scope="module", params=ENGINES)
async def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[House, Endpoint]]:
    database, endpoint = "", Endpoint()
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.fresh_database()
    data_dir: Path = tmp_path_factory.mktemp("introspecting")
    async with house_on(database, data_dir, around=endpoint.around) as house:
        endpoint.clock = house.clock
        yield house, endpoint


@pytest.fixture
def endpoint(built: tuple[House, Endpoint]) -> Endpoint:
    endpoint = built[1]
    endpoint.answer = None
    endpoint.seen.clear()
    endpoint.gate.set()
    return endpoint


@pytest.fixture
async def house(built: tuple[House, Endpoint], endpoint: Endpoint) -> AsyncIterator[House]:
    house = built[0]
    house.sandbox.reset()
    house.sandbox.set(omit_expires_in=True)
    yield house
    endpoint.gate.set()
    await house.holdfast.refresher.drain(10)
    await house.holdfast.introspector.run()
    assert await waiting(house) == 0
    house.clock.advance(3600)  # what a test has put to rest is over


async def waiting(house: House) -> int:
    return await house.holdfast.database.transact(
        lambda tx: tx.execute(select(func.count()).select_from(introspections)).scalar_one()
    )


async def connection_to(house: House, lifetime: Lifetime = UNKNOWN, **dialect: Any) -> Connection:
    at = house.holdfast.config.base_url + "/lab/sandbox/introspect"
    return await house.connection(lifetime=lifetime, dialect={"introspect_url": at, **dialect})


async def refreshed(house: House, lifetime: Lifetime = UNKNOWN, **dialect: Any) -> Account:
    """Return an account whose token has just been renewed by an answer without an end."""
    connection = await connection_to(house, lifetime, **dialect)
    account = await house.connect(connection)
    assert isinstance(await house.holdfast.refresher.refresh(account, force=True), Refreshed)
    return await house.stored(account)


async def test_a_refreshed_token_without_an_end_is_asked_about_once(house: House, endpoint: Endpoint) -> None:
    before = await refreshed(house)
    assert (before.expires_at, before.refresh_at, await house.look_at(before)) == (None, None, None)
    assert await waiting(house) == 1
    await house.holdfast.introspector.run()
    after = await house.stored(before)
    assert [token for token, _ in endpoint.seen] == [house.access_of(before)]
    assert endpoint.seen[0][1].startswith("Basic ")
    now = house.clock.now()
    assert (after.expires_at, after.refresh_at) == (now + LIFE, now + LIFE - 225)
    assert (await house.look_at(after) or 0) >= now + LIFE - 225, "the sweep knows"
    kept = {"access": before.access, "grant": before.grant, "credential_version": before.credential_version}
    assert {name: getattr(after, name) for name in kept} == kept
    await house.holdfast.introspector.run()
    assert len(endpoint.seen) == 1


async def test_what_the_catalogue_assumes_gives_way_to_what_the_server_says(house: House, endpoint: Endpoint) -> None:
    before = await refreshed(house, ASSUMED)
    assert before.expires_at == house.clock.now() + 7200
    await house.holdfast.introspector.run()
    assert (await house.stored(before)).expires_at == house.clock.now() + LIFE


async def test_the_refresh_is_swept_by_the_end_that_was_told(house: House, endpoint: Endpoint) -> None:
    account = await refreshed(house)
    await house.holdfast.introspector.run()
    house.clock.advance(LIFE - 1)
    while await house.holdfast.sweep.look():
        await house.holdfast.sweep.room()
    await house.holdfast.sweep.idle()
    assert (await house.stored(account)).credential_version == account.credential_version + 1


@pytest.mark.parametrize(
    ("lifetime", "sandbox", "dialect"),
    [
        (Lifetime(access="never"), {}, {}),
        (UNKNOWN, {"omit_expires_in": False}, {}),
        (UNKNOWN, {}, {"introspect_url": None}),
    ],
)
async def test_nobody_is_asked_where_the_end_is_known_or_there_is_none_to_ask(
    house: House, endpoint: Endpoint, lifetime: Lifetime, sandbox: dict[str, Any], dialect: dict[str, Any]
) -> None:
    house.sandbox.set(**sandbox)
    await refreshed(house, lifetime, **dialect)
    assert await waiting(house) == 0
    await house.holdfast.introspector.run()
    assert endpoint.seen == []


@pytest.mark.parametrize("verified", [False, True])
async def test_a_consent_whose_answer_has_no_end_is_asked_about(
    house: House, endpoint: Endpoint, verified: bool
) -> None:
    """At once, and where the credential is laid aside until its user is verified."""
    linking = Linking(house, await connection_to(house))
    house.sandbox.set(auto_consent_as="ada@sandbox.test")
    link = await linking.link(Owner.user("ada"))
    if verified:
        async with verified_users(house):
            came = await linking.walk(await linking.again(link.account, user_verify_url=BACK), BACK)
        assert await waiting(house) == 0, "not before it is stored"
        await linking.verify(came.partition("auth_request_id=")[2].partition("&")[0], "ada")
    else:
        await linking.walk(link, linking.success)
    before = await house.stored(link.account)
    assert (before.status, before.expires_at) == (Status.ACTIVE, None)
    await house.holdfast.introspector.run()
    after = await house.stored(link.account)
    assert (after.expires_at, len(endpoint.seen)) == (house.clock.now() + LIFE, 1)


async def test_a_minted_token_is_asked_about_with_the_accounts_own_client(house: House, endpoint: Endpoint) -> None:
    at = house.holdfast.config.base_url + "/lab/sandbox/introspect"
    connection = await house.connection(
        method="client_credentials", lifetime=UNKNOWN, dialect={"introspect_url": at, "scopes": ("read",)}
    )
    account = await house.connect_client(connection, house.sandbox.client_id, house.sandbox.client_secret)
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    assert (await house.stored(account)).expires_at is None
    await house.holdfast.introspector.run()
    after = await house.stored(account)
    assert (after.expires_at, after.refresh_at) == (house.clock.now() + LIFE, house.clock.now() + LIFE - 225)
    assert endpoint.seen[0][0] == house.access_of(after)


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"active": False, "exp": 4_000_000_000}),
        JSONResponse({"active": True}),
        JSONResponse({"error": "invalid_client"}, 401),
        PlainTextResponse("out of order", 503),
        PlainTextResponse("not found", 404),
    ],
)
async def test_an_answer_that_says_nothing_changes_nothing(house: House, endpoint: Endpoint, answer: Response) -> None:
    before = await refreshed(house, ASSUMED)
    endpoint.answer = answer
    with structlog.testing.capture_logs() as logs:
        await house.holdfast.introspector.run()
    assert await house.stored(before) == before
    assert len(endpoint.seen) == 1
    assert house.access_of(before) not in repr(logs)


async def test_an_endpoint_in_trouble_is_left_alone_and_refreshes_go_on(house: House, endpoint: Endpoint) -> None:
    endpoint.answer = PlainTextResponse("out of order", 503)
    for _ in range(7):
        await refreshed(house)
        await house.holdfast.introspector.run()
    assert len(endpoint.seen) == 5, "then it rests"


async def test_a_slow_answer_delays_neither_the_token_nor_its_next_refresh(house: House, endpoint: Endpoint) -> None:
    endpoint.gate.clear()
    before = await refreshed(house)
    asking = asyncio.ensure_future(house.holdfast.introspector.run())
    await _until(lambda: bool(endpoint.seen))
    renewed = await house.holdfast.refresher.refresh(before, force=True)
    assert isinstance(renewed, Refreshed)
    house.sandbox.set(omit_expires_in=False)
    assert isinstance(await house.holdfast.refresher.refresh(renewed.account, force=True), Refreshed)
    known = await house.stored(before)
    assert known.expires_at is not None
    endpoint.gate.set()
    await asking
    assert await house.stored(before) == known, "the answers are about tokens that are former ones"


async def test_an_endpoint_that_never_answers_is_waited_for_so_long(house: House, endpoint: Endpoint) -> None:
    endpoint.gate.clear()
    before = await refreshed(house)
    await asyncio.wait_for(house.holdfast.introspector.run(), 30)  # the time limit of a call is two seconds here
    assert await house.stored(before) == before


async def test_the_former_secret_asks_where_the_new_one_is_refused(house: House, endpoint: Endpoint) -> None:
    connection = await connection_to(house)
    account = await house.connect(connection)
    assert isinstance(await house.holdfast.refresher.refresh(account, force=True), Refreshed)
    new = Changes(client=ClientInput(house.sandbox.client_id, Secret("not-yet-set-at-the-provider")))
    await house.connections.update(house.environment_id, connection.name, "user", new, Actor("operator"))
    endpoint.answer = JSONResponse({"error": "invalid_client"}, 401)
    await house.holdfast.introspector.run()
    assert len({header for _, header in endpoint.seen}) == 2


async def test_two_processes_ask_once(house: House, endpoint: Endpoint) -> None:
    accounts = [await refreshed(house) for _ in range(6)]
    async with second_process(house) as other:
        await asyncio.gather(house.holdfast.introspector.run(), other.holdfast.introspector.run())
    assert sorted(token for token, _ in endpoint.seen) == sorted(house.access_of(account) for account in accounts)


async def test_an_account_that_is_gone_or_paused_is_not_asked_about(house: House, endpoint: Endpoint) -> None:
    gone, paused = await refreshed(house), await refreshed(house)
    keeping = house.holdfast.keeping
    await keeping.delete(house.environment_id, gone.id, Actor("operator"))
    await keeping.suspend(house.environment_id, paused.id, Actor("operator"))
    await house.holdfast.introspector.run()
    assert endpoint.seen == []
    assert await house.find(gone) is None


async def test_an_end_that_somebody_has_learnt_meanwhile_stands(house: House, endpoint: Endpoint) -> None:
    endpoint.gate.clear()
    before = await refreshed(house)
    asking = asyncio.ensure_future(house.holdfast.introspector.run())
    await _until(lambda: bool(endpoint.seen))
    ended = replace(before, expires_at=house.clock.now() + 5)
    await house.holdfast.database.transact(lambda tx: store.save(tx, ended))
    endpoint.gate.set()
    await asking
    assert (await house.stored(before)).expires_at == house.clock.now() + 5


async def _until(holds: Any) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")
