"""Deliveries to a real receiver, verified by the vendors' own code, on both engines."""

import asyncio
import contextlib
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from holdfast.api.workos.events import render
from holdfast.app import Holdfast, build
from holdfast.config import Config
from holdfast.errors import Conflict
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.events.store import Kind
from holdfast.ids import new_id
from holdfast.webhooks import Endpoint
from holdfast.webhooks import store as endpoint_store
from holdfast.webhooks.deliveries import store
from holdfast.webhooks.deliveries.delivery import DELAYS, DISABLE_AFTER, Delivery, Failed, next_attempt
from tests.parts.node import NODE, environment
from tests.webhooks.receiver import Receiver, Verify, never, sometimes, verify_scalekit, verify_standard, verify_workos
from tests.webhooks.told import SCALEKIT_EVENTS, WORKOS_EVENTS, told

DISCONNECTED = Action.ACCOUNT_DISCONNECTED
ADA = Actor("administrator", "ada")


class Mixed:
    """A clock that runs, and can be moved besides."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead


class Desk:
    """A Holdfast whose loops are turned by hand."""

    def __init__(self, holdfast: Holdfast, clock: Mixed) -> None:
        self.holdfast, self.clock = holdfast, clock

    @property
    def environment_id(self) -> str:
        return self.holdfast.environment.id

    async def endpoint(
        self, receiver: Receiver, *, dialect: Any = "workos", events: list[str] | None = None
    ) -> Endpoint:
        made = await self.holdfast.endpoints.create(
            self.environment_id, receiver.url, events or WORKOS_EVENTS, Actor.system(), dialect=dialect
        )
        receiver.secret = (await self.holdfast.endpoints.reveal(made)).reveal()
        return made

    async def write(self, *entries: Entry) -> None:
        for entry in entries:
            await self.holdfast.database.transact(lambda tx, entry=entry: log.append(tx, entry))  # type: ignore[misc]

    async def deliver(self) -> None:
        await self.holdfast.deliver()
        await self.holdfast.sender.idle()

    async def until_done(self, endpoint: Endpoint) -> None:
        for _ in range(400):
            await self.deliver()
            if not [one for one in await self.deliveries(endpoint) if one.status in ("due", "waiting")]:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("not all was delivered")

    async def deliveries(self, endpoint: Endpoint, limit: int = 2000) -> list[Delivery]:
        """Oldest first."""
        return await self.holdfast.database.transact(
            lambda tx: store.list_deliveries(tx, self.environment_id, endpoint.id, limit=limit, oldest=True)
        )

    async def stored(self, endpoint: Endpoint) -> Endpoint:
        found = await self.holdfast.database.transact(
            lambda tx: endpoint_store.get(tx, self.environment_id, endpoint.id)
        )
        assert found is not None
        return found

    async def figures(self, endpoint: Endpoint) -> tuple[int, int, int]:
        return await self.holdfast.database.transact(
            lambda tx: endpoint_store.figures(tx, self.environment_id, endpoint.id)
        )


@contextlib.asynccontextmanager
async def a_desk(url: str, data_dir: Path, **settings: Any) -> AsyncIterator[Desk]:
    values = {
        "dev": True,
        "base_url": "http://localhost:1",
        "delivery_retries": ",".join(["0.02"] * 40),
        "delivery_timeout": 1.0,
        **settings,
    }
    clock = Mixed()
    holdfast = await build(Config(data_dir=data_dir, database=url, **values), clock)
    try:
        yield Desk(holdfast, clock)
    finally:
        await holdfast.close()


@pytest.fixture
async def desk(fresh_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(fresh_url, tmp_path) as made:
        yield made


@pytest.fixture
async def hook() -> AsyncIterator[Callable[..., Any]]:
    running: list[Receiver] = []

    async def start(*verify: Verify) -> Receiver:
        running.append(await Receiver(verify or (verify_workos,)).start())
        return running[-1]

    yield start
    for receiver in running:
        await receiver.stop()


async def test_the_workos_shape_is_the_body_that_events_shows(desk: Desk, hook: Any) -> None:
    receiver = await hook(verify_workos)
    await desk.endpoint(receiver)
    entry = told(desk.environment_id)
    await desk.write(entry, told(desk.environment_id, action=Action.CREDENTIAL_READ))
    await desk.deliver()
    assert receiver.refused == []
    (body,) = receiver.bodies
    event = render(entry)
    assert receiver.taken[0]["id"] == event.id == receiver.headers[0]["webhook-id"]
    assert receiver.taken[0]["data"] == event.data
    assert body == json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
    assert re.fullmatch(r"t=\d{13}, v1=[0-9a-f]{64}", receiver.headers[0]["WorkOS-Signature"])


@pytest.mark.node
async def test_the_node_sdk_verifies_a_delivery_as_text_and_as_an_object(
    desk: Desk, hook: Any, node_modules: Path
) -> None:
    receiver = await hook(verify_workos)
    await desk.endpoint(receiver)
    await desk.write(told(desk.environment_id))
    await desk.deliver()
    delivery = {
        "secret": receiver.secret,
        "signature": receiver.headers[0]["WorkOS-Signature"],
        "body": receiver.bodies[0].decode(),
    }
    done = subprocess.run(
        [NODE, Path(__file__).with_name("verify.mjs")],
        input=json.dumps(delivery),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [receiver.taken[0]["id"]] * 2


async def test_the_scalekit_shape_passes_its_verifier_and_the_standard_one(desk: Desk, hook: Any) -> None:
    receiver = await hook(verify_standard, verify_scalekit)
    await desk.endpoint(receiver, dialect="scalekit", events=SCALEKIT_EVENTS)
    account = new_id()
    await desk.write(
        told(desk.environment_id, account, expires_at=1_790_000_000.0),
        told(desk.environment_id, account, Action.TOKEN_REFRESHED),
        told(desk.environment_id, account, Action.ACCOUNT_REAUTHORIZATION_NEEDED, status="expired"),
        told(desk.environment_id, account, DISCONNECTED, status="disconnected"),
    )
    await desk.deliver()
    assert receiver.refused == []
    assert [event["type"].partition(".")[2] for event in receiver.taken] == [
        "created",
        "token_refresh_succeeded",
        "status_updated",
        "deleted",
    ]
    first = receiver.taken[0]
    assert first["data"]["token_expires_at"] == "2026-09-21T14:13:20.000Z"
    assert (first["spec_version"], first["object"], first["data"]["status"]) == ("1", "ConnectedAccount", "ACTIVE")
    assert [event["id"] for event in receiver.taken] == [each["webhook-id"] for each in receiver.headers]
    assert receiver.taken[2]["data"]["old_status"] == "ACTIVE"


async def test_both_signatures_can_stand_on_one_delivery(desk: Desk, hook: Any) -> None:
    receiver = await hook(verify_workos, verify_standard, verify_scalekit)
    await desk.endpoint(receiver, dialect="both")
    await desk.write(told(desk.environment_id))
    await desk.deliver()
    assert (receiver.refused, len(receiver.taken)) == ([], 1)


async def test_a_forged_body_does_not_pass(desk: Desk, hook: Any) -> None:
    """So that the verifiers above are known to be able to fail."""
    receiver = await hook(verify_workos)
    await desk.endpoint(receiver)
    receiver.secret = "whsec_" + "x" * 32
    await desk.write(told(desk.environment_id))
    await desk.deliver()
    assert receiver.taken == []
    assert "does not match" in receiver.refused[0]


async def test_each_entry_arrives_in_the_order_of_its_account_though_a_third_fails(desk: Desk, hook: Any) -> None:
    receiver = await hook(verify_workos)
    endpoint = await desk.endpoint(receiver)
    accounts, entries = [new_id() for _ in range(12)], []
    for number in range(120):
        entries.append(told(desk.environment_id, accounts[number % 12], label=str(number)))
    await desk.write(*entries)
    receiver.trouble = sometimes(0.3)
    await desk.until_done(endpoint)
    expected = {
        account: [str(number) for number in range(120) if accounts[number % 12] == account] for account in accounts
    }
    for account, order in expected.items():
        mine = [event for event in receiver.taken if event["data"]["id"].endswith(account)]
        assert [event["data"]["account_display_name"] for event in mine] == order
    assert receiver.most_under_way <= 8, "the cap of one endpoint"
    assert receiver.most_under_way > 1
    delivered, failed, dead = await desk.figures(endpoint)
    assert (delivered, dead) == (120, 0)
    assert failed == len(receiver.seen) - 120 > 10


async def test_the_next_of_an_account_waits_for_a_retry_and_others_do_not(desk: Desk, hook: Any) -> None:
    receiver, account, other = await hook(verify_workos), new_id(), new_id()
    endpoint = await desk.endpoint(receiver)

    async def trouble(_request: web.Request) -> web.StreamResponse | None:
        return await never(_request) if receiver.seen[-1]["data"]["id"].endswith(account) else None

    receiver.trouble = trouble
    await desk.write(told(desk.environment_id, account), told(desk.environment_id, account, DISCONNECTED))
    await desk.write(told(desk.environment_id, other))
    await desk.deliver()
    first, second, third = await desk.deliveries(endpoint)
    assert (first.status, second.status, second.attempts, third.status) == ("due", "waiting", 0, "delivered")
    assert (first.response_status, first.response_text) == (500, "not today")


async def test_a_delivery_is_given_up_after_its_retries_and_can_be_replayed(
    fresh_url: str, tmp_path: Path, hook: Any
) -> None:
    async with a_desk(fresh_url, tmp_path, delivery_retries="0.01,0.01") as desk:
        receiver, account = await hook(verify_workos), new_id()
        endpoint = await desk.endpoint(receiver)
        receiver.trouble = never
        await desk.write(told(desk.environment_id, account), told(desk.environment_id, account, DISCONNECTED))
        await desk.until_done(endpoint)
        assert [(one.status, one.attempts) for one in await desk.deliveries(endpoint)] == [("dead", 3), ("dead", 3)]
        assert await desk.figures(endpoint) == (0, 6, 2)
        receiver.trouble = None
        assert await desk.holdfast.replay.failed(desk.environment_id, endpoint.id, ADA) == 2
        await desk.until_done(endpoint)
        assert [event["event"].rpartition(".")[2] for event in receiver.taken] == ["connected", "disconnected"]
        one = (await desk.deliveries(endpoint))[0]
        await desk.holdfast.replay.one(desk.environment_id, one.id, ADA)
        with pytest.raises(Conflict):
            await desk.holdfast.replay.one(desk.environment_id, one.id, ADA)
        entries = await desk.holdfast.database.transact(
            lambda tx: log.list_entries(
                tx, desk.environment_id, kinds=[Kind(Action.WEBHOOK_ENDPOINT_CHANGED)], limit=100
            )
        )
        told_of = [(entry.data["what"], entry.actor) for entry in entries if "sent again" in entry.data["what"]]
        assert told_of == [("2 deliveries sent again", ADA), ("1 delivery sent again", ADA)]
        await desk.until_done(endpoint)
        assert [event["id"] for event in receiver.taken].count(receiver.taken[0]["id"]) == 2, "marked by its id"
        shown = await desk.holdfast.replay.page(desk.environment_id, endpoint.id, limit=1)
        assert shown[0].body == receiver.bodies[-2]


async def test_while_a_secret_rotates_the_old_and_the_new_one_pass(desk: Desk, hook: Any) -> None:
    for dialect, verify, events in (
        ("workos", verify_workos, WORKOS_EVENTS),
        ("both", verify_standard, WORKOS_EVENTS),
        ("scalekit", verify_scalekit, SCALEKIT_EVENTS),
        ("scalekit", verify_standard, SCALEKIT_EVENTS),
    ):
        receiver = await hook(verify)
        endpoint = await desk.endpoint(receiver, dialect=dialect, events=events)
        old = receiver.secret
        rotated = await desk.holdfast.endpoints.rotate(desk.environment_id, endpoint.id, Actor.system(), overlap=60)
        new = (await desk.holdfast.endpoints.reveal(rotated)).reveal()
        assert new != old
        for secret in (old, new):
            receiver.secret = secret
            await desk.write(told(desk.environment_id))
            await desk.deliver()
        assert len(receiver.taken) == 2
        desk.clock.ahead = 61
        receiver.secret = old
        await desk.write(told(desk.environment_id))
        await desk.deliver()
        assert len(receiver.taken) == 2, "the old one is over"
        desk.clock.ahead = 0
        await desk.holdfast.endpoints.delete(desk.environment_id, endpoint.id, Actor.system())


async def test_an_endpoint_that_is_gone_is_disabled_with_an_entry(desk: Desk, hook: Any) -> None:
    receiver = await hook(verify_workos)
    endpoint = await desk.endpoint(receiver)

    async def gone(_request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=410)

    receiver.trouble = gone
    await desk.write(told(desk.environment_id))
    await desk.deliver()
    off = await desk.stored(endpoint)
    assert (off.status, off.disabled_reason) == ("disabled", "gone")
    kinds = [Kind(Action.WEBHOOK_ENDPOINT_CHANGED)]
    entries = await desk.holdfast.database.transact(
        lambda tx: log.list_entries(tx, desk.environment_id, kinds=kinds, limit=9)
    )
    assert (entries[-1].data["what"], entries[-1].data["reason"]) == ("disabled", "gone")
    await desk.write(told(desk.environment_id))
    await desk.deliver()
    assert len(receiver.seen) == 1, "and is told nothing more"


async def test_an_endpoint_that_nothing_reaches_for_long_is_disabled(desk: Desk, hook: Any) -> None:
    receiver = await hook(verify_workos)
    endpoint = await desk.endpoint(receiver)
    receiver.trouble = never
    await desk.write(told(desk.environment_id))
    await desk.deliver()
    assert (await desk.stored(endpoint)).failing_since is not None
    desk.clock.ahead = DISABLE_AFTER + 60
    receiver.verify = ()
    await desk.deliver()
    off = await desk.stored(endpoint)
    assert (off.status, off.disabled_reason) == ("disabled", "failing")


async def test_a_redirect_is_not_followed(desk: Desk, hook: Any) -> None:
    receiver, other = await hook(verify_workos), await hook(verify_workos)
    endpoint = await desk.endpoint(receiver)

    async def elsewhere(_request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=307, headers={"location": other.url})

    receiver.trouble = elsewhere
    await desk.write(told(desk.environment_id))
    await desk.deliver()
    (one,) = await desk.deliveries(endpoint)
    assert (one.status, one.response_status) == ("due", 307)
    assert (other.seen, other.refused) == ([], [])


async def test_a_target_inside_is_refused_outside_development(
    fresh_url: str, tmp_path: Path, hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = await hook(verify_workos)
    async with a_desk(fresh_url, tmp_path) as desk:
        endpoint = await desk.endpoint(receiver)
        await desk.write(told(desk.environment_id))
    async with a_desk(fresh_url, tmp_path, dev=False) as desk:
        await desk.deliver()
        (one,) = await desk.deliveries(endpoint)
        assert (one.status, one.response_status) == ("due", None)
        assert (receiver.seen, receiver.refused) == ([], [])


async def test_what_a_receiver_answers_is_kept_without_the_secret(desk: Desk, hook: Any) -> None:
    receiver = await hook(verify_workos)
    endpoint = await desk.endpoint(receiver)

    async def telltale(_request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500, text=f"I know {receiver.secret}\x00" + "x" * 2000)

    receiver.trouble = telltale
    await desk.write(told(desk.environment_id))
    await desk.deliver()
    (one,) = await desk.deliveries(endpoint)
    assert one.response_text is not None
    assert receiver.secret not in one.response_text
    assert one.response_text.startswith("I know <sealed>")
    assert len(one.response_text) == 500


async def test_two_replicas_share_the_work_and_deliver_nothing_twice(fresh_url: str, tmp_path: Path, hook: Any) -> None:
    async with a_desk(fresh_url, tmp_path) as one, a_desk(fresh_url, tmp_path) as two:
        receiver = await hook(verify_workos)
        endpoint = await one.endpoint(receiver)
        await one.write(*(told(one.environment_id) for _ in range(60)))
        await asyncio.gather(one.until_done(endpoint), two.until_done(endpoint))
        taken = [event["id"] for event in receiver.taken]
        assert (len(taken), len(set(taken))) == (60, 60)


async def test_an_endpoint_is_told_of_what_came_after_it(desk: Desk, hook: Any) -> None:
    early = told(desk.environment_id)
    await desk.write(early)
    await asyncio.sleep(0.01)
    receiver = await hook(verify_workos)
    await desk.endpoint(receiver, events=WORKOS_EVENTS[:1])
    await desk.write(told(desk.environment_id), told(desk.environment_id, action=DISCONNECTED))
    await desk.deliver()
    assert [event["event"] for event in receiver.taken] == WORKOS_EVENTS[:1]


def test_the_retries_span_three_days_and_are_spread() -> None:
    failed = Failed(500, "")
    assert 2.9 * 86400 < sum(DELAYS) < 3 * 86400
    assert next_attempt(1, failed, DELAYS, lambda: 0.0) == pytest.approx(4.5)
    assert next_attempt(1, failed, DELAYS, lambda: 1.0) == pytest.approx(5.5)
    assert next_attempt(len(DELAYS), failed, DELAYS) is not None
    assert next_attempt(len(DELAYS) + 1, failed, DELAYS) is None
    assert next_attempt(1, Failed(503, "", retry_after=90.0), DELAYS) == 90.0
    assert next_attempt(1, Failed(410, "", gone=True), DELAYS) is None
