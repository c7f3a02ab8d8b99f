"""Calls that need approval, through the real doors: held, looked at, decided, made once."""

import asyncio
import hashlib
from typing import Any

import pytest

from holdfast.approvals import State
from holdfast.approvals import store as approval_store
from holdfast.approvals.approval import APPROVED_SECONDS, MOST_PENDING, PENDING_SECONDS
from holdfast.errors import Conflict
from holdfast.events import Action, Actor
from holdfast.worker import APPROVAL_AFTERLIFE, Worker
from tests.approvals.calling import ADA, approvals, approve, at_once, held, need, other_user, pending, told
from tests.parts.capture import Captured, reply
from tests.proxy.conftest import Maker, Upstream, capture, client, make, upstream
from tests.tokens.house import built_house, house

__all__ = ["built_house", "capture", "client", "house", "make", "upstream"]

ASKED, GRANTED, DENIED = (
    Action.PROXY_APPROVAL_REQUESTED,
    Action.PROXY_APPROVAL_GRANTED,
    Action.PROXY_APPROVAL_DENIED,
)
BODY = b'{"amount":1}'
JSON = {"content-type": "application/json"}


async def test_a_call_is_held_until_it_is_approved_and_then_made_once(upstream: Upstream) -> None:
    await need(upstream, "POST /v1/charges")
    approval = await held(upstream, "/charges?dry=no", headers=JSON, content=BODY)
    assert await held(upstream, "/charges?dry=no", headers=JSON, content=BODY) == approval, (
        "a repeat is the same request"
    )
    assert upstream.capture.requests == []
    assert await told(upstream, Action.CREDENTIAL_READ) == [], "no credential was handed out"
    (waiting,) = await pending(upstream)
    assert (waiting.id, waiting.method, waiting.body_length) == (approval, "POST", len(BODY))
    assert waiting.body_sha256 == hashlib.sha256(BODY).hexdigest()
    seen = await approvals(upstream).seen(waiting)
    assert (seen.target, seen.beginning()) == ("/v1/charges?dry=no", BODY)
    assert ("content-type", "application/json") in seen.headers

    await approve(upstream, approval)
    made = await upstream.relay("/charges?dry=no", "POST", JSON, content=BODY)
    assert made.status_code == 200
    (sent,) = upstream.capture.requests
    assert sent.target == "/v1/charges?dry=no"
    again = await held(upstream, "/charges?dry=no", headers=JSON, content=BODY)
    assert again != approval and len(upstream.capture.requests) == 1

    asked, granted = (await told(upstream, ASKED))[0], (await told(upstream, GRANTED))[0]
    assert (asked.actor.kind, asked.data["approval"], asked.data["path"]) == ("api_key", approval, "/v1/charges")
    assert (granted.actor, granted.data["approval"]) == (ADA, approval)
    (called,) = await told(upstream, Action.PROXY_CALLED)
    assert called.data["approval"] == approval
    assert len(await told(upstream, ASKED)) == 2


async def test_of_two_repeats_at_once_one_is_made(upstream: Upstream) -> None:
    await need(upstream, "POST *")
    for _ in range(3):
        upstream.capture.requests.clear()
        ids = await at_once(*(held(upstream, "/charges", content=BODY) for _ in range(4)))
        assert len(set(ids)) == 1, "asked at once, and still one request"
        await approve(upstream, ids[0])
        answers = await at_once(*(upstream.relay("/charges", "POST", content=BODY) for _ in range(4)))
        assert sorted(one.status_code for one in answers) == [200, 403, 403, 403]
        assert len(upstream.capture.requests) == 1
        (left,) = await pending(upstream)
        await approvals(upstream).deny(upstream.house.environment_id, left.id, ADA)
        upstream.house.clock.advance(PENDING_SECONDS)
        await upstream.house.holdfast.refresher.drain(5)


async def test_any_other_call_is_another_request(upstream: Upstream) -> None:
    await need(upstream, "* /v1/**")
    first = await held(upstream, "/charges", headers=JSON, content=BODY)
    _, other_key = await upstream.house.holdfast.keys.create(upstream.house.environment_id, "other", Actor.system())
    another = await other_user(upstream)
    different: list[dict[str, Any]] = [
        {"content": b'{"amount":2}', "headers": JSON},
        {"headers": JSON},
        {"content": BODY, "headers": {"content-type": "text/plain"}},
        {"content": BODY, "headers": {**JSON, "stripe-account": "acct_2"}},
        {"content": BODY, "headers": {**JSON, "authorization": f"Bearer {other_key.reveal()}"}},
        {"content": BODY, "headers": {**JSON, "x-relay-user": another}},
    ]
    ids = [await held(upstream, "/charges", **one) for one in different]
    ids += [await held(upstream, path, headers=JSON, content=BODY) for path in ("/refunds", "/charges?a=b")]
    ids.append(await held(upstream, "/charges", "PUT", headers=JSON, content=BODY))
    assert len({first, *ids}) == 10
    await approve(upstream, first)
    for one in different:
        assert (await upstream.relay("/charges", "POST", **one)).status_code == 403
    assert (await upstream.relay("/charges?a=b", "POST", JSON, content=BODY)).status_code == 403
    assert upstream.capture.requests == []
    volatile = {**JSON, "user-agent": "sdk/2", "idempotency-key": "k2", "x-request-id": "r"}
    assert (await upstream.relay("/charges", "POST", volatile, content=BODY)).status_code == 200


async def test_both_wires_say_so_in_their_own_words_and_are_one_request(upstream: Upstream) -> None:
    await need(upstream, "POST *")
    approval = await held(upstream, "/charges")
    proxied = await upstream.proxy("/charges", "POST")
    assert (proxied.status_code, proxied.json()["code"]) == (403, 7)
    assert proxied.json()["details"][0]["error_code"] == "APPROVAL_REQUIRED"
    assert approval in proxied.json()["message"]
    await approve(upstream, approval)
    assert (await upstream.proxy("/charges", "POST")).status_code == 200


async def test_a_denied_call_stays_denied_for_its_day(upstream: Upstream) -> None:
    await need(upstream, "POST *")
    approval = await held(upstream, "/charges")
    at = upstream.house.environment_id
    await approvals(upstream).deny(at, approval, ADA)
    answer = await upstream.relay("/charges", "POST")
    assert (answer.status_code, answer.json()["code"]) == (403, "approval_denied")
    assert await pending(upstream) == []
    assert [one.actor for one in await told(upstream, DENIED)] == [ADA]
    upstream.house.clock.advance(PENDING_SECONDS)
    assert await held(upstream, "/charges") != approval
    assert upstream.capture.requests == []


async def test_neither_a_request_nor_an_approval_lasts_for_ever(upstream: Upstream) -> None:
    await need(upstream, "POST *")
    clock, at = upstream.house.clock, upstream.house.environment_id
    late = await held(upstream, "/late")
    clock.advance(PENDING_SECONDS)
    with pytest.raises(Conflict):
        await approve(upstream, late)
    assert await held(upstream, "/late") != late
    approval = await held(upstream, "/charges")
    await approve(upstream, approval)
    clock.advance(APPROVED_SECONDS)
    assert await held(upstream, "/charges") != approval
    taken_back = await held(upstream, "/back")
    await approve(upstream, taken_back)
    await approvals(upstream).deny(at, taken_back, ADA)
    assert (await upstream.relay("/back", "POST")).json()["code"] == "approval_denied"
    assert upstream.capture.requests == []


async def test_calls_that_no_approval_rule_takes_go_as_before(upstream: Upstream) -> None:
    await need(upstream, "POST /v1/charges")
    assert (await upstream.relay("/charges")).status_code == 200
    assert (await upstream.relay("/refunds", "POST")).status_code == 200
    await need(upstream)
    assert (await upstream.relay("/charges", "POST")).status_code == 200
    assert await pending(upstream) == []


async def test_what_may_not_be_called_at_all_is_not_asked_for(upstream: Upstream) -> None:
    await need(upstream, "* *", proxy_rules=("GET *",))
    assert (await upstream.relay("/charges", "POST")).json()["code"] == "not_allowed_by_rules"
    assert await pending(upstream) == []
    approval = await held(upstream, "/charges", "GET")
    await approve(upstream, approval)
    await need(upstream, "* *", proxy_rules=("GET /nothing",))
    assert (await upstream.relay("/charges")).json()["code"] == "not_allowed_by_rules", "approved, and yet not allowed"
    assert upstream.capture.requests == []


async def test_a_body_too_long_to_be_looked_at_is_refused(upstream: Upstream) -> None:
    await need(upstream, "POST /v1/charges")
    answer = await upstream.relay("/charges", "POST", JSON, content=b"x" * 100_000)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed_by_rules")
    assert "too long" in answer.json()["message"]
    assert await pending(upstream) == [] and upstream.capture.requests == []
    (refused,) = await told(upstream, Action.PROXY_REFUSED)
    assert refused.data["method"] == "POST"


async def test_no_more_wait_than_somebody_looks_through(upstream: Upstream) -> None:
    await need(upstream, "POST *")
    for number in range(0, MOST_PENDING, 20):
        await at_once(*(held(upstream, f"/charges?{n}") for n in range(number, number + 20)))
    full = await upstream.relay("/charges?more", "POST")
    assert (full.status_code, full.json()["code"]) == (429, "too_many_approvals")
    assert int(full.headers["retry-after"]) > 0
    assert len(await pending(upstream)) == MOST_PENDING
    await held(upstream, "/charges?0")
    upstream.house.clock.advance(PENDING_SECONDS)
    await held(upstream, "/charges?more")


async def test_a_call_that_the_provider_did_not_make_is_made_again_under_its_approval(upstream: Upstream) -> None:
    await need(upstream, "POST *")
    upstream.capture.answers(reply("401 Unauthorized", b"{}"), reply("200 OK", b"{}"))
    approval = await held(upstream, "/charges", content=BODY)
    await approve(upstream, approval)
    assert (await upstream.relay("/charges", "POST", content=BODY)).status_code == 200
    assert len(upstream.capture.requests) == 2
    await held(upstream, "/charges", content=BODY)
    assert len(upstream.capture.requests) == 2


async def test_a_call_that_began_before_the_rule_is_not_made_again_without_approval(upstream: Upstream) -> None:
    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await need(upstream, "POST *")
        first = len(upstream.capture.requests) == 1
        writer.write(
            reply("401 Unauthorized", b"{}") if first else reply("429 Too Many Requests", b"{}", "Retry-After: 1")
        )

    upstream.capture.behaviour = behave
    assert (await upstream.relay("/charges", "POST")).status_code == 401, "the answer that there was"
    assert len(upstream.capture.requests) == 1
    await need(upstream)
    waited = await upstream.relay("/charges", "POST", {"x-holdfast-wait": "5"})
    assert (waited.status_code, waited.json()["code"]) == (403, "approval_required")
    assert len(upstream.capture.requests) == 2


async def test_an_account_without_a_credential_is_not_asked_for(upstream: Upstream) -> None:
    await need(upstream, "POST *")
    answer = await upstream.relay("/charges", "POST", {"x-relay-user": "user_nobody"})
    assert answer.status_code == 402
    assert await pending(upstream) == []


async def test_what_ended_a_week_ago_is_forgotten(make: Maker) -> None:
    upstream = await make()
    await need(upstream, "POST *")
    approval = await held(upstream, "/charges")
    here = upstream.house.holdfast
    worker = Worker(here.database, here.clock, here.sweep, here.forecast, sweep_interval=0)
    at = upstream.house.environment_id

    async def found() -> Any:
        return await here.database.transact(lambda tx: approval_store.get(tx, at, approval))

    upstream.house.clock.advance(PENDING_SECONDS + APPROVAL_AFTERLIFE - 10)
    await worker.clean_up()
    assert (await found()).state is State.PENDING
    upstream.house.clock.advance(20)
    await worker.clean_up()
    assert await found() is None
