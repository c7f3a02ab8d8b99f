"""Attempts on both engines. Consuming one is won once."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from msgspec import UNSET

from holdfast.accounts import Owner
from holdfast.authorization import store
from holdfast.authorization.attempt import Attempt, Stage, appended
from holdfast.ids import new_id, opaque
from holdfast.storage import Database, open_database
from holdfast.vault import Sealed


def an_attempt(environment_id: str, **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "environment_id": environment_id,
        "id": new_id(),
        "connection_id": new_id(),
        "owner": Owner.user("user_1", "org_1"),
        "acting_user": "user_1",
        "intent": "auto",
        "stage": Stage.BEGUN,
        "link_hash": opaque(64),
        "created_at": 1.0,
        "expires_at": 601.0,
        **changes,
    }
    return Attempt(**values)


async def test_every_field_of_an_attempt_comes_back_as_it_went_in(database: Database, environment_id: str) -> None:
    whole = an_attempt(
        environment_id,
        owner=Owner.organization("org"),
        intent="reauthorize",
        stage=Stage.AUTHORIZED,
        account_id=new_id(),
        return_to="https://app.example.test/done?a=1",
        app_state="state&=" + "s" * 505,
        by_link=True,
        user_verify_url="https://app.example.test/verify",
        code_challenge="c" * 43,
        label=None,
        config={"shop": "x"},
        switch_identity=True,
        key_id=new_id(),
        state_hash=opaque(64),
        browser_hash=opaque(64),
        verifier=Sealed(b"\x01verifier"),
        client_ref=new_id(),
        connect_code_hash=opaque(64),
        connect_code_ends=90.5,
        pending=Sealed(b"\x01pending"),
    )
    bare = an_attempt(environment_id)
    labelled = an_attempt(environment_id, label="Work")
    for one in (whole, bare, labelled):
        await database.transact(lambda tx, one=one: store.add(tx, one))
        found = await database.transact(lambda tx, one=one: store.by_link(tx, one.link_hash))
        assert found == one
    assert whole.label is None
    assert bare.label is UNSET


async def test_an_attempt_is_found_by_state_and_code_in_its_own_environment_only(
    database: Database, environment_id: str
) -> None:
    one = an_attempt(environment_id, state_hash=opaque(64), connect_code_hash=opaque(64))
    await database.transact(lambda tx: store.add(tx, one))
    assert await database.transact(lambda tx: store.by_state(tx, environment_id, one.state_hash)) == one
    assert await database.transact(lambda tx: store.by_state(tx, new_id(), one.state_hash)) is None
    found = await database.transact(lambda tx: store.by_connect_code(tx, environment_id, one.connect_code_hash))
    assert found == one
    assert await database.transact(lambda tx: store.by_connect_code(tx, new_id(), one.connect_code_hash)) is None
    assert await database.transact(lambda tx: store.by_link(tx, opaque(64))) is None


async def test_an_attempt_is_found_by_its_state_alone(database: Database, environment_id: str) -> None:
    one = an_attempt(environment_id, state_hash=opaque(64))
    await database.transact(lambda tx: store.add(tx, one))
    assert await database.transact(lambda tx: store.by_state_anywhere(tx, one.state_hash or "")) == one
    assert await database.transact(lambda tx: store.by_state_anywhere(tx, opaque(64))) is None


@pytest.mark.parametrize(
    ("url", "added"),
    [
        ("https://a.test/v", "https://a.test/v?x=1%262"),
        ("https://a.test/v?q=%20&b=a+b", "https://a.test/v?q=%20&b=a+b&x=1%262"),
        ("https://a.test/v?", "https://a.test/v?x=1%262"),
        ("https://a.test/v?a=1#part?", "https://a.test/v?a=1&x=1%262#part?"),
    ],
)
def test_parameters_are_added_to_an_address_that_stays_as_it_was(url: str, added: str) -> None:
    assert appended(url, {"x": "1&2"}) == added


async def test_of_twenty_callbacks_at_once_one_advances_the_attempt(
    database: Database, database_url: str, environment_id: str
) -> None:
    one = an_attempt(environment_id, stage=Stage.STARTED)
    await database.transact(lambda tx: store.add(tx, one))
    other = await open_database(database_url)
    consumed = replace(one, stage=Stage.CONSUMED)
    won = await asyncio.gather(
        *(
            handle.transact(lambda tx: store.advance(tx, consumed, from_stages=(Stage.STARTED,)))
            for handle in [database, other] * 10
        )
    )
    await other.close()
    assert sorted(won) == [False] * 19 + [True]


async def test_an_attempt_advances_from_the_stages_named_and_no_others(database: Database, environment_id: str) -> None:
    one = an_attempt(environment_id)
    await database.transact(lambda tx: store.add(tx, one))
    finished = replace(one, stage=Stage.FINISHED)
    stages = (Stage.STARTED, Stage.AUTHORIZED)
    assert not await database.transact(lambda tx: store.advance(tx, finished, from_stages=stages))
    assert await database.transact(lambda tx: store.by_link(tx, one.link_hash)) == one
    stranger = replace(finished, environment_id=new_id())
    assert not await database.transact(lambda tx: store.advance(tx, stranger, from_stages=(Stage.BEGUN,)))
    assert await database.transact(lambda tx: store.advance(tx, finished, from_stages=(*stages, Stage.BEGUN)))
    assert await database.transact(lambda tx: store.by_link(tx, one.link_hash)) == finished


async def test_forgetting_takes_attempts_that_ended_before(database: Database, environment_id: str) -> None:
    old, new = an_attempt(environment_id, expires_at=-500.0), an_attempt(environment_id, expires_at=-400.0)
    await database.transact(lambda tx: [store.add(tx, one) for one in (old, new)])
    assert await database.transact(lambda tx: store.forget_before(tx, -400.0)) == 1
    assert await database.transact(lambda tx: store.by_link(tx, old.link_hash)) is None
    assert await database.transact(lambda tx: store.by_link(tx, new.link_hash)) == new
    await database.transact(lambda tx: store.forget_before(tx, -300.0))


async def test_a_credential_that_nobody_finishes_with_is_forgotten(database: Database, environment_id: str) -> None:
    late = an_attempt(environment_id, pending=Sealed(b"late"), connect_code_ends=90.0, stage=Stage.VERIFYING)
    soon = an_attempt(environment_id, pending=Sealed(b"soon"), connect_code_ends=91.0, stage=Stage.AUTHORIZED)
    await database.transact(lambda tx: [store.add(tx, one) for one in (late, soon)])
    await database.transact(lambda tx: store.drop_pending(tx, 90.0))
    assert await database.transact(lambda tx: store.by_link(tx, late.link_hash)) == replace(late, pending=None)
    assert await database.transact(lambda tx: store.by_link(tx, soon.link_hash)) == soon
